"""Which effect a comparison could see: the smallest one that its test finds in 80% of repetitions.

The estimate is normal around the true effect, with variance A of the seeds and B of the items. The test knows neither:
it takes A from the spread of few seeds, as A times chi-squared over its degrees of freedom, and rejects beyond the
half-width of the interval of its level. B rests on hundreds of items and is taken as known. Without B this is the power
of Student's t.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special

from adept_bench.analysis.roots import root
from adept_bench.analysis.spread import Array, Spread

POWER = 0.8
QUANTILES = (np.arange(500) + 0.5) / 500
ANGLES = 17


def power(spread: Spread, effect: float, level: float) -> float:
    """How often an effect of this size, either way, is told from none where intervals have this level."""
    return _found(_half_widths(spread, level), spread.error, effect)


def smallest_effect(spread: Spread, level: float, wanted: float = POWER) -> float:
    """The effect that is found with probability `wanted`; 0 where nothing varies."""
    if spread.error == 0.0:
        return 0.0
    widths, error = _half_widths(spread, level), spread.error

    def short(effect: float) -> float:
        return _found(widths, error, effect) - wanted

    highest = float(widths.max()) + 4 * error
    return root(short, 0.0, highest, 1e-4)


def _half_widths(spread: Spread, level: float) -> Array:
    """The intervals that the test may come to have, over quantiles of chi-squared."""
    if spread.seed_error == 0.0:
        return np.array([spread.half_width(level)])
    seen = spread.seed_error * np.sqrt(special.chdtri(spread.seed_df, QUANTILES) / spread.seed_df)
    angles, widths = _widths_by_angle(spread.seed_df, _rounded(spread.item_df), level)
    return np.hypot(seen, spread.item_error) * np.interp(np.arctan2(seen, spread.item_error), angles, widths)


@lru_cache(maxsize=64)
def _widths_by_angle(seed_df: float, item_df: float, level: float) -> tuple[Array, Array]:
    """The half-width in standard errors, where the seeds' error is the sine of an angle and the items' its cosine.

    Many claims share these numbers, and a half-width is the root of an equation; the curve is smooth.
    """
    angles = np.linspace(0.0, np.pi / 2, ANGLES)
    widths = [
        Spread(0.0, float(np.sin(one)), seed_df, float(max(np.cos(one), 0.0)), item_df).half_width(level)
        for one in angles
    ]
    return angles, np.array(widths)


def _rounded(df: float) -> float:
    """From a hundred on, to hundreds: it makes no difference, and is shared by more claims."""
    return df if df < 100 else round(df, -2)


def _found(widths: Array, error: float, effect: float) -> float:
    beyond = special.ndtr((effect - widths) / error) + special.ndtr((-effect - widths) / error)
    return float(beyond.mean())
