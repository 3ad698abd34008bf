"""Rank correlations and overlaps: by hand, against scipy, and by what must hold of any ranking."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from adept_bench.analysis import rankings
from adept_bench.errors import InputError


def test_by_hand() -> None:
    one, other = [9.0, 0.1, 0.2, 0.3], [5.0, 0.3, 0.1, 0.2]
    # ranks 4 1 2 3 and 4 3 1 2: squared differences 0 4 1 1; 1 - 6 * 6 / (4 * 15)
    assert rankings.spearman(one, other) == pytest.approx(0.4)
    # of six pairs (1, 2) and (1, 3) are in another order: (4 - 2) / 6
    assert rankings.kendall(one, other) == pytest.approx(1 / 3)
    # lowest two: layers 1 2 and 2 3
    assert rankings.overlap(one, other, 2) == 0.5
    assert rankings.overlap(one, other, 1) == 0.0
    assert rankings.overlap(one, other, 4) == 1.0


def test_ties_share_ranks_and_the_earlier_layer_is_chosen() -> None:
    assert rankings.ranks([2.0, 1.0, 2.0, 5.0, 2.0]).tolist() == [3.0, 1.0, 3.0, 5.0, 3.0]
    assert rankings.overlap([1.0, 1.0, 1.0], [0.0, 5.0, 6.0], 1) == 1.0


@pytest.mark.parametrize("values", [6, 3, 1000])
def test_as_scipy(values: int) -> None:
    draw = random.Random(values)
    for length in (2, 3, 7, 12, 36):
        for _ in range(20):
            one, other = ([float(draw.randrange(values)) for _ in range(length)] for _ in range(2))
            assert rankings.ranks(one).tolist() == stats.rankdata(one).tolist()
            for mine, reference in ((rankings.spearman, stats.spearmanr), (rankings.kendall, stats.kendalltau)):
                found = mine(one, other)
                if len(set(one)) == 1 or len(set(other)) == 1:
                    assert found is None
                else:
                    assert found == pytest.approx(reference(one, other).statistic, abs=1e-12)


def test_only_the_order_counts() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=12).tolist(), draw.normal(size=12).tolist()
    stretched = [math.exp(3 * value) for value in other]
    for measure in (rankings.spearman, rankings.kendall):
        assert measure(one, stretched) == pytest.approx(measure(one, other))
        assert measure(one, one) == pytest.approx(1.0)
        assert measure(one, [-value for value in one]) == pytest.approx(-1.0)
        assert measure(one, other) == measure(other, one)


def test_agreement_is_the_mean_over_seeds_with_its_t_interval() -> None:
    draw = np.random.default_rng(1)
    pairs = {seed: (draw.normal(size=9).tolist(), draw.normal(size=9).tolist()) for seed in (0, 1, 4)}
    found = rankings.agreement(pairs, 3)
    expected = [stats.kendalltau(*pair).statistic for pair in pairs.values()]
    low, high = stats.t.interval(0.95, 2, np.mean(expected), stats.sem(expected))
    assert found.kendall is not None
    assert found.kendall.seeds == (0, 1, 4)
    assert found.kendall.value == pytest.approx(np.mean(expected))
    assert (found.kendall.low, found.kendall.high) == pytest.approx((max(low, -1), min(high, 1)), abs=1e-6)
    shared = [len(set(np.argsort(one)[:3]) & set(np.argsort(other)[:3])) / 3 for one, other in pairs.values()]
    assert found.overlap.value == pytest.approx(np.mean(shared))
    assert found.chance == pytest.approx(1 / 3)


def test_intervals_stay_possible() -> None:
    pairs = {0: ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), 1: ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])}
    found = rankings.agreement(pairs, 1)
    assert found.spearman is not None
    assert (found.spearman.value, found.spearman.low, found.spearman.high) == (0.0, -1.0, 1.0)
    assert (found.overlap.value, found.overlap.low, found.overlap.high) == (0.5, 0.0, 1.0)
    alone = rankings.agreement({3: pairs[0]}, 1)
    assert alone.spearman is not None
    assert (alone.spearman.value, alone.spearman.low) == (pytest.approx(1.0), None)


def test_seeds_without_an_order_do_not_count() -> None:
    flat = ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    found = rankings.agreement({0: flat, 1: (flat[1], flat[1])}, 1)
    assert found.spearman is not None
    assert found.spearman.seeds == (1,)
    assert found.overlap.seeds == (0, 1)
    assert rankings.agreement({0: flat}, 1).spearman is None


def test_share_lowest() -> None:
    assert rankings.share_lowest([[1, 2, 3], [3, 1, 2], [5, 1, 9], [0, 1, 2]], 1) == [0.5, 0.5, 0.0]
    assert sum(rankings.share_lowest([[1, 2, 3], [3, 1, 2]], 2)) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rankings.spearman([1.0, 2.0], [1.0]), "2 and 1 values"),
        (lambda: rankings.kendall([1.0], [1.0]), "1 and 1 values"),
        (lambda: rankings.overlap([1.0, 2.0], [1.0, 2.0], 3), "k: 3 layers"),
        (lambda: rankings.agreement({}, 1), "no seed has both"),
        (lambda: rankings.agreement({0: ([1.0, 2.0],) * 2, 1: ([1.0, 2.0, 3.0],) * 2}, 1), r"of \[2, 3\] layers"),
    ],
)
def test_refused(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()
