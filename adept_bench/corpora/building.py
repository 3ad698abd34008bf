"""Make what is kept of a large corpus, its scan and its tokens: whole or not at all, once for all who want it."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adept_bench.corpora.formats import Position
from adept_bench.corpora.identity import tokenizer_hash
from adept_bench.corpora.reading import documents
from adept_bench.corpora.scanning import Scan, Scanner, load_scan
from adept_bench.corpora.sources import Source
from adept_bench.corpora.specials import LiteralTokens
from adept_bench.corpora.store import TokenStore, TokenWriter
from adept_bench.corpora.tokens import encoded
from adept_bench.errors import InputError
from adept_bench.files import cache_root, content_hash, locked, write_json
from adept_bench.progress import Task, reporter

FORMAT = 1  # of the files kept: raised when their meaning changes, so that older ones are not read
TOKENS = 2  # the same of token files: 2 says which special tokens stood in the text, and never doubles one
MEGABYTE = 10**6
STEP = 1000  # documents between two signs of progress where nothing is tokenised


@dataclass(frozen=True)
class _Places:
    """Where what is known of one corpus lies; `scan` is also the name of the lock for all of it."""

    key: str

    @property
    def scan(self) -> Path:
        return cache_root() / "corpora" / f"{self.key}-scan"

    @property
    def texts(self) -> Path:
        return cache_root() / "corpora" / f"{self.key}-texts.json"

    def tokens(self, rules: Any) -> Path:
        return cache_root() / "corpora" / f"{self.key}-tokens-{content_hash(rules)}"


def _places(source: Source) -> _Places:
    return _Places(content_hash([FORMAT, source.identity()]))


def kept_texts(source: Source, characters: int) -> tuple[list[str], dict[str, Any]] | None:
    """(Texts, notes) of a corpus that `keep_texts` was given, if they are in the cache and no longer than so much."""
    try:
        kept = json.loads(_places(source).texts.read_text(encoding="utf-8"))
        return (kept["texts"], kept["notes"]) if sum(map(len, kept["texts"])) <= characters else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never kept, or damaged


def keep_texts(source: Source, texts: list[str]) -> None:
    """Keep all texts of a small corpus that came over a network, so that it is fetched once."""
    with suppress(OSError):  # a full or read-only cache only costs time
        write_json(_places(source).texts, {"texts": texts, "notes": source.notes()})


def scan_of(source: Source) -> Scan | None:
    """The scan of `source` that is in the cache, if there is one."""
    return load_scan(_places(source).scan)


def built(source: Source) -> Scan:
    """The scan of `source`, made if it is not in the cache. Raises InputError as `source.texts` does."""
    state, places = source.state(), _places(source)
    if (scan := load_scan(places.scan)) is None:
        with locked(places.scan):
            if (scan := load_scan(places.scan)) is None:
                _pass(source, state, places, lambda texts: (None for _ in texts), None)
                scan = load_scan(places.scan)
    assert scan is not None
    return scan


def build(
    source: Source, tokenizer: Any, *, max_length: int | None, append_eos: bool, expected: Scan | None = None
) -> TokenStore:
    """The tokens of all documents of `source`, made if they are not in the cache; with them its scan.

    Raises InputError as `source.texts` and `tokens.encoded` do, for a full disk, and where the documents are not those
    of `expected`.
    """
    state, places = source.state(), _places(source)
    rules = {"tokenizer": tokenizer_hash(tokenizer), "max_length": max_length, "append_eos": append_eos, "of": TOKENS}
    folder = places.tokens(rules)
    if (store := _load_store(folder)) is None:
        with locked(places.scan):
            if (store := _load_store(folder)) is None:
                encode = partial(encoded, tokenizer, max_length=max_length, append_eos=append_eos)
                _pass(source, state, places, encode, (folder, tokenizer))
                store = TokenStore(folder)
    if expected is not None and store.facts["hash"] != expected.hash:
        raise InputError(f"{source.name}: changed since it was first read; expected it to stay as it is")
    return store


def _load_store(folder: Path) -> TokenStore | None:
    try:
        return TokenStore(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _pass(
    source: Source,
    state: Any,
    places: _Places,
    encode: Callable[[Iterable[str]], Iterator[list[list[int]] | None]],
    store: tuple[Path, Any] | None,
) -> None:
    """Go through the documents once: write the scan, if there is none, and the tokens to `store` (folder, tokenizer).

    Only to be called with the corpus's lock held. `state` is what `source.state()` was before it was identified.
    """
    for left in places.scan.parent.glob(f".{places.key}-*.tmp"):  # of a process that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    position = Position()
    with ExitStack() as stack:
        stack.enter_context(_room(source.name))
        scanner = Scanner(stack.enter_context(_whole_folder(places.scan, keep=load_scan(places.scan) is not None)))
        stack.callback(scanner.close)
        texts: Iterable[str] = scanner.watch(documents(source.texts(position)))
        writer = literal = None
        if store is not None:
            writer = TokenWriter(stack.enter_context(_whole_folder(store[0])), store[1])
            stack.callback(writer.close)
            literal = LiteralTokens(store[1])
            texts = literal.watch(texts)
        task = stack.enter_context(_task("tokenising" if writer else "reading", source))
        for number, batch in enumerate(encode(texts)):
            if writer is not None and batch is not None:
                writer.add(batch)
                _show(task, position, scanner.documents, tokens=writer.tokens)
            elif number % STEP == 0:
                _show(task, position, scanner.documents)
        scan = scanner.finish(source.notes())
        if writer is not None and literal is not None:
            writer.finish({"hash": scan.hash, "literal": literal.describe()})
        if source.state() != state:
            raise InputError(f"{source.name}: changed while it was read; expected it to stay as it is")
    counted = f", {writer.tokens} tokens" if writer is not None else ""
    reporter().log(f"{source.name}: {scanner.documents} documents{counted}, kept in {places.scan.parent}")


def _task(what: str, source: Source) -> AbstractContextManager[Task]:
    total = None if source.size is None else math.ceil(source.size / MEGABYTE)
    return reporter().task(f"{what} {source.name}", total, "documents" if total is None else "MB")


def _show(task: Task, position: Position, seen: int, **fields: int) -> None:
    if task.total is None:
        task.update(seen - task.done, **fields)
    else:
        task.update(math.ceil(position.done / MEGABYTE) - task.done, documents=seen, **fields)


@contextmanager
def _room(name: str) -> Iterator[None]:
    """Say of a full disk what can be done."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{cache_root()}: the disk is too full for the tokens of {name}; expected $ADEPT_BENCH_CACHE to name a "
            "folder with room for two to four bytes a token"
        ) from error


@contextmanager
def _whole_folder(final: Path, *, keep: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes `final` when the block ends well, and is removed otherwise.

    Only to be called with `final`'s lock held. `keep`: there is a good one already, which stays.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp"))
    try:
        yield temporary
        if keep:
            return
        for path in temporary.iterdir():
            with open(path, "rb") as handle:
                os.fsync(handle.fileno())
        umask = os.umask(0)  # mkdtemp makes the folder private; it is as readable as the user's others
        os.umask(umask)
        os.chmod(temporary, 0o777 & ~umask)
        if final.exists():  # damaged, else it would not be made again
            shutil.rmtree(final)
        os.rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
