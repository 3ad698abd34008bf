"""Where a corpus comes from: a file, the lab or the Hub. Each yields its documents one at a time, as often as asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adept_bench.corpora.formats import READERS, Position, ending
from adept_bench.corpora.identity import known_file_hash
from adept_bench.errors import InputError, nearest, unknown_name

HUB_ID = re.compile(
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(/(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?(:(?P<split>[\w.\[\]%:+-]+))?"
)
COMMIT = re.compile(r"[0-9a-f]{40}")
RESOLVE_SECONDS = 20.0  # to wait for the Hub's word on a revision


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


@dataclass(frozen=True)
class HubSource:
    """A split of a dataset of the Hub, at the commit that its revision names when it is first asked."""

    name: str
    parts: re.Match[str]
    column: str
    option: str
    download: bool = False
    """Read from (and fill) the local cache of `datasets` instead of streaming."""

    remote = True
    size = None

    @cached_property
    def commit(self) -> str | None:
        """The full commit hash; None where the Hub cannot be asked, as offline."""
        revision = self.parts["revision"]
        if revision and COMMIT.fullmatch(revision):
            return revision
        from huggingface_hub import HfApi

        try:
            found = HfApi().dataset_info(self.dataset, revision=revision, timeout=RESOLVE_SECONDS)
        except Exception:  # offline, gated, unknown: reading says which
            return None
        return found.sha

    @property
    def dataset(self) -> str:
        return f"{self.parts['owner']}/{self.parts['name']}"

    @cached_property
    def streamed(self) -> bool:
        """Offline, only what was downloaded before can be read; parts of a split (`train[:5%]`) cannot be streamed."""
        return not self.download and "[" not in (self.parts["split"] or "") and self.commit is not None

    def rows(self) -> Any:
        """The dataset, of `datasets`' streaming kind or memory-mapped. Raises InputError where it cannot be had."""
        from datasets import load_dataset

        try:
            return load_dataset(
                self.dataset,
                self.parts["config"],
                revision=self.commit if self.streamed else self.parts["revision"],
                split=self.parts["split"] or "train",
                streaming=self.streamed,
            )
        except Exception as error:  # datasets has no common base for: unknown id, unknown split, no network, gated
            raise InputError(
                f"{self.option}: no such file, and {self.name!r} could not be read from the Hub: {_first_line(error)}"
            ) from error

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document. Raises InputError, naming the row."""
        number, rows = 0, iter(self.rows())
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except Exception as error:  # a broken file or connection: of many kinds, as above
                raise InputError(
                    f"{self.option}: {self.name} cannot be read behind row {number}: {_first_line(error)}"
                ) from error
            if self.column not in row:
                raise unknown_name(f"{self.option}: {self.name}", "column", self.column, list(row))
            if not isinstance(row[self.column], str):
                kind = type(row[self.column]).__name__
                raise InputError(
                    f"{self.option}: {self.name} row {number}: column {self.column!r} holds {kind}; expected text"
                )
            yield row[self.column]
            number += 1

    def identity(self) -> str:
        """The dataset at its commit; of one read from the local cache, what `datasets` knows its content by."""
        place = f"{self.dataset}/{self.parts['config'] or ''}:{self.parts['split'] or 'train'}#{self.column}"
        return f"hub:{place}@{self.commit if self.streamed else self.rows()._fingerprint}"

    def state(self) -> Any:
        return None


Source = FileSource | LabSource | HubSource


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def find_source(source: str, *, option: str, download: bool = False) -> Source:
    """What `source` names, written as `reading.read_corpus` says; nothing is read yet.

    `download`: a Hub dataset is fetched to the local cache of `datasets` rather than streamed.
    Raises InputError, naming `option`, for a file that is not there or cannot be of any format.
    """
    if source.startswith("lab:"):
        return _lab(source, option)
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
            f"{option}: {source!r} is neither a file ({', '.join(READERS)}) nor lab:NAME nor a Hub dataset "
            f"owner/name[@revision][:split][#column]{_did_you_mean(path)}"
        )
    return HubSource(source, parts, hub_column or "text", option, download)


def _lab(source: str, option: str) -> LabSource:
    from adept_bench.lab import corpora

    name = source.removeprefix("lab:")
    if name not in corpora.NAMES:
        raise unknown_name(option, "lab corpus", source, [f"lab:{known}" for known in corpora.NAMES])
    return LabSource(source, name)


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
