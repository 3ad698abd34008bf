"""Training text of any size: in memory where it is small, otherwise tokenised once into files and read from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from adept_bench.corpora.building import build, built, keep_texts, kept_texts, scan_of
from adept_bench.corpora.reading import (
    Corpus,
    corpus_of,
    documents,
    held_out_count,
    no_documents,
    split_held_out,
    spread,
)
from adept_bench.corpora.scanning import SAMPLE, Sampled, Scan
from adept_bench.corpora.sources import Source, find_source
from adept_bench.corpora.specials import literal
from adept_bench.corpora.store import Documents, MemoryDocuments
from adept_bench.corpora.tokens import encoded
from adept_bench.errors import InputError
from adept_bench.files import content_hash

IN_MEMORY = 1 << 26  # characters of a corpus that is read into memory: 64 Mi, with tokens about 0.5 GB


@dataclass(frozen=True)
class SmallText:
    """Training text that is all in memory. The same methods as `LargeText`."""

    corpus: Corpus
    notes: dict[str, Any] = field(default_factory=dict)
    """What the source has to say of itself (`Source.notes`)."""

    @property
    def source(self) -> str:
        """Where it comes from, as it was named."""
        return self.corpus.source

    @property
    def hash(self) -> str:
        """The corpus's content hash."""
        return self.corpus.hash

    def split(self, *, fraction: float, minimum: int, maximum: int) -> tuple[SmallText, Corpus]:
        """(Text to train on, held out): `reading.split_held_out` with its seed 0."""
        train, held = split_held_out(self.corpus, fraction=fraction, minimum=minimum, maximum=maximum)
        return SmallText(train, self.notes), held

    def sample(self, count: int) -> Corpus:
        """`count` documents at even distances, all where there are fewer."""
        return corpus_of(self.source, spread(self.corpus.texts, count))

    def tokens(self, tokenizer: Any, *, max_length: int | None = None, append_eos: bool = True) -> Documents:
        """The documents' token ids, as `tokens.tokenize_documents` makes them."""
        batches = encoded(tokenizer, self.corpus.texts, max_length=max_length, append_eos=append_eos)
        return MemoryDocuments(ids for batch in batches for ids in batch if len(ids) >= 2)

    def literal(self, tokenizer: Any) -> dict[str, Any]:
        """Special tokens of the tokenizer that stand in the text (`specials.LiteralTokens.describe`)."""
        return literal(tokenizer, self.corpus.texts)

    def describe(self) -> dict[str, Any]:
        """What a result records: source, documents, characters, hash."""
        return self.corpus.describe()


