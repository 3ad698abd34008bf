"""Corpora of several sources: shares, the end, what is left out and what is read, against plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.corpora import overlap
from adept_bench.corpora.large import LargeText, SmallText, open_corpus
from adept_bench.corpora.overlap import ItemNgrams
from adept_bench.corpora.prepared import Part, PreparedSource
from adept_bench.corpora.reading import corpus_of
from adept_bench.corpora.sources import find_source
from adept_bench.errors import InputError


@dataclass(frozen=True)
class Listed:
    """A source in memory that counts what is asked of it."""

    name: str
    documents: list[str]
    asked: list[int] = field(default_factory=lambda: [0])

    remote = False
    size = None

    def texts(self, position: Any = None) -> Iterator[str]:
        for document in self.documents:
            self.asked[0] += 1
            yield document

    def identity(self) -> str:
        return f"{self.name}:{self.documents}"

    def state(self) -> Any:
        return None

    def notes(self) -> dict[str, Any]:
        return {}


def size(text: str) -> int:
    return len(text.encode("utf-8"))


ITEM = "which metal is liquid at room temperature"
ITEMS = ItemNgrams({"quiz": [[ITEM]]}, 5)
texts = st.sampled_from(["a", "A.", "b c", "银" * 5, "d " * 9, f"yes: {ITEM}!", "", " \n"])
corpora = st.lists(st.lists(texts, max_size=12), min_size=1, max_size=3)


def plain(
    documents: list[list[str]], shares: list[float], *, screen: bool, copies: bool, limit: int | None
) -> list[tuple[int, str]]:
    """(part, text) of each document that is taken, as `PreparedSource` says, without its code."""
    queues = [[text for text in part if text.strip()] for part in documents]
    filled, seen, taken = [0] * len(queues), set(), []
    while limit is None or sum(filled) < limit:
        behind = min(range(len(queues)), key=lambda at: (filled[at] / shares[at], at))
        while queues[behind]:
            text = queues[behind].pop(0)
            if screen and "metal" in text:
                continue
            words = " ".join(text.lower().replace(".", " ").split())
            if not (copies and words in seen):
                break
        else:
            return taken
        seen.add(words)
        filled[behind] += size(text)
        taken.append((behind, text))
    return taken


@settings(deadline=None, max_examples=200)
@given(
    documents=corpora,
    weights=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    screen=st.booleans(),
    copies=st.booleans(),
    limit=st.none() | st.integers(1, 80),
    batch=st.sampled_from([1, 1 << 20]),
)
def test_what_is_taken(
    documents: list[list[str]], weights: list[int], screen: bool, copies: bool, limit: int | None, batch: int
) -> None:
    shares = [weight / sum(weights[: len(documents)]) for weight in weights[: len(documents)]]
    parts = tuple(Part(Listed(f"p{at}", part), share) for at, (part, share) in enumerate(zip(documents, shares)))
    source = PreparedSource("mix", parts, items=ITEMS if screen else None, deduplicate=copies, limit=limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "BATCH", batch)
        found = list(source.texts())
        assert list(source.texts()) == found  # as often as asked
    expected = plain(documents, shares, screen=screen, copies=copies, limit=limit)
    assert found == [text for _, text in expected]
    notes = source.notes()
    for at, part in enumerate(notes["parts"]):
        mine = [text for owner, text in expected if owner == at]
        assert (part["documents"], part["bytes"]) == (len(mine), sum(map(size, mine)))
    # every part is within its longest document of its share, times how small the share is beside the others
    total = sum(map(size, found))
    longest = max((size(text) for text in found), default=0)
    for part in notes["parts"]:
        assert abs(part["bytes"] - part["share"] * total) <= longest * len(parts)
    if limit is not None:
        assert total < limit + max(longest, 1)
        assert (notes["ended_with"] is None) == (total >= limit)
    else:
        assert notes["ended_with"] in {part.source.name for part in parts}


def test_only_what_the_budget_needs_is_read() -> None:
    endless = Listed("web", ["word " * 20] * 100_000)  # 100 bytes each
    few = Listed("few", [f"problem {number}" for number in range(1000)])
    source = PreparedSource("mix", (Part(endless, 0.9), Part(few, 0.1)), limit=10_000)
    assert sum(map(size, source.texts())) < 10_100
    assert endless.asked[0] <= 91
    screened = PreparedSource("mix", (Part(endless, 1.0),), items=ITEMS, deduplicate=False, limit=10_000)
    endless.asked[0] = 0
    assert sum(map(size, screened.texts())) == 10_000
    assert endless.asked[0] == overlap.BATCH // 100 + 1  # a batch ahead, and no more


def test_what_is_left_out_is_counted_and_said() -> None:
    documents = ["one", "ONE!", f"Q: {ITEM}?", "two", f"{ITEM.upper()} again", "two"]
    source = PreparedSource("mix", (Part(Listed("p", documents)),), items=ITEMS, deduplicate=True)
    assert list(source.texts()) == ["one", "two"]
    notes = source.notes()
    (part,) = notes["parts"]
    assert (part["documents"], part["duplicates"], part["contaminated"]) == (2, 2, {"quiz": 2})
    assert part["share_of_bytes"] == 1.0
    assert notes["test_items"]["items"] == {"quiz": 1}
    assert len(set(notes["test_items"]["examples_left_out"])) == 2
    assert json.loads(json.dumps(notes)) == notes


def test_identity_is_of_all_that_decides() -> None:
    def source(share: float = 0.5, second: str = "b", **options: Any) -> str:
        parts = (Part(Listed("a", ["a"]), share), Part(Listed("b", [second]), 1 - share))
        return PreparedSource("any", parts, **options).identity()

    other = ItemNgrams({"quiz": [[ITEM]]}, 6)
    options = ({}, {"items": ITEMS}, {"items": other}, {"deduplicate": True}, {"limit": 5}, {"limit": 6})
    identities = [source(), source(0.4), source(second="c"), *(source(**each) for each in options[1:])]
    assert len(set(identities)) == len(identities)


def test_small_and_large_tell_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    for name, count in (("a", 40), ("b", 60)):
        rows = [{"text": f"document {number} of {name}"} for number in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = tuple(Part(find_source(str(tmp_path / f"{name}.jsonl"), option="x"), 0.5) for name in "ab")

    def mix() -> PreparedSource:
        return PreparedSource("mix", parts, items=ITEMS, deduplicate=True, limit=1000)

    expected = list(mix().texts())
    small, large = open_corpus(mix()), open_corpus(mix(), in_memory=0)
    assert isinstance(small, SmallText)
    assert isinstance(large, LargeText)
    assert small.corpus == corpus_of("mix", expected)
    assert large.describe() == small.describe()
    assert large.notes == small.notes
    assert small.notes["parts"][0]["documents"] + small.notes["parts"][1]["documents"] == len(expected)
    # a later process finds the scan of the cache and tells the same without reading
    again = open_corpus(mix(), in_memory=0)
    assert again.notes == small.notes
    train, held = large.split(fraction=0.2, minimum=2, maximum=5)
    assert train.notes == small.notes
    assert not set(held.texts) & set(train.sample(1000).texts)


def test_a_source_that_fails_names_itself(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    parts = (Part(find_source(str(tmp_path / "a.jsonl"), option="x"), 0.5), Part(Listed("b", ["bb", "b"]), 0.5))
    with pytest.raises(InputError, match=r"a\.jsonl:2: no field 'text'"):
        list(PreparedSource("mix", parts).texts())
