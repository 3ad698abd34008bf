"""Against numerical integration of the two t densities, at the levels that a correction over 40 claims asks for."""

from __future__ import annotations

import pytest
from scipy import integrate, stats

from adept_bench.analysis.spread import Spread


def integral(spread, distance):
    def density(value):
        rest = stats.t.sf((distance - spread.item_error * value) / spread.seed_error, spread.seed_df)
        return stats.t.pdf(value, spread.item_df) * rest

    corner = min(distance / spread.item_error, 59.0)
    return 2 * integrate.quad(density, -60, 60, points=[corner], limit=500)[0]


@pytest.mark.parametrize("seed_df", [1, 2, 4])
@pytest.mark.parametrize("seed_error", [0.02, 0.3, 1.0, 5.0])
def test_as_the_integral(seed_df, seed_error):
    spread = Spread(0.0, seed_error, seed_df, 1.0, 400)
    for level in (0.95, 1 - 0.05 / 40):
        width = spread.half_width(level)
        assert integral(spread, width) == pytest.approx(1 - level, rel=2e-3)
        assert spread.tail(width) == pytest.approx(1 - level, rel=2e-3)


@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 40])
def test_of_one_part_it_is_student(level):
    for spread in (Spread(1.0, 0.5, 4, 0.0, 1.0), Spread(1.0, 0.0, 1, 0.5, 4)):
        assert spread.half_width(level) == pytest.approx(0.5 * stats.t.ppf((1 + level) / 2, 4), rel=1e-4)
        assert spread.tail(1.3) == pytest.approx(2 * stats.t.sf(2.6, 4))


def test_without_any_spread():
    assert Spread(1.0, 0.0, 1, 0.0, 1).half_width(0.95) == 0.0
    assert (Spread(1.0, 0.0, 1, 0.0, 1).tail(0.5), Spread(1.0, 0.0, 1, 0.0, 1).tail(0.0)) == (0.0, 1.0)
