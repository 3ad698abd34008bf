"""Checkpoint folders as they are written: free before the work, whole after it, and how they say where copies are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench import __version__
from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.models.expansion import Expansion


def free_output(output: str | Path) -> Path:
    """The folder to write, as an absolute path.

    For use before any work: raises InputError unless it is new or empty, not the working folder, and can be written.
    """
    found = Path(output).expanduser().resolve()
    if found.is_dir() and any(found.iterdir()):
        raise InputError(f"--output: {output} is not empty; expected a new or empty folder")
    if found.exists() and not found.is_dir():
        raise InputError(f"--output: {output} is a file; expected a new or empty folder")
    if found == Path.cwd():
        raise InputError(f"--output: {output} is the working folder; expected a new or empty folder below or beside it")
    try:
        found.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=found.parent).close()
    except OSError as error:
        raise InputError(f"--output: cannot write {found}: {error.strerror or error}") from None
    return found


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that becomes it, whole, when the block ends well; else it vanishes.

    `output` is new or empty. Raises InputError where it cannot be written.
    """
    temporary = output.parent / f".{output.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"--output: cannot write {output}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