@dataclass(frozen=True)
class LargeText:
    """Training text that is read from its source once, and from files of the cache ever after.

    `held` are the texts that a split took away; of `describe`, `hash` is then of the whole's and of theirs.
    """

    origin: Source
    scan: Scan
    held: tuple[Sampled, ...] = ()

    @property
    def source(self) -> str:
        """Where it comes from, as it was named."""
        return f"{self.origin.name} (train)" if self.held else self.origin.name

    @property
    def notes(self) -> dict[str, Any]:
        """What the source had to say of itself when it was read (`Source.notes`)."""
        return self.scan.notes

    @cached_property
    def hash(self) -> str:
        """The whole's content hash, which is `Corpus.hash`; of a part, a hash of it and of what was held out."""
        if not self.held:
            return self.scan.hash
        return content_hash([self.scan.hash, "without", sorted(entry.digest for entry in self.held)])

    def split(self, *, fraction: float, minimum: int, maximum: int) -> tuple[LargeText, Corpus]:
        """(Text to train on, held out): the very documents that `reading.split_held_out` chooses, all copies gone.

        Raises InputError for fewer than two distinct documents and for more than SAMPLE to hold out.
        """
        if self.held:
            raise ValueError(f"{self.source} was split before")
        if self.scan.distinct < 2:
            raise InputError(f"{self.source}: one distinct document cannot be split in a training and a held-out part")
        wanted = held_out_count(self.scan.distinct, fraction, minimum, maximum)
        if wanted > SAMPLE:
            raise InputError(
                f"{self.source}: {wanted} documents to hold out; expected at most {SAMPLE} of a large corpus"
            )
        held = self.scan.sample[:wanted]
        return replace(self, held=held), self.scan.texts(f"{self.origin.name} (held out)", held)

    def sample(self, count: int) -> Corpus:
        """`count` documents at even distances in the sample, which has at most SAMPLE distinct texts; all if fewer."""
        kept = sorted(self.scan.sample[len(self.held) :], key=lambda entry: entry.index)
        return self.scan.texts(self.source, spread(kept, count))

    def tokens(self, tokenizer: Any, *, max_length: int | None = None, append_eos: bool = True) -> Documents:
        """The documents' token ids as a `TokenStore`, equal to those of `SmallText.tokens`; tokenised if need be.

        Raises InputError for a source that changed since it was first read.
        """
        store = build(self.origin, tokenizer, max_length=max_length, append_eos=append_eos, expected=self.scan)
        return store.without(np.union1d(store.shorter_than(2), self._missing))

    def literal(self, tokenizer: Any) -> dict[str, Any]:
        """Special tokens of the tokenizer that stand in the text, what was held out included; as `SmallText`'s."""
        store = build(self.origin, tokenizer, max_length=None, append_eos=True, expected=self.scan)
        return dict(store.facts["literal"])

    @cached_property
    def _missing(self) -> np.ndarray:
        return self.scan.copies(self.held) if self.held else np.empty(0, dtype=np.int64)

    def describe(self) -> dict[str, Any]:
        """What a result records: source, documents, characters, hash."""
        characters = self.scan.characters
        if self.held:
            size = {entry.digest: entry.characters for entry in self.held}
            characters -= sum(size[digest] for digest in self.scan.digests()[self._missing].tolist())
        return {
            "source": self.source,
            "documents": self.scan.documents - len(self._missing),
            "characters": characters,
            "hash": self.hash,
        }


TrainingText = SmallText | LargeText


def open_corpus(
    source: str | Source,
    *,
    option: str = "--corpus",
    load_tokenizer: Callable[[], Any] | None = None,
    max_length: int | None = None,
    append_eos: bool = True,
    in_memory: int = IN_MEMORY,
) -> TrainingText:
    """Training text of `source`, which is written as `reading.read_corpus` says, or a source itself.

    A corpus of at most `in_memory` characters is read into memory, a Hub dataset by streaming it, once: its texts are
    kept in the cache (`files.cache_root()`) under its commit. A larger one is read once from its beginning to its end,
    in bounded memory, and what was found is kept there under its content, so that no later run reads it again; with
    `load_tokenizer`, it is tokenised on the way as `tokens(load_tokenizer(), max_length=..., append_eos=...)` will ask
    for. Two processes that want the same wait for each other.

    Raises InputError, naming `option` or the file and line, for what cannot be read, for an empty corpus, and for a
    full disk.
    """
    found = find_source(source, option=option) if isinstance(source, str) else source
    known = scan_of(found) if found.remote else None  # a stream from the Hub costs more than asking for its commit
    if found.remote and (kept := kept_texts(found, in_memory)) is not None:
        return SmallText(corpus_of(found.name, kept[0]), kept[1])
    if known is None:
        texts = _within(documents(found.texts()), in_memory)
        if texts == []:
            raise no_documents(found.name, option)
        if texts is not None:
            if found.remote:
                keep_texts(found, texts)
            return SmallText(corpus_of(found.name, texts), found.notes())
    if load_tokenizer is not None:
        build(found, load_tokenizer(), max_length=max_length, append_eos=append_eos)
    return LargeText(found, built(found))


def _within(texts: Iterable[str], characters: int) -> list[str] | None:
    """All the texts; None where they are longer than so many characters together."""
    found: list[str] = []
    for text in texts:
        characters -= len(text)
        if characters < 0:
            return None
        found.append(text)
    return found
