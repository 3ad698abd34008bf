"""Tail probabilities of a `Spread`, exact enough for the small levels that correcting many claims asks for.

`Spread.tail` averages over 400 points of equal probability, which is meant for 95%: the last point stands for 1/400,
and a heavy tail beyond it is cut off. Corrected for 40 claims a level is 0.00125. Here the part with more degrees of
freedom is integrated over on a normal scale, and the heavier tail of the other is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from adept_bench.analysis.spread import Spread

NORMAL = np.linspace(-6.0, 6.0, 401)
WEIGHTS = np.exp(-(NORMAL**2) / 2) / np.sum(np.exp(-(NORMAL**2) / 2))


def tail(spread: Spread, distance: float) -> float:
    """The probability of a deviation of at least `distance` from the mean, either way."""
    return _tails(spread)(distance)


def half_width(spread: Spread, level: float) -> float:
    """Half the width of the interval that covers the true mean with probability `level`."""
    errors = [(spread.seed_error, spread.seed_df), (spread.item_error, spread.item_df)]
    # where the sum goes beyond this, one of its parts goes beyond its own share, which each does with half the tail
    reach = sum(float(special.stdtrit(df, 1 - (1 - level) / 4)) * error for error, df in errors)
    if reach == 0.0:
        return 0.0
    tails = _tails(spread)
    return float(optimize.brentq(lambda width: tails(width) - (1 - level), 0.0, 1.01 * reach, rtol=1e-5))


def _tails(spread: Spread) -> Callable[[float], float]:
    (heavy_df, heavy), (light_df, light) = sorted(
        [(spread.seed_df, spread.seed_error), (spread.item_df, spread.item_error)]
    )
    if heavy == light == 0.0:
        return lambda distance: 0.0 if distance > 0 else 1.0
    if heavy == 0.0 or light == 0.0:
        df, error = (light_df, light) if heavy == 0.0 else (heavy_df, heavy)
        return lambda distance: min(2 * float(special.stdtr(df, -distance / error)), 1.0)
    points = -np.sign(NORMAL) * special.stdtrit(light_df, special.ndtr(-np.abs(NORMAL))) * (light / heavy)
    return lambda distance: min(2 * float(special.stdtr(heavy_df, points - distance / heavy) @ WEIGHTS), 1.0)
