"""Where a corpus comes from: a file, the lab, benchmarks or the Hub. Each yields its documents as often as asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from adept_bench.corpora.formats import READERS, Position, ending
from adept_bench.corpora.hub import HUB_ID, HubSource, find_archive
from adept_bench.corpora.identity import known_file_hash
from adept_bench.errors import InputError, nearest, unknown_name
from adept_bench.files import content_hash


class Source(Protocol):
    """A corpus that is read one document at a time."""

    @property
    def name(self) -> str:
        """How it was named."""
        ...

    @property
    def remote(self) -> bool:
        """Whether reading it takes a network."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes to read, where they are known."""
        ...

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document, read as it is asked for; `position` follows the reading."""
        ...

    def identity(self) -> str:
        """What it is known by: the same documents, the same identity."""
        ...

    def state(self) -> Any:
        """What changes when its content does while it is read."""
        ...

    def notes(self) -> dict[str, Any]:
        """What a result is to record of it beside its texts' hash; of the last whole reading, where that matters."""
        ...


@dataclass(frozen=True)
class FileSource:
    """The documents of a file in the field or column `column`."""

    name: str
    path: Path
    column: str

    remote = False

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document; `position` follows the reading. Raises InputError, naming file and line."""
        return READERS[ending(self.path) or ""](self.path, self.column, position)

    def identity(self) -> str:
        """The file's content and how it is read: the same documents wherever it lies."""
        return f"file:{known_file_hash(self.path)}{ending(self.path)}#{self.column}"

    def state(self) -> Any:
        """What changes when the file does."""
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns

    @property
    def size(self) -> int | None:
        return self.path.stat().st_size

    def notes(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class LabSource:
    """A corpus of the lab."""

    name: str
    corpus: str

    remote = False
    size = None

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document."""
        from adept_bench.lab import corpora

        return iter(corpora.texts(self.corpus))

    def identity(self) -> str:
        """The corpus's name and content."""
        from adept_bench.lab.bases import corpus_hash

        return f"lab:{self.corpus}@{corpus_hash(self.corpus)}"

    def state(self) -> Any:
        return None

    def notes(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class TasksSource:
    """Development items of benchmarks as text: question and right answer, as the tasks' own templates write them."""

    name: str
    tasks: tuple[str, ...]
    data: tuple[tuple[str, str], ...] = ()
    """(task, local copy of its data)."""

    remote = False
    size = None

    @cached_property
    def _documents(self) -> list[str]:
        from adept_bench.evaluation.items import development_texts

        return development_texts(self.tasks, data=dict(self.data))

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document: as many of each task, task after task."""
        return iter(self._documents)

    def identity(self) -> str:
        """The tasks and the content of their items."""
        return f"{self.name}@{content_hash(self._documents)}"

    def state(self) -> Any:
        return None

    def notes(self) -> dict[str, Any]:
        """What the items are known by: the benchmarks' own data have no revision in lm-eval's tasks."""
        return {"identity": self.identity()}


def find_source(source: str, *, option: str, download: bool = False) -> Source:
    """What `source` names, written as `reading.read_corpus` says; nothing is read yet.

    `download`: a Hub dataset is fetched to the local cache of `datasets` rather than streamed.
    Raises InputError, naming `option`, for a file that is not there or cannot be of any format.
    """
    if source.startswith("lab:"):
        return _lab(source, option)
    if source.startswith("tasks:"):
        return _tasks(source, option)
    if source.startswith("set:"):
        from adept_bench.corpora.sets.source import find_part

        return find_part(source, option)
    if source.startswith("zip://"):
        return find_archive(source, option)
    path, column = _split_column(source)
    if path.is_dir():
        raise InputError(f"{option}: {path} is a folder; expected a file ({', '.join(READERS)})")
    if ending(path):
        if not path.is_file():
            raise InputError(f"{option}: no file {path}{_did_you_mean(path)}")
        return FileSource(source, path, column)
    if path.exists():
        raise InputError(f"{option}: {path} has an unknown ending; expected one of: {', '.join(READERS)}")
    identifier, _, hub_column = source.partition("#")
    parts = HUB_ID.fullmatch(identifier)
    if parts is None:
        raise InputError(
            f"{option}: {source!r} is neither a file ({', '.join(READERS)}) nor lab:NAME nor set:NAME/PART nor "
            "tasks:NAME,... nor zip://MEMBERS::FILE.zip nor a Hub dataset owner/name[@revision][:split][#column]"
            f"{_did_you_mean(path)}"
        )
    return HubSource(source, parts, hub_column or "text", option, download)


def _lab(source: str, option: str) -> LabSource:
    from adept_bench.lab import corpora

    name = source.removeprefix("lab:")
    if name not in corpora.NAMES:
        raise unknown_name(option, "lab corpus", source, [f"lab:{known}" for known in corpora.NAMES])
    return LabSource(source, name)


def _tasks(source: str, option: str) -> TasksSource:
    tasks = [task.strip() for task in source.removeprefix("tasks:").split(",")]
    if not all(tasks) or len(set(tasks)) < len(tasks):
        raise InputError(f"{option}: {source!r} is not valid; expected tasks:NAME,NAME with each task once")
    return TasksSource(source, tuple(tasks))


def _split_column(source: str) -> tuple[Path, str]:
    """`path#column` apart; a file whose own name holds a # is taken as it is."""
    whole = Path(source).expanduser()
    if "#" not in source or whole.exists():
        return whole, "text"
    path, _, column = source.rpartition("#")
    return Path(path).expanduser(), column or "text"


def _did_you_mean(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    close = nearest(path.name, (entry.name for entry in folder.iterdir() if entry.is_file()))
    return f"; did you mean {folder / close}?" if close else ""
