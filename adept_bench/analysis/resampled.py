"""The spread of a statistic of whole paths: over seeds, and over items drawn again (docs/acquisition.md).

A maximum over points has no variance in closed form, so the items' part comes from replicates. What seeds differ by
needs none: each seed has its own value, and Student's t is of their spread, as in `spread`. Where items come in
clusters, whole clusters are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from adept_bench.analysis.clusters import Numbers, count, freedom
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
    units: list[Unit] = []
    for coordinate, clusters in zip(sides[0], paths.clusters, strict=True):
        own = clusters or [None] * len(coordinate.items)
        units += [one or task.shape[-1] for task, one in zip(coordinate.items, own, strict=True)]
    first = len(sides[0][0].items)
    return [(_means(across, tuple(units), 0), _means(up, tuple(units), first)) for across, up in sides]


Unit = int | Numbers
"""What a task's draws are of: so many items, or items in clusters."""


@lru_cache(maxsize=8)
def draws(units: tuple[Unit, ...]) -> list[Array]:
    """Of each task [replicates, items]: how often an item is drawn, as a share of all draws.

    Of C clusters C - 1 are drawn, which makes the variance of few of them what it is; of items as many as there are.
    """
    rng = np.random.default_rng(SEED)
    return [_draws(one, rng) for one in units]


def _draws(unit: Unit, rng: np.random.Generator) -> Array:
    if isinstance(unit, int):
        return rng.multinomial(unit, np.full(unit, 1 / unit), REPLICATES) / unit
    clusters = count(unit)
    drawn = rng.multinomial(max(clusters - 1, 1), np.full(clusters, 1 / clusters), REPLICATES)[:, unit]
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def _means(coordinate: Coordinate, units: tuple[Unit, ...], first: int) -> Array:
    """Of each replicate; the coordinate's tasks have the draws from `first` on."""
    key = (units, first)
    if key not in coordinate.drawn:
        weights = draws(units)[first : first + len(coordinate.items)]
        tasks = [
            (drawn @ task.reshape(-1, task.shape[-1]).T).reshape(-1, *task.shape[:-1])
            for drawn, task in zip(weights, coordinate.items, strict=True)
        ]
        coordinate.drawn[key] = np.mean(tasks, axis=0)
    return coordinate.drawn[key]


def added(coordinate: Coordinate, clusters: Sequence[Numbers | None]) -> float:
    """The variance of two more items, one at +1 and one at -1, of scores (see `spread`)."""
    sizes = np.array([task.shape[-1] for task in coordinate.items], dtype=np.float64)
    units = np.array([count(one) if one else size for one, size in zip(clusters or [None] * len(sizes), sizes)])
    return float(np.sum(2 / sizes / np.maximum(units - 1, 1) * (units / sizes)) / len(sizes) ** 2)


def freedom_of(coordinate: Coordinate, clusters: Sequence[Numbers | None]) -> float:
    """The degrees of freedom of the items' variance: the fewest of a task's, and at least 1."""
    own = clusters or [None] * len(coordinate.items)
    each = [freedom(one) if one else task.shape[-1] - 1 for task, one in zip(coordinate.items, own, strict=True)]
    return float(max(min(each, default=0), 1))


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
