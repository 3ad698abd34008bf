"""Both corrections against independent implementations, and the level of the intervals that go with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from adept_bench.claims.benjamini_hochberg import benjamini_hochberg
from adept_bench.claims.families import corrected

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(P_VALUES)
def test_benjamini_hochberg_as_scipy(p_values):
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values), abs=1e-12)


def test_benjamini_hochberg_by_hand():
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]) == []


@given(P_VALUES)
def test_secondary_intervals_exclude_no_effect_exactly_where_a_claim_is_found(p_values):
    found = corrected("secondary", {str(place): p for place, p in enumerate(p_values)})
    for place, p in enumerate(p_values):
        adjusted = found.adjusted[str(place)]
        if abs(adjusted - 0.05) > 1e-9:
            assert (adjusted < 0.05) == (p <= (1 - found.level) * (1 + 1e-12) and found.adjusted[str(place)] < 0.05)
            if adjusted > 0.05:
                assert p > (1 - found.level) * (1 - 1e-9)


def test_levels():
    assert corrected("primary", dict.fromkeys("abcdef", 0.001)).level == pytest.approx(1 - 0.05 / 6)
    assert corrected("secondary", {"a": 0.001, "b": 0.02, "c": 0.9}).level == pytest.approx(1 - 0.05 * 2 / 3)
    assert corrected("secondary", {"a": 0.5, "b": 0.9}).level == pytest.approx(1 - 0.05 / 2)
    nothing = corrected("exact", {})
    assert (nothing.level, nothing.tests) == (0.95, 0)


def test_of_what_is_called_found_few_are_false_on_average():
    """40 claims that share a part, 10 of them true: the mean share of false ones among those found; 5% times 30/40."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        z = 0.5 * rng.normal() + np.sqrt(0.75) * rng.normal(size=40)
        z[:10] += 3.5
        found = np.array(benjamini_hochberg((2 * stats.norm.sf(abs(z))).tolist())) < 0.05
        shares.append(found[10:].sum() / max(found.sum(), 1))
    assert np.mean(shares) <= 0.05
