"""Whether a checkpoint is whole: its files against the hashes recorded when it was complete, and errors of loading."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adept_bench.files import DamagedFileError, log_aside, read_sealed
from adept_bench.recorded import check_recorded

WEIGHTS = "trainable.safetensors"
STATE = "run_state.json"  # written last and whole: a folder without it was cut off
SCHEDULER, TRAINER = "scheduler.pt", "trainer_state.json"  # as the Trainer calls them
_KINDS: dict[str, Any] = {
    **{"identity": str, "curve": list, "ledger": list, "losses": list, "path": list},
    **dict.fromkeys(("seconds", "probe_seconds", "path_seconds"), (int, float)),
}
_ALWAYS = (WEIGHTS, TRAINER, SCHEDULER)
_SOME = ("optimizer*.pt", "rng_state*.pth")  # of every process where several train
_TENSORS = (".pt", ".pth")  # in torch's format, a zip archive with a checksum of each part


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
    except (OSError, DamagedFileError) as why:
        raise DamagedFileError(f"{STATE}: {why}") from None
    files = state.pop("files", None)
    if files is None:
        _check_readable(folder)
    else:
        check_recorded(folder, files)
    return state


def _check_readable(folder: Path) -> None:
    for pattern in (*_ALWAYS, *_SOME):
        if not any(folder.glob(pattern)):
            raise DamagedFileError(f"{pattern} is missing")
    for path in sorted(folder.iterdir()):
        try:
            _read(path)
        except (OSError, ValueError, TypeError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
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
