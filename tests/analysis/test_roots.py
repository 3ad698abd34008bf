"""Against scipy's root finder, which is not imported for the sake of one number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from adept_bench.analysis.roots import root


@given(st.floats(0.01, 50), st.floats(0.1, 5), st.booleans())
def test_as_scipy(zero, power, falling):
    def function(value):
        return (value**power - zero**power) * (-1 if falling else 1)

    found = root(function, 0.0, 100.0)
    assert found == pytest.approx(optimize.brentq(function, 0.0, 100.0, rtol=1e-12), rel=1e-4)


def test_few_steps_for_a_smooth_function():
    asked = []

    def function(value):
        asked.append(value)
        return math.exp(-value) - 0.01

    assert root(function, 0.0, 20.0) == pytest.approx(-math.log(0.01), rel=1e-6)
    assert len(asked) < 25


def test_ends_and_no_change_of_sign():
    assert root(lambda value: value - 1, 1.0, 2.0) == 1.0
    assert root(lambda value: value - 2, 1.0, 2.0) == 2.0
    with pytest.raises(ValueError, match="no change of sign"):
        root(lambda value: value, 1.0, 2.0)
