"""Where commands write: one rule for all of them, asked before their work.

A file is new, or one that this program wrote, told by its content, or the user says --force; only a regular file is
ever replaced, and an input never. A folder is new or empty (or holds what the same command wrote, where it says so),
and is neither an input nor inside one nor around one.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from adept_bench.errors import InputError
from adept_bench.files import write_whole

Ours = Callable[[Path], bool]
"""Whether this program wrote the file, by its content; raises OSError where it cannot be read."""

OPTION = "--output"
LARGEST = 2**28  # bytes of a JSON file that is looked at
BEGINNING = 4096  # bytes
_WEIGHTS = (".safetensors", ".safetensors.index.json")
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_file(path: Path, ours: Ours, *, force: bool = False, option: str = OPTION) -> None:
    """Raise InputError unless a file may be written at `path`: none is there, `ours` knows it, or `force`.

    What is no regular file is refused before it is opened, `force` or not.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _cannot(path, error, option) from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{option}: {path} is a folder; expected the name of a file")
    if not stat.S_ISREG(mode):
        found = next((words for test, words in _KINDS if test(mode)), "no regular file")
        raise InputError(f"{option}: {path} is {found}; expected a new file, or a regular one")
    if not force and not known(path, ours):
        raise InputError(
            f"{option}: {path} is there, and not as this command wrote it; expected another place, or --force to "
            "replace it"
        )


def known(path: Path, ours: Ours) -> bool:
    """Whether `ours` knows the file; not where there is none that can be read."""
    try:
        return ours(path)
    except OSError:
        return False


@dataclass(frozen=True)
class FileOutput:
    """A file that a command writes at its end. `inputs`: what it reads, paths or other names (a Hub id)."""

    path: Path
    ours: Ours
    force: bool = False
    inputs: Iterable[str | Path] = field(default=())

    def check(self) -> None:
        """Before the work: raise InputError where the file could not be written after it. Nothing is left behind."""
        self._may_be_written()
        folder = self.path.parent
        if not folder.is_dir():
            raise InputError(f"{OPTION}: {folder} does not exist or is no folder; expected a file in an existing one")
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise InputError(f"{OPTION}: {folder} cannot be written to: {error.strerror}") from None

    def write(self, content: str | bytes) -> None:
        """Write it whole. Raises InputError where that cannot be, or where another file has come there since."""
        self._may_be_written()
        try:
            write_whole(self.path, content)
        except OSError as error:
            raise _cannot(self.path, error, OPTION) from None

    def _may_be_written(self) -> None:
        try:
            place = self.path.resolve()
        except (OSError, RuntimeError):  # a name too long, links in a circle: said below
            place = self.path
        inputs = _existing(self.inputs)
        if place in inputs:
            raise InputError(f"{OPTION}: {self.path} is an input of this command; expected another file")
        check_file(self.path, self.ours, force=self.force)
        inside = any(given in place.parents for given in inputs)
        if inside and self.path.exists() and not known(self.path, self.ours):
            raise InputError(f"{OPTION}: {self.path} is part of an input of this command; expected another place")


def json_with(*keys: str, but: str = "") -> Ours:
    """Whether a file is a JSON object that has all of `keys`, and not `but`."""

    def ours(path: Path) -> bool:
        if path.stat().st_size > LARGEST:
            return False
        try:
            found = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and found.keys() >= set(keys) and but not in found

    return ours


def starts_with(mark: str) -> Ours:
    """Whether a file has `mark` in its first few lines."""

    def ours(path: Path) -> bool:
        with path.open("rb") as handle:
            return mark.encode() in handle.read(BEGINNING)

    return ours


LAYERS = json_with("metric", "model", "corpus", "base_loss", "layers", "lowest")
UNITS = json_with("model", "corpus", "units")
TIMING = json_with("shape", "method", "device", "step_seconds")
EVALUATION = json_with("model", "suite", "preset", "tasks", "losses", but="schema_version")  # a cell has that
REPORT = starts_with('<meta name="generator" content="adept-bench ')


def check_new_folder(output: str | Path, inputs: Iterable[str | Path] = (), option: str = OPTION) -> Path:
    """The folder to write, as an absolute path; nothing is made yet.

    For use before any work: raises InputError unless it is new or empty, apart from the `inputs`, not the working
    folder, and can be written.
    """
    try:
        found = Path(output).expanduser().resolve()
        if found.exists() and not found.is_dir():
            raise InputError(f"{option}: {output} is a file; expected a new or empty folder")
        check_apart(found, inputs, option)
        if found.is_dir() and any(found.iterdir()):
            raise InputError(f"{option}: {output} is not empty; expected a new or empty folder")
        if found == Path.cwd():
            expected = "expected a new or empty folder below or beside it"
            raise InputError(f"{option}: {output} is the working folder; {expected}")
        if os.path.ismount(found):
            raise InputError(f"{option}: {output} is where a disk is mounted; expected a folder below it")
        _try(found)
    except OSError as error:
        raise _cannot(output, error, option) from None
    return found


def check_folder(folder: Path, inputs: Iterable[str | Path] = (), option: str = OPTION) -> None:
    """Before the work, of a folder that files are added to: raise InputError, naming `option`, where it is no folder
    or could not become one, or is not apart from the `inputs`. Nothing is left behind."""
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{option}: {str(folder)!r} is a file; expected a folder")
        check_apart(folder.resolve(), inputs, option)
        if folder.is_dir():
            tempfile.TemporaryFile(dir=folder).close()
        else:
            _try(folder.resolve())
    except OSError as error:
        raise _cannot(folder, error, option) from None


def check_apart(output: Path, inputs: Iterable[str | Path], option: str = OPTION) -> None:
    """Raise InputError where the folder `output`, absolute, is one of the `inputs`, lies in one or holds one."""
    for given in _existing(inputs):
        if given.name.endswith(_WEIGHTS) and given.is_file():
            given = given.parent  # which is what such a file names
        if given == output:
            raise InputError(f"{option}: {output} is an input of this command; expected another folder")
        if given in output.parents:
            raise InputError(f"{option}: {output} lies in {given}, an input of this command; expected a folder apart")
        if output in given.parents:
            raise InputError(f"{option}: {output} holds {given}, an input of this command; expected a folder apart")


def temporary_name(output: Path) -> Path:
    """A folder beside `output`, for what is to become it."""
    return output.parent / f".{output.name}.{os.getpid()}.tmp"


def existing_parent(path: Path) -> Path:
    """The nearest folder above `path`, absolute, that is there."""
    return next(one for one in path.parents if one.exists())


def _existing(inputs: Iterable[str | Path]) -> list[Path]:
    """The inputs that are files or folders here, absolute."""
    found = []
    for given in inputs:
        try:
            place = Path(given).expanduser().resolve()
            if place.exists():
                found.append(place)
        except (OSError, RuntimeError, ValueError):  # no name of a file, or ~ of nobody
            continue
    return found


def _try(output: Path) -> None:
    """Make a folder as deep and with names as long as `output`'s, and the one it grows from, and remove it all."""
    there = existing_parent(output)
    if not there.is_dir():
        raise FileExistsError(0, "", str(there))
    with tempfile.TemporaryDirectory(dir=there, prefix=".") as trial:
        (Path(trial) / temporary_name(output).relative_to(there)).mkdir(parents=True)


def _cannot(output: str | Path, error: OSError, option: str) -> InputError:
    shown = str(output) if len(str(output)) < 200 else f"{str(output)[:80]}..."
    why = f"{error.filename} is a file" if isinstance(error, FileExistsError) else error.strerror or error
    return InputError(f"{option}: cannot write {shown}: {why}")
