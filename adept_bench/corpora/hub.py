"""Corpora that are not files on the disk: datasets of the Hub, and members of an archive there or here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adept_bench.corpora.columns import row_text
from adept_bench.corpora.commits import COMMIT, Commit, commit_of
from adept_bench.corpora.formats import Position, jsonl_texts
from adept_bench.corpora.identity import known_file_hash
from adept_bench.corpora.opening import decode
from adept_bench.errors import InputError
from adept_bench.hub import reason
from adept_bench.quiet import quiet_datasets

HUB_ID = re.compile(
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(/(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?(:(?P<split>[\w.\[\]%:+-]+))?"
)
ARCHIVE = re.compile(
    r"zip://(?P<members>.+)::(hf://datasets/(?P<dataset>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?/)?(?P<file>.+\.zip)"
)
MEMBERS = (".jsonl", ".txt")
MEMBER_LIMIT = 1 << 28  # bytes of a .txt member, which is one document and read whole


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
    def _named(self) -> Commit:
        return commit_of(self.dataset, self.parts["revision"], self.option)

    @property
    def commit(self) -> str | None:
        """The full commit hash; None where the Hub cannot be asked and was not before."""
        return self._named.hash

    @property
    def dataset(self) -> str:
        return f"{self.parts['owner']}/{self.parts['name']}"

    @property
    def streamed(self) -> bool:
        """Offline, only what was downloaded before can be read; parts of a split (`train[:5%]`) cannot be streamed."""
        return not self.download and "[" not in (self.parts["split"] or "") and self._named.reachable

    def rows(self) -> Any:
        """The dataset, of `datasets`' streaming kind or memory-mapped. Raises InputError where it cannot be had."""
        from datasets import load_dataset

        try:
            with quiet_datasets():
                found = load_dataset(
                    self.dataset,
                    self.parts["config"],
                    revision=self.commit or self.parts["revision"],
                    split=self.parts["split"] or "train",
                    streaming=self.streamed,
                )
        except Exception as error:  # datasets has no common base for: unknown id, unknown split, no network, gated
            raise self._unreadable(reason(error)) from error
        if not self.streamed:
            self._check_commit(found)
        return found

    def _check_commit(self, found: Any) -> None:
        """Where the Hub does not answer, `datasets` takes whatever commit it downloaded last: refuse another."""
        places = [Path(file["filename"]).parent.name for file in found.cache_files]
        other = [name for name in places if COMMIT.fullmatch(name) and name != self.commit]
        if self.commit and other:
            raise self._unreadable(f"the cache of datasets holds commit {other[0]}, not {self.commit}")

    def _unreadable(self, why: str) -> InputError:
        return InputError(f"{self.option}: no such file, and {self.name!r} could not be read from the Hub: {why}")

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document, fetched as it is asked for. Raises InputError, naming the row."""
        where = f"{self.option}: {self.name}"
        number, rows = 0, iter(self.rows())
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except Exception as error:  # a broken file or connection: of many kinds, as above
                raise InputError(f"{where} cannot be read behind row {number}: {reason(error)}") from error
            yield row_text(row, self.column, f"{where} row {number}")
            number += 1

    def identity(self) -> str:
        """The dataset at its commit; where that is not known, what `datasets` knows the content of its cache by."""
        place = f"{self.dataset}/{self.parts['config'] or ''}:{self.parts['split'] or 'train'}#{self.column}"
        return f"hub:{place}@{self.commit or self.rows()._fingerprint}"

    def state(self) -> Any:
        return None

    def notes(self) -> dict[str, Any]:
        """The commit, so that a later run can name it as the revision."""
        return {"identity": self.identity()}


@dataclass(frozen=True)
class ArchiveSource:
    """The members of a .zip file that match a pattern, in the order of their names; the file is here or on the Hub.

    Of one on the Hub only what is read is fetched, at the commit that its revision names when it is first asked.
    """

    name: str
    parts: re.Match[str]
    column: str
    option: str

    size = None

    @property
    def remote(self) -> bool:
        return self.parts["dataset"] is not None

    @cached_property
    def place(self) -> str:
        """The archive: a path, or hf://datasets/ID@COMMIT/FILE."""
        if not self.remote:
            return str(Path(self.parts["file"]).expanduser().resolve())
        commit = commit_of(self.parts["dataset"], self.parts["revision"], self.option).hash or self.parts["revision"]
        return f"hf://datasets/{self.parts['dataset']}{'@' + commit if commit else ''}/{self.parts['file']}"

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document: a line of a .jsonl member, a whole .txt member. Raises InputError, naming member and line."""
        import fsspec

        try:
            members = fsspec.open_files(f"zip://{self.parts['members']}::{self.place}", mode="rb")
            for member in sorted(members, key=lambda member: member.path):
                with member as handle:
                    yield from _member_texts(handle, f"{self.place}: {member.path}", self.column)
        except InputError:
            raise
        except Exception as error:  # not there, no network (of the HTTP library's own kind), not an archive
            raise InputError(f"{self.option}: {self.name!r} cannot be read: {reason(error)}") from error
        if not members:
            raise InputError(f"{self.option}: {self.place} has no member {self.parts['members']!r}")

    def identity(self) -> str:
        """The archive's content (of a remote one: its commit), its members and how they are read."""
        where = self.place if self.remote else f"file:{known_file_hash(Path(self.place))}"
        return f"zip:{self.parts['members']}::{where}#{self.column}"

    def state(self) -> Any:
        """What changes when a local archive does."""
        if self.remote:
            return None
        stat = Path(self.place).stat()
        return stat.st_size, stat.st_mtime_ns

    def notes(self) -> dict[str, Any]:
        """What the archive is known by, with the commit of a remote one."""
        return {"identity": self.identity()}


def find_archive(source: str, option: str) -> ArchiveSource:
    """What `zip://MEMBERS::FILE.zip[#column]` names. Raises InputError for what is not of that form or not there."""
    address, _, column = source.partition("#")
    parts = ARCHIVE.fullmatch(address)
    if parts is None or Path(parts["members"]).suffix.lower() not in MEMBERS:
        raise InputError(
            f"{option}: {source!r} is not zip://MEMBERS::FILE.zip[#column], MEMBERS a name or pattern that ends in one "
            f"of {', '.join(MEMBERS)}, FILE.zip here or at hf://datasets/OWNER/NAME[@REVISION]/"
        )
    if parts["dataset"] is None and not Path(parts["file"]).expanduser().is_file():
        raise InputError(f"{option}: no file {parts['file']}")
    return ArchiveSource(source, parts, column or "text", option)


def _member_texts(handle: Any, name: str, column: str) -> Iterator[str]:
    if name.lower().endswith(".jsonl"):
        yield from jsonl_texts(handle, column, name)
        return
    data = handle.read(MEMBER_LIMIT + 1)
    if len(data) > MEMBER_LIMIT:
        raise InputError(
            f"{name}: more than {MEMBER_LIMIT} bytes; expected shorter documents, as a line of .jsonl each"
        )
    yield decode(data, name, 0).removeprefix("\ufeff")
