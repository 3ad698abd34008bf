"""How far two layer importances agree: rank correlations, and what their k lowest have in common.

What matters of an importance is its order: ADEPT copies the k layers that come lowest (arXiv 2510.10071, stage 1).
Plain implementations: scipy.stats, which the tests check them against, takes longer to import than a figure to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adept_bench.analysis.paired import Estimate, seed_mean
from adept_bench.errors import InputError
from adept_bench.models.selection import lowest

Pair = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Agreement:
    """Two importances compared on each seed: means over seeds with Student's t intervals, cut to what is possible.

    A correlation is None where it is undefined under every seed (an importance that is the same for all layers);
    seeds where it is undefined do not count.
    """

    spearman: Estimate | None
    kendall: Estimate | None
    overlap: Estimate
    """Share of the k lowest layers that both have."""
    chance: float
    """The overlap to expect of two random choices: k / layers."""


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Rank of each value, 1 the lowest; equal values share the mean of their ranks."""
    array = np.asarray(values, dtype=np.float64)
    below = (array[None, :] < array[:, None]).sum(axis=1)
    equal = (array[None, :] == array[:, None]).sum(axis=1)
    return below + (equal + 1) / 2


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Pearson's correlation of the ranks, -1..1; None where all values of one side are equal.

    Raises InputError unless both have the same length, two or more.
    """
    _same_length(one, other)
    first, second = (ranks(values) - (len(one) + 1) / 2 for values in (one, other))
    return _ratio(float(first @ second), float(first @ first), float(second @ second))


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Kendall's tau-b, -1..1: concordant less discordant pairs, ties allowed for; None where one side is constant.

    Raises InputError unless both have the same length, two or more.
    """
    _same_length(one, other)
    first, second = (np.sign(np.subtract.outer(values, values)) for values in (np.asarray(one), np.asarray(other)))
    # every pair is counted twice, above and below the line
    return _ratio(float((first * second).sum()), float((first**2).sum()), float((second**2).sum()))


def overlap(one: Sequence[float], other: Sequence[float], k: int) -> float:
    """Share, 0..1, of the k lowest of `one` that are among the k lowest of `other`; ties as `lowest` breaks them.

    Raises InputError unless both have the same length, k or more.
    """
    _same_length(one, other)
    return len(set(lowest(one, k)) & set(lowest(other, k))) / k


def agreement(pairs: Mapping[int, Pair], k: int) -> Agreement:
    """The agreement of two importances; `pairs`: by seed, both as a value a layer.

    Raises InputError where there is no seed, or lengths differ.
    """
    if not pairs:
        raise InputError("rankings: no seed has both importances; expected one or more")
    layers = {len(side) for pair in pairs.values() for side in pair}
    if len(layers) > 1:
        raise InputError(f"rankings: importances of {sorted(layers)} layers; expected the same number everywhere")
    found = _mean(pairs, lambda one, other: overlap(one, other, k), floor=0.0)
    assert found is not None
    return Agreement(
        spearman=_mean(pairs, spearman, floor=-1.0),
        kendall=_mean(pairs, kendall, floor=-1.0),
        overlap=found,
        chance=k / layers.pop(),
    )


def share_lowest(importances: Sequence[Sequence[float]], k: int) -> list[float]:
    """For each layer, the share of `importances` (one a seed) in which it is among the k lowest."""
    chosen = [set(lowest(importance, k)) for importance in importances]
    return [sum(layer in one for one in chosen) / len(chosen) for layer in range(len(importances[0]))]


def mean_within(values: Mapping[int, float], low: float = -np.inf, high: float = np.inf) -> Estimate:
    """The mean of one number a seed with its t interval, cut to low..high (a share cannot exceed 1)."""
    found = seed_mean(list(values.values()), list(values), len(values))
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def _mean(pairs: Mapping[int, Pair], measure: Callable[..., float | None], floor: float) -> Estimate | None:
    found = {seed: value for seed, pair in pairs.items() if (value := measure(*pair)) is not None}
    return mean_within(found, floor, 1.0) if found else None


def _ratio(product: float, first: float, second: float) -> float | None:
    if first == 0 or second == 0:
        return None
    return max(-1.0, min(1.0, product / (first * second) ** 0.5))


def _same_length(one: Sequence[float], other: Sequence[float]) -> None:
    if len(one) != len(other) or len(one) < 2:
        raise InputError(f"rankings: {len(one)} and {len(other)} values; expected the same number, two or more")
