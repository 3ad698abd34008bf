"""Packing against a plain one: write out the epochs, cut them in blocks, count what is replayed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.corpora.packing import PackedDataset, replay_places
from adept_bench.errors import InputError

documents = st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=7), min_size=1, max_size=8)


def numbered(sizes: list[int], start: int) -> list[list[int]]:
    """Documents of tokens that never repeat, so that a token names its document and place."""
    found = []
    for size in sizes:
        found.append(list(range(start, start + size)))
        start += size
    return found


def read(dataset: PackedDataset) -> list[list[int]]:
    return [dataset[index]["input_ids"].tolist() for index in range(len(dataset))]


@settings(deadline=None)
@given(domain=documents, length=st.integers(2, 9), total=st.integers(1, 12), seed=st.integers(0, 5))
def test_an_epoch_holds_every_document_whole_and_nothing_else(
    domain: list[list[int]], length: int, total: int, seed: int
) -> None:
    domain = numbered([len(document) for document in domain], 0)
    stream = [token for row in read(PackedDataset(domain, length=length, total=total, seed=seed)) for token in row]
    assert len(stream) == length * total
    tokens = sum(map(len, domain))
    for start in range(0, len(stream), tokens):
        epoch = stream[start : start + tokens]
        # cut the epoch back into documents: each token either opens one or follows its predecessor
        cut: list[list[int]] = []
        for token in epoch:
            if any(token == document[0] for document in domain):
                cut.append([])
            cut[-1].append(token)
        whole = cut if len(epoch) == tokens else cut[:-1]
        assert all(document in domain for document in whole)
        assert len({document[0] for document in cut}) == len(cut)
        if len(epoch) == tokens:
            assert sorted(cut) == domain


def test_each_epoch_has_its_own_order() -> None:
    domain = numbered([4] * 16, 0)
    stream = [token for row in read(PackedDataset(domain, length=8, total=24, seed=3)) for token in row]
    epochs = [tuple(stream[start : start + 64]) for start in range(0, 192, 64)]
    assert len(set(epochs)) == 3
    assert all(sorted(epoch) == list(range(64)) for epoch in epochs)


@settings(deadline=None)
@given(
    share=st.floats(0, 1), total=st.integers(1, 40), length=st.integers(2, 6), seed=st.integers(0, 5), data=st.data()
)
def test_replay_is_exact_and_neither_stream_loses_a_token(
    share: float, total: int, length: int, seed: int, data: st.DataObject
) -> None:
    domain, general = numbered([3, 5, 2, 7], 0), numbered([4, 1, 6], 1000)
    options = {"length": length, "total": total, "seed": seed}
    dataset = PackedDataset(domain, general=general, replay_share=share, **options)
    rows = read(dataset)
    replayed = [row for row in rows if row[0] >= 1000]
    assert len(replayed) == round(share * total)
    assert dataset.describe()["replay_share"] == len(replayed) / total
    own = [row for row in rows if row[0] < 1000]
    # each stream is what packing it alone gives, in the same order
    if own:
        assert own == read(PackedDataset(domain, length=length, total=len(own), seed=seed))
    counts = Counter(token for row in replayed for token in row)
    assert not counts or max(counts.values()) - min([counts[t] for t in range(1000, 1011)]) <= 1
    # any order of access reads the same
    order = data.draw(st.permutations(range(total)))
    again = PackedDataset(domain, general=general, replay_share=share, **options)
    assert {index: again[index]["input_ids"].tolist() for index in order} == dict(enumerate(rows))


def test_replay_is_spread_evenly_but_not_periodic() -> None:
    domain, general = numbered([50], 0), numbered([50], 1000)
    rows = read(PackedDataset(domain, general=general, replay_share=0.2, length=4, total=200, seed=1))
    places = [index for index, row in enumerate(rows) if row[0] >= 1000]
    assert [sum(start <= place < start + 5 for place in places) for start in range(0, 200, 5)] == [1] * 40
    assert len({place % 5 for place in places}) == 5


def test_items_and_description() -> None:
    dataset = PackedDataset([[1, 2, 3], [4, 5]], length=4, total=5, seed=0, general=[[7, 8]], replay_share=0.4)
    item = dataset[-1]
    assert item["input_ids"].dtype == torch.long
    assert item["input_ids"].shape == (4,)
    assert torch.equal(item["input_ids"], item["labels"])
    assert torch.equal(item["input_ids"], dataset[4]["input_ids"])
    assert dataset.describe() == {
        "sequences": 5,
        "length": 4,
        "tokens": 20,
        "domain_epochs": 12 / 5,
        "replay_share": 2 / 5,
        "general_epochs": 8 / 2,
    }
    with pytest.raises(IndexError):
        dataset[5]
    assert PackedDataset([], length=2, total=3, seed=0, general=[[7, 8]], replay_share=1.0)[0]["labels"].tolist() == [
        7,
        8,
    ]


def written_out(
    domain: list[list[int]], general: list[list[int]], replayed: int, **sizes: int
) -> list[list[list[int]]]:
    """Each sequence as its documents' parts, from whole epochs laid end to end."""
    length, total, seed = sizes["length"], sizes["total"], sizes["seed"]
    streams = []
    for kind, documents, blocks in ((0, domain, total - replayed), (1, general, replayed)):
        parts: list[tuple[int, int]] = []  # of each token: which document it is of, and the token
        epoch = 0
        while len(parts) < blocks * length:
            order = np.random.default_rng((seed, kind, epoch)).permutation(len(documents))
            parts += [(epoch * len(order) + rank, t) for rank, place in enumerate(order) for t in documents[place]]
            epoch += 1
        rows = []
        for start in range(0, blocks * length, length):
            cut: dict[int, list[int]] = {}
            for document, token in parts[start : start + length]:
                cut.setdefault(document, []).append(token)
            rows.append(list(cut.values()))
        streams.append(iter(rows))
    places = set(replay_places(total, replayed, seed).tolist())
    return [next(streams[index in places]) for index in range(total)]


