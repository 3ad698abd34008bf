"""Training text made from sources: mixed by share, without test items and copies, read as far as the budget needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from adept_bench.corpora.formats import Position
from adept_bench.corpora.overlap import RULES, ItemNgrams, Screened, screened
from adept_bench.corpora.sources import Source
from adept_bench.progress import reporter

EXAMPLES = 10  # digests of documents left out that a result records


@dataclass(frozen=True)
class Part:
    """A source and its share of the text, above 0; the shares of a corpus sum to 1."""

    source: Source
    share: float = 1.0


@dataclass
class _Taken:
    """What has been read of a part so far. Bytes are of UTF-8, of documents that were kept."""

    documents: int = 0
    bytes: int = 0
    duplicates: int = 0
    contaminated: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class PreparedSource:
    """The documents of `parts`, each taken from the part that is furthest behind its share of the bytes taken so far.

    So after every document the bytes of a part are within one document a part of its share. The text ends with the
    first part that has no more documents, or at `limit` bytes: shares hold to the end, and nothing is read beyond. Left
    out are documents that share an n-gram with one of `items`, and, with `deduplicate`, those whose units were seen
    before, in whichever part. Memory: a batch of text a part, and about 60 bytes a document to know copies by.
    """

    name: str
    parts: tuple[Part, ...]
    items: ItemNgrams | None = None
    deduplicate: bool = False
    limit: int | None = None
    _notes: dict[str, Any] = field(default_factory=dict)

    size = None

    @property
    def remote(self) -> bool:
        return any(part.source.remote for part in self.parts)

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document. Raises InputError as the parts do."""
        streams = [self._screened(part) for part in self.parts]
        taken = [_Taken() for _ in self.parts]
        seen: set[bytes] = set()
        examples: list[str] = []
        total, ended = 0, None
        while ended is None and (self.limit is None or total < self.limit):
            behind = min(range(len(self.parts)), key=lambda at: (taken[at].bytes / self.parts[at].share, at))
            document = self._next(streams[behind], taken[behind], seen, examples)
            if document is None:
                ended = self.parts[behind].source.name
                break
            size = len(document.text.encode("utf-8"))
            taken[behind].documents += 1
            taken[behind].bytes += size
            total += size
            yield document.text
        self._notes.clear()
        self._notes.update(self._report(taken, ended, examples))
        self._say(taken, ended, total)

    def _screened(self, part: Part) -> Iterator[Screened]:
        texts = (text for text in part.source.texts() if text.strip())
        if self.items is None and not self.deduplicate:
            return (Screened(text, None, b"") for text in texts)
        return screened(texts, self.items)

    def _next(
        self, stream: Iterator[Screened], taken: _Taken, seen: set[bytes], examples: list[str]
    ) -> Screened | None:
        """The part's next document that stays."""
        for document in stream:
            if document.task is not None:
                taken.contaminated[document.task] += 1
                if len(examples) < EXAMPLES:
                    examples.append(document.digest.hex())
            elif self.deduplicate and document.digest in seen:
                taken.duplicates += 1
            else:
                if self.deduplicate:
                    seen.add(document.digest)
                return document
        return None

    def _report(self, taken: list[_Taken], ended: str | None, examples: list[str]) -> dict[str, Any]:
        total = sum(each.bytes for each in taken)
        found: dict[str, Any] = {
            "parts": [
                {
                    "source": part.source.name,
                    "identity": part.source.identity(),
                    "share": part.share,
                    "share_of_bytes": each.bytes / total if total else 0.0,
                    "documents": each.documents,
                    "bytes": each.bytes,
                    "duplicates": each.duplicates,
                    "contaminated": dict(each.contaminated),
                }
                for part, each in zip(self.parts, taken, strict=True)
            ],
            "limit_bytes": self.limit,
            "ended_with": ended,
            "deduplicated": self.deduplicate,
        }
        if self.items is not None:
            found["test_items"] = {
                "ngram": self.items.n,
                "items": self.items.counts,
                "not_looked_for": self.items.skipped,
                "examples_left_out": examples,
            }
        return found

    def _say(self, taken: list[_Taken], ended: str | None, total: int) -> None:
        kept = sum(each.documents for each in taken)
        copies = sum(each.duplicates for each in taken)
        held = sum((each.contaminated for each in taken), Counter[str]())
        left_out = []
        if self.items is not None:
            by_task = ", ".join(f"{task} {count}" for task, count in sorted(held.items()))
            left_out.append(f"{held.total()} that hold test items{f' ({by_task})' if by_task else ''}")
        if self.deduplicate:
            left_out.append(f"{copies} copies")
        line = f"{self.name}: {kept} documents, {total} bytes" + (
            f"; left out {', '.join(left_out)}" if left_out else ""
        )
        if self.limit is not None and total < self.limit:
            line += f"; {ended} ran out at {total / self.limit:.0%} of the {self.limit} bytes that were to be read"
        reporter().log(line)

    def identity(self) -> str:
        """The parts' identities and shares, what is left out, and where reading ends."""
        parts = "; ".join(f"{part.share:g} * {part.source.identity()}" for part in self.parts)
        screen = f"items {self.items.identity if self.items else None}, copies {self.deduplicate}, rules {RULES}"
        return f"prepared: {parts}; without {screen}; limit {self.limit}"

    def state(self) -> Any:
        return [part.source.state() for part in self.parts]

    def notes(self) -> dict[str, Any]:
        """What the last whole reading took of each part and left out; nothing before one."""
        return dict(self._notes)
