"""What a model folder is, decided from its files' names before anything loads.

transformers decides the same in several places, each for itself: an adapter that lies beside whole weights is attached
to them again, and of whole weights and shards the former are read. A folder that can be read in two ways is refused
here, and the file that is meant can be named instead of the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError
from adept_bench.files import cache_root, content_hash
from adept_bench.guarded import MODEL, read_json
from adept_bench.models.tensorfiles import INDEX, SINGLE, weight_map

ADAPTER = "adapter_config.json"
WEIGHT_FILES = (SINGLE, INDEX)  # what may be named in the folder's place
_ADAPTER_FILES = (ADAPTER, "adapter_model.safetensors", "adapter_model.bin")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler", "adapter_model")


@dataclass(frozen=True)
class Reading:
    """One model that a folder can be read as.

    kind: "whole", "sharded", "pickled", "adapter" or "GGUF". words: what it is, for a message. files: the names that
    belong to it. named: the file that chooses it, None where no command can read it.
    """

    kind: str
    words: str
    files: frozenset[str]
    named: str | None = None


def readings(folder: Path, option: str) -> list[Reading]:
    """Every model that the files of `folder` are, by their names.

    Pickled weights beside safetensors are taken for the same model in the older format: no reading of their own.
    Raises InputError, naming `option`, for an index that cannot be read and for a folder that cannot be listed.
    """
    names = _names(folder, option)
    found = []
    shards = _shards(folder, names, option)
    if SINGLE in names and SINGLE not in shards:
        found.append(Reading("whole", f"whole weights ({SINGLE})", frozenset({SINGLE}), SINGLE))
    if INDEX in names:
        missing = sorted(shards - names)
        lack = f", which lacks {len(missing)} of {len(shards)} weight files, first {missing[0]}" if missing else ""
        files = frozenset({INDEX, *shards})
        found.append(Reading("sharded", f"shards ({INDEX}{lack})", files, None if missing else INDEX))
    old = sorted(name for name in names if Path(name).suffix in _PICKLED and not name.startswith(_NO_WEIGHTS))
    if old and not found:
        found.append(Reading("pickled", f"pickled weights ({old[0]})", frozenset(old)))
    if ADAPTER in names:
        found.append(Reading("adapter", f"an adapter of another model ({ADAPTER})", frozenset(_ADAPTER_FILES) & names))
    if parts := sorted(name for name in names if name.endswith(".gguf")):
        found.append(Reading("GGUF", _gguf_words(parts), frozenset(parts), parts[0] if len(parts) == 1 else None))
    return found


def check_one_reading(folder: Path, option: str) -> Reading | None:
    """The only model that `folder` is; None where it holds no weights.

    Raises InputError, naming `option` and all readings, for a folder that is several, and for an adapter alone.
    """
    found = readings(folder, option)
    if len(found) > 1:
        choices = [f"{option} {folder / one.named}" for one in found if one.named]
        adapters = any(one.kind == "adapter" for one in found)
        hint = f"; expected the one that is meant by its file: {' or '.join(choices)}" if choices else ""
        hint += "; or the adapter's files elsewhere, merged into their base" if adapters else ""
        raise InputError(f"{option}: {folder} holds {len(found)} models, {_listed(found)}{hint}")
    if found and found[0].kind == "adapter":
        raise InputError(
            f"{option}: {folder} is {found[0].words}: merge it into its base model first, with peft's "
            "AutoPeftModelForCausalLM.from_pretrained(DIR).merge_and_unload().save_pretrained(NEW_DIR)"
        )
    return found[0] if found else None


def named_reading(file: Path, option: str) -> Path:
    """The folder to read for a weight file named instead of its folder: the folder itself, or where it holds another
    model too, one in the cache that links to all of its files but the other's.

    Raises InputError where the file is no weights or, as an index, names files that are not there.
    """
    folder = file.parent
    found = readings(folder, option)
    chosen = next((one for one in found if file.name in one.files and one.kind != "adapter"), None)
    if chosen is None or chosen.kind == "GGUF":
        raise InputError(f"{option}: {file} is no weights that can be read alone; expected {' or '.join(WEIGHT_FILES)}")
    if len(found) == 1:
        return folder
    others = frozenset[str]().union(*(one.files for one in found if one is not chosen)) - chosen.files
    return _linked(folder, others)


def _linked(folder: Path, without: frozenset[str]) -> Path:
    """A folder of links to the files of `folder` but some; another listing has another one, so that none is stale."""
    names = sorted(_names(folder, "--model") - without)
    place = cache_root() / "readings" / content_hash([str(folder.resolve()), names]) / folder.name
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new.", dir=place.parent))
    try:
        for name in names:
            (temporary / name).symlink_to(folder.resolve() / name)
        with suppress(OSError):  # another process was first
            os.replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return place


def _names(folder: Path, option: str) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError as error:
        raise InputError(f"{option}: cannot read {folder}: {error.strerror or error}") from error


def _shards(folder: Path, names: frozenset[str], option: str) -> frozenset[str]:
    return frozenset(weight_map(folder / INDEX, option).values()) if INDEX in names else frozenset()


def _gguf_words(names: list[str]) -> str:
    return f"a GGUF file ({names[0]})" if len(names) == 1 else f"{len(names)} GGUF files ({', '.join(names[:8])})"


def _listed(found: list[Reading]) -> str:
    words = [one.words for one in found]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def check_json(folder: Path, names: Sequence[str], option: str) -> None:
    """Raise InputError, naming `option` and file, for one of these that is there and no JSON object."""
    for path in (folder / name for name in names):
        if path.exists() and not isinstance(read_json(path, MODEL, "it as it was downloaded", option), dict):
            raise InputError(f"{option}: {path}: is no JSON object; expected it as it was downloaded")


def stored_config(folder: Path) -> dict[str, Any]:
    """config.json as it is written; empty where there is none or it is damaged, which its reader has words for."""
    try:
        found = read_json(folder / "config.json", MODEL, "a model's configuration")
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}
