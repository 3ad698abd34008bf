"""Checkpoint folders as they are written: whole or not at all, and how they say where copies are."""

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
from adept_bench.outputs import existing_parent, temporary_name

if TYPE_CHECKING:
    from adept_bench.models.expansion import Expansion


def check_room(output: Path, needed: int, what: str) -> None:
    """Raise InputError where the disk of `output`, not there yet, has less than `needed` bytes left for `what`."""
    there = existing_parent(output)
    free = shutil.disk_usage(there).free
    if needed > free:
        raise InputError(f"--output: {there} has {free / 2**30:.1f} GiB free; {what} needs {needed / 2**30:.1f}")


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that becomes it, whole, when the block ends well; else it vanishes.

    `output` is new or empty. Raises InputError where it cannot be written.
    """
    temporary = temporary_name(output)
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
