"""Documents that hold test items, and documents that are there twice: found as the text passes by.

Texts are compared as sequences of units: Unicode NFKC, small letters; a unit is a run of letters and digits, or a
single character of a script without spaces (Chinese characters, Japanese kana). Punctuation and white space are none.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from adept_bench.files import content_hash

RULES = 1  # of what is compared how: raised when they change, so that no corpus screened by older ones is read
COMMON = (
    10  # an n-gram of more items than this is a phrase of the template or of the field, not an item (GPT-3's bound)
)
BATCH = 1 << 20  # characters looked through at a time
SLOTS = 1 << 22  # of the table that most n-grams are turned away by
NO_SPACES = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{NO_SPACES}]|[^\W_{NO_SPACES}]+")
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing


def units(text: str) -> list[str]:
    """The units of a text, in order."""
    return _UNIT.findall(text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class Screened:
    """A document with what was found: the task whose item it holds, and a digest of its units (of its text if none)."""

    text: str
    task: str | None
    digest: bytes


class ItemNgrams:
    """The n-grams of test items, to look for in documents.

    `items`: task to its items, each a list of texts; an n-gram lies within one text. `skipped` counts the items of a
    task that have no n-gram of their own: too short ones, and those all of whose n-grams stand in more than `COMMON`
    items. Memory: about 60 bytes an n-gram, and 4 MiB.
    """

    def __init__(self, items: Mapping[str, Sequence[Sequence[str]]], n: int) -> None:
        self.n = n
        self.tasks = list(items)
        self.counts = {task: len(each) for task, each in items.items()}
        self.identity = content_hash([RULES, n, {task: list(map(list, each)) for task, each in items.items()}])
        parsed = [(task, [units(text) for text in item]) for task, each in items.items() for item in each]
        words = {word for _, texts in parsed for text in texts for word in text}
        self._number = {word: number for number, word in enumerate(sorted(words), 1)}
        per_item = [
            np.unique(np.concatenate([self._grams(self._numbers(text))[0] for text in texts])) for _, texts in parsed
        ]
        grams = np.concatenate([*per_item, np.empty(0, dtype=np.uint64)])
        item_of = np.repeat(np.arange(len(per_item)), [len(each) for each in per_item])
        found, first, counted = np.unique(grams, return_index=True, return_counts=True)
        rare = counted <= COMMON
        self._sorted, self._owner = found[rare], item_of[first[rare]]
        self._task_of_item = [task for task, _ in parsed]
        self._slots = np.zeros(SLOTS, dtype=bool)
        self._slots[self._sorted & np.uint64(SLOTS - 1)] = True
        looked_for = set(item_of[np.isin(grams, self._sorted)].tolist())
        self.skipped = dict.fromkeys(self.tasks, 0)
        for item, task in enumerate(self._task_of_item):
            self.skipped[task] += item not in looked_for

    def _numbers(self, words: Iterable[str]) -> np.ndarray:
        """The words' numbers; 0 for one that no item has, which no n-gram of an item can hold."""
        number = self._number.get
        return np.fromiter((number(word, 0) for word in words), dtype=np.uint64)

    def _grams(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A hash of each run of n numbers without a 0, and where each begins."""
        count = len(numbers) - self.n + 1
        if count < 1:
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
        zeros = np.concatenate(([0], np.cumsum(numbers == 0)))
        places = np.flatnonzero(zeros[self.n :] == zeros[:count])
        hashed = np.zeros(len(places), dtype=np.uint64)
        for offset in range(self.n):
            hashed = hashed * _BASE + numbers[places + offset]
            hashed ^= hashed >> np.uint64(29)
        return hashed, places

    def first_hits(self, documents: Sequence[list[str]]) -> list[str | None]:
        """For each document (its units), the task of the first item that it shares an n-gram with; None without one."""
        # a 0 behind each document, so that no n-gram crosses into the next
        numbers = self._numbers(chain.from_iterable([*document, ""] for document in documents))
        hashed, places = self._grams(numbers)
        near = self._slots[hashed & np.uint64(SLOTS - 1)]
        hashed, places = hashed[near], places[near]
        result: list[str | None] = [None] * len(documents)
        if not len(hashed):
            return result
        at = np.minimum(np.searchsorted(self._sorted, hashed), len(self._sorted) - 1)
        hit = self._sorted[at] == hashed
        ends = np.cumsum([len(document) + 1 for document in documents])
        for place, owner in zip(places[hit].tolist(), self._owner[at[hit]].tolist(), strict=True):
            document = int(np.searchsorted(ends, place, side="right"))
            result[document] = result[document] or self._task_of_item[owner]
        return result


def screened(texts: Iterable[str], items: ItemNgrams | None) -> Iterator[Screened]:
    """The documents in their order, each with what was found. About `BATCH` characters are read ahead."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH:
            yield from _screened(batch, items)
            batch, characters = [], 0
    yield from _screened(batch, items)


def _screened(batch: list[str], items: ItemNgrams | None) -> Iterator[Screened]:
    parsed = [units(text) for text in batch]
    tasks = items.first_hits(parsed) if items is not None and batch else [None] * len(batch)
    for text, words, task in zip(batch, parsed, tasks, strict=True):
        data = " ".join(words) or text
        yield Screened(text, task, hashlib.blake2b(data.encode("utf-8"), digest_size=8).digest())
