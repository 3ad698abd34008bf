"""The units that estimates are in: no effect, the smallest one worth speaking of, what is large, what is possible."""

from __future__ import annotations

import math
from typing import Literal

Unit = Literal["points", "nats", "ratio", "share", "depth", "rho", "decades"]

NO_EFFECT: dict[Unit, float] = {
    "points": 0.0,
    "nats": 0.0,
    "ratio": 1.0,
    "share": 1.0,
    "depth": 0.5,
    "rho": 0.0,
    "decades": 0.0,
}
# The smallest effects worth speaking of: a point; a hundredth of a nat; a tenth, as a ratio; a twentieth of the depth;
# a weak correlation; a quarter, which is 0.1 of a factor of ten.
WORTH: dict[Unit, float] = {
    "points": 1.0,
    "nats": 0.01,
    "ratio": 0.1,
    "share": 0.0,
    "depth": 0.05,
    "rho": 0.1,
    "decades": 0.1,
}
# Effects that nobody would want to miss: an interval that leaves none of them possible bounds the effect. For a ratio a
# factor, either way.
LARGE: dict[Unit, float] = {
    "points": 10.0,
    "nats": 0.1,
    "ratio": 2.0,
    "share": 0.1,
    "depth": 0.25,
    "rho": 0.5,
    "decades": 1.0,
}
LIMITS: dict[Unit, tuple[float, float]] = {
    "points": (-100.0, 100.0),
    "nats": (-math.inf, math.inf),
    "ratio": (0.0, math.inf),
    "share": (0.0, 1.0),
    "depth": (0.0, 1.0),
    "rho": (-1.0, 1.0),
    "decades": (0.0, math.inf),
}


def scaled(unit: Unit, value: float) -> float:
    """The scale that means and spreads are on: logarithms of ratios, all else as it is."""
    return math.log(value) if unit == "ratio" else value


def unscaled(unit: Unit, value: float) -> float:
    """`scaled`, undone. Beyond exp(700) there is no float."""
    return math.exp(min(value, 700.0)) if unit == "ratio" else value


def largest_distance(unit: Unit, low: float, high: float, null: float) -> float:
    """How far from `null` the interval reaches: a distance, of ratios a factor of 1 or more."""
    if unit == "ratio":
        return max(high / null, null / low if low > 0 else math.inf)
    return max(high - null, null - low)


def possible(unit: Unit, distance: float) -> bool:
    """Whether an effect can be so far from no effect at all; of ratios and losses any can."""
    low, high = LIMITS[unit]
    return unit == "ratio" or distance <= (high - low) / 2
