"""Read a corpus from wherever a user names it, and split off documents that training never sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from adept_bench.corpora.sources import find_source
from adept_bench.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order. `hash` is a content hash of the texts alone: the same texts, the same hash."""

    source: str
    texts: list[str]
    hash: str

    def describe(self) -> dict[str, Any]:
        """What a result records of the corpus; `characters` counts Unicode code points."""
        characters = sum(map(len, self.texts))
        return {"source": self.source, "documents": len(self.texts), "characters": characters, "hash": self.hash}


def corpus_of(source: str, texts: list[str]) -> Corpus:
    """A corpus of texts already in memory."""
    hasher = TextsHash()
    for text in texts:
        hasher.add(text.encode("utf-8"))
    return Corpus(source, texts, hasher.hexdigest())


class TextsHash:
    """The hash of a sequence of texts, as it grows."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Add a text, as UTF-8."""
        # the length keeps ["ab", "c"] and ["a", "bc"] apart
        self._digest.update(len(data).to_bytes(8, "big"))
        self._digest.update(data)

    def hexdigest(self) -> str:
        """16 hex digits."""
        return self._digest.hexdigest()[:16]


def read_corpus(source: str, *, option: str = "--corpus", limit: int | None = None) -> Corpus:
    """Read the documents of `source`, the first `limit` of them if given.

    `source` is a file (.jsonl with a `text` field a line; .json: a list of strings, a list of objects with `text`, or
    an object whose `text` is a list; .txt: a document a paragraph, paragraphs separated by blank lines; .parquet with
    a `text` column; .jsonl and .txt may be compressed, .gz or .zst behind the ending), `lab:NAME` for a corpus of the
    lab, or a dataset of the Hugging Face Hub written `owner/name[/config][@revision][:split]` (split `train` unless
    named). `#column` at the end of any but the lab's chooses another field than `text`. Documents of nothing but white
    space are left out. The whole text is in memory; `large.open_corpus` reads what is larger.

    Raises InputError, naming `option` or the file and line, for what cannot be read, and for an empty corpus.
    """
    if limit is not None and limit < 1:
        raise InputError(f"{option}: limit {limit} is not a positive number of documents")
    found = find_source(source, option=option, download=limit is None)
    texts = list(islice(documents(found.texts()), limit))
    if not texts:
        raise no_documents(source, option)
    return corpus_of(source, texts)


def documents(texts: Iterable[str]) -> Iterable[str]:
    """The texts that count as documents: those that are not blank."""
    return (text for text in texts if text.strip())


def no_documents(source: str, option: str) -> InputError:
    """The error for a corpus without documents."""
    return InputError(f"{option}: {source} holds no documents; expected at least one that is not blank")


def spread(texts: Sequence[Item], count: int) -> list[Item]:
    """`count` of the texts at even distances (all where there are fewer), so that a sorted corpus is sampled fairly."""
    if len(texts) <= count:
        return list(texts)
    return [texts[index * len(texts) // count] for index in range(count)]


def held_out_rank(data: bytes, seed: int = 0) -> bytes:
    """What orders texts (as UTF-8) for being held out: the lowest are. 32 bytes, a hash of `seed` and text alone."""
    return hashlib.sha256(b"%d:%b" % (seed, data)).digest()


def held_out_count(distinct: int, fraction: float, minimum: int, maximum: int) -> int:
    """How many of `distinct` documents are held out, as `split_held_out` says; at least one."""
    return max(min(max(round(fraction * distinct), minimum), maximum, distinct // 2), 1)


def split_held_out(
    corpus: Corpus, *, fraction: float = 0.05, minimum: int = 8, maximum: int = 200, seed: int = 0
) -> tuple[Corpus, Corpus]:
    """Split `corpus` in (train, held out): `fraction` of its distinct documents, within `minimum` and `maximum`.

    A document is held out by a hash of its text and `seed`, so that neither the order of the corpus nor other
    documents decide about it, and no copy of a held-out text stays in train. At most half is ever held out. Both parts
    keep the corpus's order. Raises InputError for fewer than two distinct documents.
    """
    distinct = list(dict.fromkeys(corpus.texts))
    if len(distinct) < 2:
        raise InputError(f"{corpus.source}: one distinct document cannot be split in a training and a held-out part")
    wanted = held_out_count(len(distinct), fraction, minimum, maximum)
    held = set(sorted(distinct, key=lambda text: held_out_rank(text.encode("utf-8"), seed))[:wanted])
    train = corpus_of(f"{corpus.source} (train)", [text for text in corpus.texts if text not in held])
    return train, corpus_of(f"{corpus.source} (held out)", [text for text in distinct if text in held])
