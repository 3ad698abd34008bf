"""At which levels of acquisition (of retention) two paths are compared: the range, and those set by full CPT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from adept_bench.analysis.paths import Aligned, Coordinate
from adept_bench.analysis.spread import Array

SHARES = (0.25, 0.5, 0.75)
"""Of what full CPT learns at its best (of what it loses there)."""
GRID = 101
"""Levels from one end of a range to the other, both included."""
ROUNDING = 1e-9
"""What a mean may miss an end by that it equals."""
Held = Literal["acquisition", "retention"]


@dataclass(frozen=True)
class Range:
    """The levels that both methods attain in every seed, in the unit of the measure's coordinates (losses negative)."""

    low: float
    high: float
    ends: str
    """Which method ends it, and of a range of acquisition in which seed."""
    reason: str = ""
    """Why it is empty."""

    def grid(self) -> Array:
        """The levels that a mean is of; none where it is empty."""
        return np.zeros(0) if self.reason else np.linspace(self.low, self.high, GRID)


@dataclass(frozen=True)
class Level:
    """A level that full CPT sets: at this share of its way from the base to its best acquisition."""

    share: float
    value: float
    reason: str = ""
    """Why the two methods are not compared there."""


def range_of(held: Held, paths: Aligned) -> Range:
    """From the base to where the first of the two paths ends, in any seed."""
    measure, (across, up) = paths.measure, paths.sides[0]
    if held == "acquisition":
        ends = np.array([across.values.max(axis=1) for across, _ in paths.sides])
        low, high = float(across.values[:, 0].max()), float(ends.min())
        which = paths.where(ends, int(ends.argmin()))
        learned, known = measure.in_words(high), measure.in_words(low)
        reason = f"{which} attains {learned} of {measure.acquisition}, and a base {known}"
    else:
        # a mean over seeds: Q has a value below it too, and a single seed's end would choose among seeds
        ends = np.array([[kept_at_best(*side).mean()] for side in paths.sides])
        low, high = float(ends.max()), float(up.values[:, 0].min())
        which = paths.names[int(ends.argmax())]
        kept, had = measure.in_words(low), measure.in_words(high)
        reason = f"{which} keeps {kept} of {measure.retention} where it learned most, and a base has {had}"
    return Range(low, high, which, "" if low < high else f"no range of {held} to compare over: {reason}")


def kept_at_best(across: Coordinate, up: Coordinate) -> Array:
    """Retention at the best acquisition, a seed: the highest, where several points learned as much."""
    best = across.values.max(axis=1, keepdims=True)
    return np.where(across.values == best, up.values, -np.inf).max(axis=1)


def levels_of(held: Held, paths: Aligned, full: Aligned) -> list[Level]:
    """One for each of SHARES, set by the one path of `full`; none where that does not learn (lose) anything."""
    ((across, up),) = full.sides
    if held == "acquisition":
        base, end = float(across.values[:, 0].mean()), float(across.values.max(axis=1).mean())
        moves = end > base
    else:
        base, end = float(up.values[:, 0].mean()), float(kept_at_best(across, up).mean())
        moves = end < base
    values = [base + share * (end - base) for share in SHARES] if moves else []
    return [Level(share, value, _unattained(held, value, paths)) for share, value in zip(SHARES, values, strict=False)]


def _unattained(held: Held, value: float, paths: Aligned) -> str:
    """Who falls short of the level by most; empty where both attain it in every seed."""
    side = 0 if held == "acquisition" else 1
    # a path that ends below the level, or one that begins below it
    highest = np.array([one[side].values.max(axis=1) if side == 0 else one[side].values[:, 0] for one in paths.sides])
    if highest.min() >= value - ROUNDING:
        return ""
    what = paths.measure.acquisition if side == 0 else paths.measure.retention
    words, verb = paths.measure.in_words, "attains" if side == 0 else "begins at"
    where = paths.where(highest, int(highest.argmin()))
    return f"{where} {verb} {words(float(highest.min()))} of {what}, not {words(value)}"
