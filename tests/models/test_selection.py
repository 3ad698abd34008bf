"""Choosing layers: hand-computed cases and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adept_bench.errors import InputError
from adept_bench.models.selection import first, highest, last, lowest, random_layers, uniform

DEPTH_AND_K = st.integers(1, 80).flatmap(lambda depth: st.tuples(st.just(depth), st.integers(1, depth)))


def test_hand_computed_choices() -> None:
    importance = [0.5, 0.1, 0.9, 0.1, 0.0]
    assert lowest(importance, 3) == [1, 3, 4]
    assert lowest(importance, 2) == [1, 4]  # of the tied layers 1 and 3 the lower
    assert highest(importance, 2) == [0, 2]
    assert uniform(12, 4) == [2, 5, 8, 11]  # LLaMA-Pro: after every third
    assert uniform(12, 5) == [1, 4, 6, 9, 11]  # 2.4, 4.8, 7.2, 9.6, 12
    assert uniform(5, 2) == [2, 4]  # 2.5 is rounded up
    assert last(5, 2) == [3, 4]
    assert first(5, 2) == [0, 1]


@given(DEPTH_AND_K)
def test_uniform_is_evenly_spread_and_ends_at_the_last_layer(case: tuple[int, int]) -> None:
    depth, k = case
    chosen = uniform(depth, k)
    gaps = [b - a for a, b in zip([-1, *chosen], chosen)]
    assert len(chosen) == k
    assert chosen[-1] == depth - 1
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=40), st.data())
def test_lowest_and_highest_split_the_layers(importance: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(importance)))
    low = lowest(importance, k)
    rest = [importance[i] for i in range(len(importance)) if i not in low]
    assert low == sorted(set(low))
    assert len(low) == k
    assert not rest or max(importance[i] for i in low) <= min(rest)
    if k < len(importance):
        assert sorted(low + highest(importance, len(importance) - k)) == list(range(len(importance)))


@given(DEPTH_AND_K, st.integers(0, 99))
def test_random_layers_are_distinct_and_seeded(case: tuple[int, int], seed: int) -> None:
    depth, k = case
    chosen = random_layers(depth, k, seed)
    assert chosen == sorted(set(chosen)) == random_layers(depth, k, seed)
    assert len(chosen) == k
    assert set(chosen) <= set(range(depth))


def test_seeds_differ() -> None:
    assert len({tuple(random_layers(20, 4, seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize("k", [0, -1, 6])
def test_k_out_of_range(k: int) -> None:
    for choose in (lambda: lowest([0.0] * 5, k), lambda: highest([0.0] * 5, k), lambda: uniform(5, k),
                   lambda: last(5, k), lambda: first(5, k), lambda: random_layers(5, k, 0)):  # fmt: skip
        with pytest.raises(InputError, match="expected 1 to 5"):
            choose()


def test_importance_that_is_not_a_number() -> None:
    with pytest.raises(InputError, match="layer 1"):
        lowest([0.0, float("nan")], 1)
