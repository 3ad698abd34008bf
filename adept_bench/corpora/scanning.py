"""One pass over a corpus's documents: its facts, a sample of its texts, and a digest of each text, kept on the disk."""

from __future__ import annotations

import heapq
import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adept_bench.corpora.reading import Corpus, TextsHash, corpus_of, held_out_rank

SAMPLE = 1024  # distinct texts kept of a corpus: those held out and those probed are taken from them
PART = 1 << 20  # digests looked through at a time


@dataclass(frozen=True)
class Sampled:
    """A text of the sample: its first place in the corpus, its digest, and where it lies in `sample.txt` (bytes)."""

    index: int
    digest: int
    start: int
    size: int
    characters: int


@dataclass(frozen=True)
class Scan:
    """What a pass over a corpus found. `sample` is in the order of held_out_rank: the first are held out first.

    `notes`: what the source had to say of the pass (`Source.notes`).

    The sample is the texts of lowest rank, a hash of the text: a fair draw from the distinct texts, in which neither
    the order of the corpus nor the number of copies of a text count.
    """

    folder: Path
    documents: int
    distinct: int
    characters: int
    hash: str
    sample: tuple[Sampled, ...]
    notes: dict[str, Any] = field(default_factory=dict)

    def texts(self, source: str, chosen: Iterable[Sampled]) -> Corpus:
        """The chosen texts of the sample, in the order of the corpus."""
        found = []
        with open(self.folder / "sample.txt", "rb") as handle:
            for entry in sorted(chosen, key=lambda entry: entry.index):
                handle.seek(entry.start)
                found.append(handle.read(entry.size).decode("utf-8"))
        return corpus_of(source, found)

    def copies(self, chosen: Iterable[Sampled]) -> np.ndarray:
        """Indices of all documents whose texts are the chosen ones, ascending, int64.

        Texts are told apart by 64 bits of a SHA-256: in a corpus of 10^9 documents, the chance that one further
        document is taken for one of 300 is about 10^-8.
        """
        wanted = np.array(sorted(entry.digest for entry in chosen), dtype=np.uint64)
        digests, found = self.digests(), []
        for start in range(0, len(digests), PART):
            part = np.asarray(digests[start : start + PART])
            nearest = np.minimum(np.searchsorted(wanted, part), len(wanted) - 1)
            found.append(np.flatnonzero(wanted[nearest] == part) + start)
        return np.concatenate(found)

    def digests(self) -> np.ndarray:
        """A digest of each document's text, uint64 [documents], mapped from its file."""
        return np.memmap(self.folder / "digests.bin", dtype="<u8", mode="r")


def load_scan(folder: Path) -> Scan | None:
    """The scan that was written to `folder`; None where there is none, or not a whole one."""
    try:
        facts = json.loads((folder / "scan.json").read_text(encoding="utf-8"))
        sample = tuple(Sampled(**entry) for entry in facts.pop("sample"))
        scan = Scan(folder, sample=sample, **facts)
        sizes = {"digests.bin": 8 * scan.documents, "sample.txt": sum(entry.size for entry in sample)}
        return scan if all((folder / name).stat().st_size == size for name, size in sizes.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Scanner:
    """Takes in documents as they pass (`watch`), then writes the scan. Memory: 8 bytes a document, no texts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents = self.characters = 0
        self._hash = TextsHash()
        self._digests = array("Q")
        self._highest: list[tuple[int, int]] = []  # a heap of (-rank, place in `_spooled`): the highest rank is first
        self._ranks: set[int] = set()  # of the texts in the heap
        self._spooled: list[tuple[int, int, int, int]] = []  # of each text that ever was in the heap: what Sampled has
        # texts wait here, about SAMPLE * log(documents / SAMPLE) of them: long ones would be too much for the memory
        self._spool = open(folder / "spool", "w+b")  # noqa: SIM115 - closed by finish() or close()

    def watch(self, texts: Iterable[str]) -> Iterator[str]:
        """The same texts, taken note of on their way."""
        for text in texts:
            data = text.encode("utf-8")
            self._hash.add(data)
            rank = held_out_rank(data)
            self._digests.append(int.from_bytes(rank[:8], "big"))
            self._consider(int.from_bytes(rank, "big"), data, len(text))
            self.documents += 1
            self.characters += len(text)
            yield text

    def _consider(self, rank: int, data: bytes, characters: int) -> None:
        full = len(self._highest) >= SAMPLE
        # a text that once left the sample is never below its highest rank again, so a copy of it does not come back
        if rank in self._ranks or (full and rank > -self._highest[0][0]):
            return
        self._ranks.add(rank)
        self._spooled.append((self.documents, self._spool.tell(), len(data), characters))
        self._spool.write(data)
        entry = (-rank, len(self._spooled) - 1)
        if full:
            self._ranks.remove(-heapq.heapreplace(self._highest, entry)[0])
        else:
            heapq.heappush(self._highest, entry)

    def finish(self, notes: dict[str, Any] | None = None) -> Scan:
        """Write the scan's files, with `notes`; `folder` may be renamed afterwards, and read by `load_scan`."""
        digests = np.frombuffer(self._digests, dtype=np.uint64) if self._digests else np.empty(0, dtype=np.uint64)
        digests.astype("<u8", copy=False).tofile(self.folder / "digests.bin")
        sample = []
        with open(self.folder / "sample.txt", "wb") as out:
            for negative, place in sorted(self._highest, reverse=True):
                index, start, size, characters = self._spooled[place]
                sample.append(Sampled(index, -negative >> 192, out.tell(), size, characters))
                self._spool.seek(start)
                out.write(self._spool.read(size))
        self.close()
        facts = {
            "documents": self.documents,
            "distinct": len(np.unique(digests)),
            "characters": self.characters,
            "hash": self._hash.hexdigest(),
            "notes": notes or {},
        }
        written = json.dumps(facts | {"sample": [asdict(entry) for entry in sample]}, sort_keys=True)
        (self.folder / "scan.json").write_text(written, encoding="utf-8")
        return Scan(self.folder, sample=tuple(sample), **facts)  # type: ignore[arg-type]

    def close(self) -> None:
        """Remove the waiting texts."""
        self._spool.close()
        (self.folder / "spool").unlink(missing_ok=True)
