"""The files of a folder by size and hash: recorded when they are written, held against that when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adept_bench.files import DamagedFileError, file_hash


def recorded(folder: Path, record: str) -> dict[str, dict[str, Any]]:
    """{"bytes", "sha256"} of every file in the folder, by name; `record`: the file that this is to be written to."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != record)
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": found}
        for path, found in zip(files, _hashed(files), strict=True)
    }


def check_recorded(folder: Path, files: Mapping[str, Mapping[str, Any]], *, hashed: bool = True) -> None:
    """Raise DamagedFileError, naming the first file in `files` that is not what it was when it was recorded.

    Sizes come first, which cost nothing; with `hashed` everything is read, too.
    """
    try:
        for name, known in files.items():
            size = (folder / name).stat().st_size
            if size != known["bytes"]:
                raise DamagedFileError(f"{name} has {size} bytes; {known['bytes']} were written")
        found = _hashed([folder / name for name in files]) if hashed else []
    except OSError as error:  # what cannot be read is of no use, whatever the reason
        name = Path(error.filename).name if error.filename else "a file"
        raise DamagedFileError(f"{name}: {error.strerror or error}") from None
    for name, sha256 in zip(files, found):
        if sha256 != files[name]["sha256"]:
            raise DamagedFileError(f"{name} is not what was written (SHA-256 {sha256[:16]}…)")


def _hashed(files: list[Path]) -> list[str]:
    """SHA-256 of each file; side by side, as the optimizer's parts of a large model take minutes."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(file_hash, files))
