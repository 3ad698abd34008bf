"""The spread of a statistic of whole paths: over seeds, and over items drawn again (docs/acquisition.md).

A maximum over points has no variance in closed form, so the items' part comes from replicates. What seeds differ by
needs none: each seed has its own value, and Student's t is of their spread, as in `spread`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from adept_bench.analysis.paths import Aligned, Coordinate
from adept_bench.analysis.spread import Array, Spread, of_seeds

REPLICATES = 400
SEED = 20251010


def redrawn(paths: Aligned) -> list[tuple[Array, Array]] | None:
    """For each path (acquisition, retention) of every replicate, [replicates, seeds, points]; the same draw for all.

    None where a coordinate has no items.
    """
    sides = paths.sides
    if not all(coordinate.items for side in sides for coordinate in side):
        return None
    sizes = tuple(task.shape[-1] for coordinate in sides[0] for task in coordinate.items)
    first = len(sides[0][0].items)
    return [(_means(across, sizes, 0), _means(up, sizes, first)) for across, up in sides]


@lru_cache(maxsize=8)
def draws(sizes: tuple[int, ...]) -> list[Array]:
    """Of each task [replicates, items]: how often an item is drawn, as a share of all draws."""
    rng = np.random.default_rng(SEED)
    return [rng.multinomial(size, np.full(size, 1 / size), REPLICATES) / size for size in sizes]


def _means(coordinate: Coordinate, sizes: tuple[int, ...], first: int) -> Array:
    """Of each replicate; the coordinate's tasks have the draws from `first` on."""
    key = (sizes, first)
    if key not in coordinate.drawn:
        weights = draws(sizes)[first : first + len(coordinate.items)]
        tasks = [
            (drawn @ task.reshape(-1, task.shape[-1]).T).reshape(-1, *task.shape[:-1])
            for drawn, task in zip(weights, coordinate.items, strict=True)
        ]
        coordinate.drawn[key] = np.mean(tasks, axis=0)
    return coordinate.drawn[key]


def added(coordinate: Coordinate) -> float:
    """The variance of two more items, one at +1 and one at -1, of scores (see `spread`)."""
    sizes = np.array([task.shape[-1] for task in coordinate.items], dtype=np.float64)
    return float(np.sum(2 / sizes / np.maximum(sizes - 1, 1)) / len(sizes) ** 2)


def spread_of(values: Array, replicates: Array | None, more: float, item_df: float) -> Spread | None:
    """The spread of the mean of `values` [seeds], with `replicates` of them [replicates, seeds] over items.

    `more` is added to the items' variance. None where neither seeds nor items say anything.
    """
    seeds = len(values)
    if replicates is None:
        return of_seeds(values.tolist()) if seeds > 1 else None
    covariance = np.atleast_2d(np.cov(replicates, rowvar=False))
    if seeds == 1:
        common, seed_error = float(covariance[0, 0]), 0.0
    else:
        # the diagonal holds each seed's own rest too, which the spread of the seeds already shows
        common = max(float(covariance.sum() - np.trace(covariance)) / (seeds * (seeds - 1)), 0.0)
        seed_error = float(values.std(ddof=1)) / seeds**0.5
    return Spread(float(values.mean()), seed_error, max(seeds - 1, 1), (common + more) ** 0.5, max(item_df, 1.0))