@settings(deadline=None)
@given(
    domain=st.lists(st.lists(st.integers(0, 9), max_size=7), min_size=1, max_size=8).filter(any),
    general=st.lists(st.lists(st.integers(10, 19), max_size=7), min_size=1, max_size=4).filter(any),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    length=st.integers(2, 9),
    total=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_both_packings_are_what_whole_epochs_give(
    domain: list[list[int]], general: list[list[int]], share: float, length: int, total: int, seed: int
) -> None:
    options = {"length": length, "total": total, "seed": seed, "general": general, "replay_share": share}
    blocks, apart = PackedDataset(domain, **options), PackedDataset(domain, apart=True, **options)
    rows = written_out(domain, general, round(share * total), length=length, total=total, seed=seed)
    for index, pieces in enumerate(rows):
        tokens = [token for piece in pieces for token in piece]
        assert {name: value.tolist() for name, value in blocks[index].items()} == {
            "input_ids": tokens,
            "labels": tokens,
        }
        assert {name: value.tolist() for name, value in apart[index].items()} == {
            "input_ids": tokens,
            "position_ids": [place for piece in pieces for place in range(len(piece))],
            "labels": [label for piece in pieces for label in (-100, *piece[1:])],
        }
        assert {value.dtype for item in (blocks[index], apart[index]) for value in item.values()} == {torch.int64}
    described = apart.describe()
    assert (described.pop("packing"), described.pop("predictions")) == (
        "documents",
        sum(len(piece) - 1 for pieces in rows for piece in pieces),
    )
    assert described == blocks.describe()
    assert blocks.predictions == total * (length - 1)


def test_seeds_differ() -> None:
    domain = numbered([4] * 16, 0)
    assert read(PackedDataset(domain, length=8, total=8, seed=0)) != read(
        PackedDataset(domain, length=8, total=8, seed=1)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay_share": 0.5}, "asks for general text"),
        ({"replay_share": 0.5, "general": []}, "asks for general text"),
        ({"replay_share": 1.5}, "expected 0 to 1"),
        ({"domain": []}, "holds no tokens"),
        ({"length": 1}, "at least 2"),
        ({"total": 0}, "at least 1"),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_bad_arguments(changes: dict, message: str) -> None:
    arguments = {"domain": [[1, 2]], "length": 4, "total": 4, "seed": 0} | changes
    with pytest.raises(InputError, match=message):
        PackedDataset(arguments.pop("domain"), **arguments)
