"""Read a corpus from wherever a user names it, and split off documents that training never sees."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from adept_bench.corpora.formats import READERS
from adept_bench.errors import InputError, nearest, unknown_name

HUB_ID = re.compile(
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(/(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?(:(?P<split>[\w.\[\]%:+-]+))?"
)


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
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8")
        # the length keeps ["ab", "c"] and ["a", "bc"] apart
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return Corpus(source, texts, digest.hexdigest()[:16])


def read_corpus(source: str, *, option: str = "--corpus", limit: int | None = None) -> Corpus:
    """Read the documents of `source`, the first `limit` of them if given.

    `source` is a file (.jsonl with a `text` field a line; .json: a list of strings, a list of objects with `text`, or
    an object whose `text` is a list; .txt: a document a paragraph, paragraphs separated by blank lines; .parquet with
    a `text` column), `lab:NAME` for a corpus of the lab, or a dataset of the Hugging Face Hub written
    `owner/name[/config][@revision][:split]` (split `train` unless named). `#column` at the end of any but the lab's
    chooses another field than `text`. Documents of nothing but white space are left out.

    Raises InputError, naming `option` or the file and line, for what cannot be read, and for an empty corpus.
    """
    if limit is not None and limit < 1:
        raise InputError(f"{option}: limit {limit} is not a positive number of documents")
    texts = list(islice((text for text in _documents(source, option, limit) if text.strip()), limit))
    if not texts:
        raise InputError(f"{option}: {source} holds no documents; expected at least one that is not blank")
    return corpus_of(source, texts)


def _documents(source: str, option: str, limit: int | None) -> Iterable[str]:
    if source.startswith("lab:"):
        return _lab(source.removeprefix("lab:"), option)
    path, column = _split_column(source)
    if path.is_dir():
        raise InputError(f"{option}: {path} is a folder; expected a file ({', '.join(READERS)})")
    suffix = path.suffix.lower()
    if suffix in READERS:
        if not path.is_file():
            raise InputError(f"{option}: no file {path}{_did_you_mean(path)}")
        return READERS[suffix](path, column)
    if path.exists():
        raise InputError(f"{option}: {path} has an unknown ending; expected one of: {', '.join(READERS)}")
    identifier, _, hub_column = source.partition("#")
    parts = HUB_ID.fullmatch(identifier)
    if parts is None:
        raise InputError(
            f"{option}: {source!r} is neither a file ({', '.join(READERS)}) nor lab:NAME nor a Hub dataset "
            f"owner/name[@revision][:split][#column]{_did_you_mean(path)}"
        )
    return _hub(parts, hub_column or "text", source, option, streaming=limit is not None)


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


def _lab(name: str, option: str) -> list[str]:
    from adept_bench.lab import corpora

    if name not in corpora.NAMES:
        raise unknown_name(option, "lab corpus", f"lab:{name}", [f"lab:{known}" for known in corpora.NAMES])
    return list(corpora.texts(name))


def _hub(parts: re.Match[str], column: str, source: str, option: str, *, streaming: bool) -> Iterator[str]:
    from datasets import load_dataset

    try:
        rows = load_dataset(
            f"{parts['owner']}/{parts['name']}",
            parts["config"],
            revision=parts["revision"],
            split=parts["split"] or "train",
            streaming=streaming,
        )
    except Exception as error:  # datasets has no common base for: unknown id, unknown split, no network, gated
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{option}: no such file, and {source!r} could not be read from the Hub: {first_line}"
        ) from error
    for number, row in enumerate(rows):
        if column not in row:
            raise unknown_name(f"{option}: {source}", "column", column, list(row))
        if not isinstance(row[column], str):
            kind = type(row[column]).__name__
            raise InputError(f"{option}: {source} row {number}: column {column!r} holds {kind}; expected text")
        yield row[column]


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
    wanted = min(max(round(fraction * len(distinct)), minimum), maximum, len(distinct) // 2)
    ranked = sorted(distinct, key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())
    held = set(ranked[: max(wanted, 1)])
    train = corpus_of(f"{corpus.source} (train)", [text for text in corpus.texts if text not in held])
    return train, corpus_of(f"{corpus.source} (held out)", [text for text in distinct if text in held])
