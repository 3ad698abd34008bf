"""Whether a checkpoint is whole: its files against the hashes recorded when it was complete, and errors of loading."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adept_bench.files import DamagedFileError, file_hash, log_aside, read_sealed

WEIGHTS = "trainable.safetensors"
STATE = "run_state.json"  # written last and whole: a folder without it was cut off
SCHEDULER, TRAINER = "scheduler.pt", "trainer_state.json"  # as the Trainer calls them
_KINDS = {
    **{"identity": str, "curve": list, "ledger": list, "losses": list, "path": list},
    **dict.fromkeys(("seconds", "probe_seconds", "path_seconds"), (int, float)),
}
_ALWAYS = (WEIGHTS, TRAINER, SCHEDULER)
_SOME = ("optimizer*.pt", "rng_state*.pth")  # of every process where several train
_TENSORS = (".pt", ".pth")  # in torch's format, a zip archive with a checksum of each part


def hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """{"bytes", "sha256"} of every file in the folder but its STATE, by name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != STATE)
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": found}
        for path, found in zip(files, _hashed(files), strict=True)
    }


def _hashed(files: list[Path]) -> list[str]:
    """SHA-256 of each file; side by side, as the optimizer's parts of a large model take minutes."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(file_hash, files))


def checked(folder: Path) -> dict[str, Any]:
    """The state stored with a checkpoint. Raises DamagedFileError, saying why, where not every file is whole.

    Files are held against the sizes and hashes in the state. One of an earlier version has none: then every file that a
    checkpoint has must be there and readable, by the checksums of its own format.
    """
    try:
        state = read_sealed(folder / STATE)
        for name, kind in _KINDS.items():
            if not isinstance(state.get(name), kind):
                raise DamagedFileError(f"no {name} of its kind")
    except DamagedFileError as why:
        raise DamagedFileError(f"{STATE}: {why}") from None
    files = state.pop("files", None)
    try:
        if files is None:
            _check_readable(folder)
        else:
            _check_recorded(folder, files)
    except OSError as error:  # what cannot be read is of no use, whatever the reason
        name = Path(error.filename).name if error.filename else "a file"
        raise DamagedFileError(f"{name}: {error.strerror or error}") from None
    return state


def _check_recorded(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    """Sizes first, which cost nothing; then hashes."""
    for name, known in files.items():
        size = (folder / name).stat().st_size
        if size != known["bytes"]:
            raise DamagedFileError(f"{name} has {size} bytes; {known['bytes']} were written")
    for name, found in zip(files, _hashed([folder / name for name in files]), strict=True):
        if found != files[name]["sha256"]:
            raise DamagedFileError(f"{name} is not what was written (SHA-256 {found[:16]}…)")


def _check_readable(folder: Path) -> None:
    for pattern in (*_ALWAYS, *_SOME):
        if not any(folder.glob(pattern)):
            raise DamagedFileError(f"{pattern} is missing")
    for path in sorted(folder.iterdir()):
        try:
            _read(path)
        except (ValueError, TypeError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DamagedFileError(f"{path.name} cannot be read ({_first_line(error)})") from None


def _read(path: Path) -> None:
    """Go through a file of a known format; raises what its reader raises, ValueError for another content."""
    if path.suffix in _TENSORS:
        with zipfile.ZipFile(path) as archive:
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {broken} does not hold")
    elif path.name == WEIGHTS:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as stored:
                stored.keys()
        except SafetensorError as error:
            raise ValueError(str(error)) from None
    elif path.name == TRAINER and "global_step" not in json.loads(path.read_text(encoding="utf-8")):
        raise ValueError("no global_step")


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Within it a checkpoint that was found whole is loaded. One that cannot be loaded all the same is set aside.

    Raises DamagedFileError then, in one line of our own: torch's errors advise to trust the file. Other errors, such as
    a shortage of memory, are none of the file's and pass.
    """
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    try:
        yield
    except (UnpicklingError, SafetensorError, EOFError, FileNotFoundError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error):
            raise
        said = f"{folder}: damaged: a file of it cannot be loaded ({type(error).__name__})"
        log_aside(folder, said, "the same command goes on from the whole one before it, or anew")
        raise DamagedFileError(said) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
