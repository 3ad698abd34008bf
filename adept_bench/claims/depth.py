"""Statistics of layers over depth: Spearman's correlation with depth, mean depth of a choice, and their chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adept_bench.analysis.rankings import ranks, spearman
from adept_bench.analysis.spread import Array

DRAWS = 19_999


def correlation_with_depth(importance: Sequence[float]) -> float:
    """Spearman's rho of a value a layer with the layer's index; 0 where all values are equal."""
    return spearman(importance, range(len(importance))) or 0.0


def trend_by_chance(importances: Sequence[Sequence[float]]) -> float:
    """Two-sided p of the mean correlation with depth, were each model's layers in random order (Monte Carlo)."""
    return _by_chance([(ranks(one), np.arange(len(one), dtype=np.float64)) for one in importances])


def _by_chance(pairs: Sequence[tuple[Array, Array]]) -> float:
    """Two-sided p of the mean Pearson correlation, the first of each pair in random order."""
    rng = np.random.default_rng(0)
    total, observed = np.zeros(DRAWS), 0.0
    for one, other in pairs:
        mine, theirs = _centred(one), _centred(other)
        scale = float(np.sqrt(mine @ mine) * np.sqrt(theirs @ theirs)) or 1.0
        shuffled = rng.permuted(np.broadcast_to(mine, (DRAWS, mine.size)), axis=1)
        total += shuffled @ theirs / scale
        observed += float(mine @ theirs) / scale
    return float(1 + np.sum(np.abs(total) >= abs(observed) - 1e-9)) / (DRAWS + 1)


def agreement_by_chance(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """Two-sided p of the mean correlation of two values a layer, were one of them in random order (Monte Carlo)."""
    return _by_chance([(ranks(one), ranks(other)) for one, other in pairs])


def choice_by_chance(chosen: Sequence[Sequence[int]], layers: Sequence[int]) -> float:
    """Two-sided p of the mean depth of the chosen layers, were as many drawn at random from each model (exact).

    `layers`: how many each model has. All models must have the same number, and as many chosen.
    """
    single = _sums(len(chosen[0]), layers[0])
    chance = np.ones(1)
    for _ in chosen:
        chance = np.convolve(chance, single)
    chance /= chance.sum()
    total = sum(sum(one) for one in chosen)
    return min(2 * float(min(chance[: total + 1].sum(), chance[total:].sum())), 1.0)


def _sums(k: int, layers: int) -> NDArray[np.float64]:
    """How many choices of k different numbers below `layers` have each sum."""
    ways = np.zeros((k + 1, k * layers + 1))
    ways[0, 0] = 1.0
    for number in range(layers):
        for size in range(k, 0, -1):
            ways[size, number:] += ways[size - 1, : ways.shape[1] - number]
    return ways[k]


def _centred(values: Array) -> Array:
    return values - values.mean()
