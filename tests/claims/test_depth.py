from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from adept_bench.claims.depth import choice_by_chance, correlation_with_depth, trend_by_chance


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=12))
def test_correlation_as_scipy(values):
    if len(set(values)) > 1:
        assert correlation_with_depth(values) == pytest.approx(stats.spearmanr(values, range(len(values)))[0])
    else:
        assert correlation_with_depth(values) == 0.0


def test_trend_by_chance_as_every_order():
    """Two models of five layers: all 120 x 120 orders."""
    importances = [[9.0, 3.0, 4.0, 1.0, 2.0], [5.0, 1.0, 3.0, 4.0, 2.0]]
    single = [[correlation_with_depth(order) for order in itertools.permutations(one)] for one in importances]
    total = np.add.outer(*map(np.array, single)).ravel()
    observed = sum(map(correlation_with_depth, importances))
    exact = float(np.mean(np.abs(total) >= abs(observed) - 1e-9))
    error = math.sqrt(exact * (1 - exact) / 19_999)
    assert trend_by_chance(importances) == pytest.approx(exact, abs=4 * error)


@pytest.mark.parametrize(
    "chosen", [[[4, 5]], [[0, 1]], [[4, 5], [3, 5]], [[2, 3], [1, 4], [0, 5]], [[0, 1], [4, 5], [4, 5]]]
)
def test_choice_by_chance_as_every_choice(chosen):
    sums = [sum(one) for one in itertools.combinations(range(6), 2)]
    totals = [sum(draw) for draw in itertools.product(sums, repeat=len(chosen))]
    observed = sum(map(sum, chosen))
    tails = [sum(t <= observed for t in totals), sum(t >= observed for t in totals)]
    assert choice_by_chance(chosen, [6] * len(chosen)) == pytest.approx(min(2 * min(tails) / len(totals), 1.0))
