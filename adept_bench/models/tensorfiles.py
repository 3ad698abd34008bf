"""Safetensors checkpoints as bytes: what is stored where, copied in small pieces whatever the dtype.

Nothing here interprets a number, so a tensor arrives bit by bit as it was, in dtypes that torch does not know too, and
memory holds one piece of one tensor at a time. The format (https://github.com/huggingface/safetensors): 8 bytes with
the length of a JSON header, the header with each tensor's dtype, shape and place, then the tensors without gaps.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from adept_bench.errors import InputError
from adept_bench.files import write_json
from adept_bench.guarded import RECORD, read_json

PIECE = 4 * 2**20  # bytes read at a time
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its bytes are `file`[start:end]; `dtype` as the format names it ("BF16", "F8_E4M3")."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Planned:
    """A tensor to be written: the bytes of `source`, or, with `pattern`, that element over and over in its shape.

    `dtype`: another dtype than the source's, with `pattern` only.
    """

    name: str
    source: Stored
    pattern: bytes | None = None
    dtype: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.source.size if self.pattern is None else self.source.elements * len(self.pattern)


@dataclass(frozen=True)
class Checkpoint:
    """A folder's tensors by name, in the order of files and of places in them; `metadata`: the first file's own."""

    folder: Path
    tensors: dict[str, Stored]
    files: tuple[Path, ...]
    metadata: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(stored.size for stored in self.tensors.values())

    @property
    def largest_file(self) -> int:
        """Bytes of the tensors in the file that holds most."""
        held = dict.fromkeys(self.files, 0)
        for stored in self.tensors.values():
            held[stored.file] += stored.size
        return max(held.values())


def read_checkpoint(folder: Path, option: str = "--model") -> Checkpoint:
    """What the checkpoint in `folder` holds, from the files' headers alone.

    Raises InputError, naming `option` and the file, for weights that are missing, truncated or damaged, and for an
    index that does not describe its files.
    """
    listed: dict[str, str] = {}
    if (folder / SINGLE).exists():  # as transformers looks for weights
        files = [folder / SINGLE]
    elif (folder / INDEX).exists():
        listed = weight_map(folder / INDEX, option)
        files = [folder / name for name in sorted(set(listed.values()))]
    else:
        raise InputError(f"{option}: {folder} has no weights; expected {SINGLE} or {INDEX}")
    tensors: dict[str, Stored] = {}
    metadata: dict[str, str] = {}
    for file in reversed(files):
        found, metadata = _header(file, option)
        if twice := sorted(found.keys() & tensors.keys()):
            raise InputError(f"{option}: {twice[0]} is stored twice, in {file} and {tensors[twice[0]].file}")
        tensors = found | tensors
    for name, place in listed.items():
        if name not in tensors or tensors[name].file.name != place:
            raise InputError(f"{option}: {folder / INDEX} is damaged: it says that {name} is in {place}; it is not")
    if not tensors:
        raise InputError(f"{option}: {files[0]} holds no tensors")
    return Checkpoint(folder, tensors, tuple(files), metadata)


def weight_map(index: Path, option: str) -> dict[str, str]:
    try:
        listed = read_json(index, RECORD, "JSON with a weight_map", option)["weight_map"]
        if not listed or any(Path(name).name != name for name in listed.values()):
            raise ValueError
    except (ValueError, KeyError, AttributeError, TypeError):
        raise InputError(f"{option}: {index} is damaged; expected JSON with a weight_map") from None
    return dict(listed)


def _header(file: Path, option: str) -> tuple[dict[str, Stored], dict[str, str]]:
    """A file's tensors in the order of their places, and its metadata."""
    damaged = f"{option}: {file} is damaged or truncated"
    try:
        total = file.stat().st_size
        with open(file, "rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if total < 8 + length or length > _LONGEST_HEADER:
                raise InputError(f"{damaged}: {total} bytes; its header alone needs {8 + length}")
            header = json.loads(handle.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = [
            Stored(name, one["dtype"], tuple(one["shape"]), file, *(8 + length + int(at) for at in one["data_offsets"]))
            for name, one in header.items()
        ]
    except OSError as error:
        raise InputError(f"{option}: cannot read {file}: {error.strerror or error}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, OverflowError):
        raise InputError(f"{damaged}: its header is not the safetensors format") from None
    tensors.sort(key=lambda stored: (stored.start, stored.end))
    place = 8 + length
    for stored in tensors:
        if stored.start != place or stored.end < place:
            raise InputError(f"{damaged}: {stored.name} does not follow the tensor before it")
        place = stored.end
    if place != total:
        raise InputError(f"{damaged}: {total} bytes; its header describes {place}")
    return {stored.name: stored for stored in tensors}, metadata


def pieces(stored: Stored) -> Iterator[bytes]:
    """The tensor's bytes, at most PIECE at a time."""
    with open(stored.file, "rb") as handle:
        handle.seek(stored.start)
        left = stored.size
        while left:
            piece = handle.read(min(PIECE, left))
            if not piece:
                raise InputError(f"{stored.file} was truncated while it was read")
            left -= len(piece)
            yield piece


def digest(stored: Stored) -> str:
    """SHA-256 of the tensor's bytes, in hex."""
    hasher = hashlib.sha256()
    for piece in pieces(stored):
        hasher.update(piece)
    return hasher.hexdigest()


def same_bytes(one: Stored, other: Stored) -> bool:
    """Whether two tensors hold the same bytes; what comes after the first piece that differs is not read."""
    return one.size == other.size and all(mine == theirs for mine, theirs in zip(pieces(one), pieces(other)))


def is_filled(stored: Stored, pattern: bytes) -> bool:
    """Whether the tensor is `pattern` over and over."""
    block = pattern * (PIECE // len(pattern))
    return PIECE % len(pattern) == 0 and all(piece == block[: len(piece)] for piece in pieces(stored))


def write_tensors(file: Path, planned: Iterable[Planned], metadata: dict[str, str]) -> None:
    """Write a safetensors file; larger elements first, so that every tensor starts at a multiple of its element."""
    ordered = sorted(planned, key=lambda one: -(one.size // max(one.source.elements, 1)))
    header: dict[str, Any] = {"__metadata__": metadata or {"format": "pt"}}
    place = 0
    for one in ordered:
        entry = {"dtype": one.dtype or one.source.dtype, "shape": list(one.source.shape)}
        header[one.name] = entry | {"data_offsets": [place, place + one.size]}
        place += one.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        for one in ordered:
            _write(handle, one)
        handle.flush()
        os.fsync(handle.fileno())


def _write(handle: BinaryIO, one: Planned) -> None:
    if one.pattern is None:
        for piece in pieces(one.source):
            handle.write(piece)
        return
    block = one.pattern * (PIECE // len(one.pattern))
    left = one.size
    while left:
        left -= handle.write(block[: min(len(block), left)])


def write_checkpoint(folder: Path, planned: Sequence[Planned], limit: int | None, metadata: dict[str, str]) -> None:
    """Write the tensors to `folder`: one file (`limit` None), or files of about equal size, at most `limit` bytes of
    tensors each, with their index."""
    if limit is None:
        write_tensors(folder / SINGLE, planned, metadata)
        return
    total = sum(one.size for one in planned)
    shards = _packed(planned, limit, math.ceil(total / math.ceil(total / limit)))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_tensors(folder / name, shard, metadata)
        weight_map |= dict.fromkeys((one.name for one in shard), name)
    parameters = sum(one.source.elements for one in planned)
    about = {"total_size": total, "total_parameters": parameters}
    write_json(folder / INDEX, {"metadata": about, "weight_map": weight_map})


def _packed(planned: Sequence[Planned], limit: int, target: int) -> list[list[Planned]]:
    """Neighbours together; a file is closed once it holds `target` bytes, or before it would exceed `limit`."""
    shards: list[list[Planned]] = [[]]
    held = 0
    for one in planned:
        if shards[-1] and (held >= target or held + one.size > limit):
            shards.append([])
            held = 0
        shards[-1].append(one)
        held += one.size
    return shards
