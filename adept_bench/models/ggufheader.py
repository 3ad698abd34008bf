"""The header of a GGUF file: which family it holds, how its numbers are stored, and whether the file is whole.

Read here and not with the package `gguf`, whose reader makes objects of every word of the vocabulary (1.7 seconds for
49,152 words; here, hundredths) and says nothing of a damaged file that a user can act on. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError

MAGIC = b"GGUF"
INSTALL = "pip install 'adept-bench[gguf]' (or pip install gguf)"
_VERSIONS = (2, 3)
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_GUESSED = 1024  # a flag of general.file_type: that its writer was not told it


@dataclass(frozen=True)
class Header:
    """`facts`: the metadata that are single values. `elements`: numbers in each tensor; `types`: how each is stored."""

    facts: dict[str, Any]
    elements: dict[str, int]
    types: dict[str, str]

    @property
    def architecture(self) -> str:
        """The family, as GGUF calls it."""
        return str(self.facts["general.architecture"])

    @property
    def quantisation(self) -> str:
        """What the file says it is (Q4_1, Q4_K_M, F16); else the type that most of its numbers have."""
        from gguf import LlamaFileType

        stated = self.facts.get("general.file_type")
        if isinstance(stated, int):
            try:
                return LlamaFileType(stated & ~_GUESSED).name.removeprefix("MOSTLY_").removeprefix("ALL_")
            except ValueError:
                pass  # newer than the package
        numbers: Counter[str] = Counter()
        for name, kind in self.types.items():
            numbers[kind] += self.elements[name]
        return numbers.most_common(1)[0][0]


def read_header(file: Path, option: str = "--model") -> Header:
    """The header of `file`. Raises InputError, naming `option`, for what is no GGUF file, is truncated or damaged or in
    a form that is not read, and where the package `gguf` is missing."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as handle:
            start = handle.read(8)
            if start[:4] != MAGIC:
                raise InputError(f"{option}: {file} is no GGUF file: it starts with {_shown(start[:4])}, not 'GGUF'")
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parsed(data, size, file, option)
    except OSError as error:
        raise InputError(f"{option}: cannot read {file}: {error.strerror or error}") from error
    except (struct.error, UnicodeDecodeError, IndexError, OverflowError, RecursionError, KeyError):
        raise InputError(f"{option}: {file} is a truncated or damaged GGUF file: its header breaks off") from None


def _shown(start: bytes) -> str:
    return repr(start.decode("ascii")) if start.isascii() and start.decode().isprintable() else start.hex(" ")


def _parsed(data: mmap.mmap, size: int, file: Path, option: str) -> Header:
    version, tensors, values = struct.unpack_from("<IQQ", data, 4)
    if version not in _VERSIONS:
        kind = "written for big-endian machines" if version & 0xFFFF == 0 else f"version {version}"
        raise InputError(f"{option}: {file} is a GGUF file {kind}; expected version 2 or 3, little-endian")
    at, facts = 24, {}
    for _ in range(values):
        key, at = _string(data, at)
        (kind_,) = struct.unpack_from("<I", data, at)
        value, at = _value(data, at + 4, kind_)
        if value is not None:
            facts[key] = value
    entries = []
    for _ in range(tensors):
        name, at = _string(data, at)
        (axes,) = struct.unpack_from("<I", data, at)
        shape = struct.unpack_from(f"<{axes}Q", data, at + 4)
        kind_, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * axes)
        at += 16 + 8 * axes
        entries.append((name, math.prod(shape), kind_, offset))
    if not entries or not isinstance(facts.get("general.architecture"), str):
        raise InputError(f"{option}: {file} is a GGUF file of no model: {len(entries)} tensors, no family")
    step = int(facts.get("general.alignment", 32)) or 1
    first = -(-at // step) * step
    known = _known_types(option)
    ends = []
    for name, count, kind_, offset in entries:
        if kind_ not in known:
            raise InputError(
                f"{option}: {file}: {name} is stored as type {kind_}, which the installed package gguf does not know"
            )
        _, block, width = known[kind_]
        ends.append(first + offset + count // block * width)
    if max(ends) > size:
        raise InputError(f"{option}: {file} is truncated: {size} bytes; its header describes {max(ends)}")
    return Header(
        facts, {name: count for name, count, *_ in entries}, {name: known[kind_][0] for name, _, kind_, _ in entries}
    )


def _known_types(option: str) -> dict[int, tuple[str, int, int]]:
    """Of each way to store numbers: its name, and of how many numbers and bytes a block is."""
    try:
        from gguf import GGML_QUANT_SIZES
    except ImportError:
        raise InputError(f"{option}: a GGUF file needs the package gguf to be read: {INSTALL}") from None
    return {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}


def _string(data: mmap.mmap, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    if end > len(data):
        raise IndexError
    return data[at + 8 : end].decode("utf-8"), end


def _value(data: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    """A value and where it ends; of an array only that."""
    if kind == _STRING:
        return _string(data, at)
    if kind != _ARRAY:
        return struct.unpack_from(_SCALARS[kind], data, at)[0], at + struct.calcsize(_SCALARS[kind])
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner in _SCALARS:
        end = at + count * struct.calcsize(_SCALARS[inner])
        if end > len(data):
            raise IndexError
        return None, end
    for _ in range(count):
        if inner == _STRING:
            (length,) = struct.unpack_from("<Q", data, at)
            at += 8 + length
        else:
            _, at = _value(data, at, inner)
    return None, at
