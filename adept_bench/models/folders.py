"""Checkpoint folders as they are written: free before the work, whole after it, and how they say where copies are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench import __version__
from adept_bench.errors import InputError
from adept_bench.files import not_written

if TYPE_CHECKING:
    from adept_bench.models.expansion import Expansion


def free_output(output: str | Path) -> Path:
    """The folder to write, as an absolute path.

    For use before any work: raises InputError unless it is new or empty, not the working folder, and can be written.
    """
    try:
        found = Path(output).expanduser().resolve()
        if found.is_dir() and any(found.iterdir()):
            raise InputError(f"--output: {output} is not empty; expected a new or empty folder")
        if found.exists() and not found.is_dir():
            raise InputError(f"--output: {output} is a file; expected a new or empty folder")
        if found == Path.cwd():
            expected = "expected a new or empty folder below or beside it"
            raise InputError(f"--output: {output} is the working folder; {expected}")
        if os.path.ismount(found):
            raise InputError(f"--output: {output} is where a disk is mounted; expected a folder below it")
        found.parent.mkdir(parents=True, exist_ok=True)
        _temporary(found).mkdir()  # its name is longer, and may be too long
        _temporary(found).rmdir()
    except OSError as error:
        shown = str(output) if len(str(output)) < 200 else f"{str(output)[:80]}..."
        why = f"{error.filename} is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise InputError(f"--output: cannot write {shown}: {why}") from None
    return found


def _temporary(output: Path) -> Path:
    return output.parent / f".{output.name}.{os.getpid()}.tmp"


def check_room(output: Path, needed: int, what: str) -> None:
    """Raise InputError where the disk of `output`, not there yet, has less than `needed` bytes left for `what`."""
    free = shutil.disk_usage(output.parent).free
    if needed > free:
        raise InputError(
            f"--output: {output.parent} has {free / 2**30:.1f} GiB free; {what} needs {needed / 2**30:.1f}"
        )


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that becomes it, whole, when the block ends well; else it vanishes.

    `output` is new or empty. Raises InputError where it cannot be written.
    """
    temporary = _temporary(output)
    try:
        with writing(output):
            temporary.mkdir(parents=True)
            yield temporary
            os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"--output: cannot write {output}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class NoRoom(InputError):
    """A disk takes no more: all that writes there fails, whatever it is."""


@contextmanager
def writing(output: Path, option: str = "--output") -> Iterator[None]:
    """NoRoom, naming `option` and `output`, for whatever a library says where a file on its disk cannot be written."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # safetensors, torch and tokenizers have errors of their own for a full disk
        why = not_written(error)
        if why is None:
            raise
        raise NoRoom(f"{option}: cannot write {output}: {why}") from error


def expansion_record(
    expansion: Expansion,
    *,
    base: str | None,
    base_hash: str,
    selection: dict[str, Any],
    certificate: dict[str, Any] | None,
) -> dict[str, Any]:
    """What expansion.json says: the base, where its copies are, how they were chosen, and the proof."""
    return {
        "base": base,
        "base_hash": base_hash,
        "base_layers": expansion.base_layers,
        "layers": list(expansion.sources),
        "copies": list(expansion.copies),
        "selection": selection,
        "certificate": certificate,
        "adept_bench": __version__,
    }
