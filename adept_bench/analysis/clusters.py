"""Items that belong together (a passage, a subject, an entity): each cluster of them is one draw, not several.

The standard error of a mean over n items is sqrt(C / (C - 1) * sum over the C clusters of (sum of its residuals)^2) / n
(Miller 2024, arXiv 2411.00640, with inspect_ai's correction for few clusters); clusters of one item make it the usual
one. Its degrees of freedom are C - 1 where clusters are of one size, and fewer where some outweigh the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adept_bench.analysis.protocol import label
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

Array = NDArray[np.float64]
Numbers = tuple[int, ...]
"""The cluster of each item, numbered from 0."""


def clusters_of(cells: Sequence[Cell], names: Sequence[str]) -> list[Numbers | None]:
    """The clusters of each task's items, which are the same in all cells; None where no cell tells any.

    Cells that were stored before there were clusters tell none: those of another cell, of the same items, count for
    them. Raises InputError where two cells tell different ones.
    """
    return [_of_task(cells, name) for name in names]


def _of_task(cells: Sequence[Cell], name: str) -> Numbers | None:
    telling = [cell for cell in cells if cell.tasks[name].clusters is not None]
    if not telling:
        return None
    first = telling[0].tasks[name].clusters
    numbers = first.numbers() if first else ()
    for cell in telling[1:]:
        other = cell.tasks[name].clusters
        if other and other != first and other.numbers() != numbers:
            raise InputError(
                f"{label(telling[0])} and {label(cell)} cannot be compared: other clusters of the items of task "
                f"{name!r} (by {first.by if first else None!r} and {other.by!r}); expected the same"
            )
    return numbers if count(numbers) < len(numbers) else None


def count(clusters: Numbers) -> int:
    """How many clusters there are."""
    return max(clusters) + 1


def alone(clusters: Sequence[Numbers | None]) -> bool:
    """Whether all items of some task are of one cluster: nothing says then how another one would differ."""
    return any(one is not None and count(one) == 1 for one in clusters)


def joined(clusters: Sequence[Numbers | None], sizes: Sequence[int]) -> Numbers | None:
    """The clusters of the items of several tasks, of these sizes, taken as those of one."""
    if not any(clusters):
        return None
    found: list[int] = []
    for own, size in zip(clusters, sizes, strict=True):
        start = max(found, default=-1) + 1
        found += [start + number for number in own or range(size)]
    return tuple(found)


def sums(values: Array, clusters: Numbers | None) -> Array:
    """[..., items] summed to [..., clusters]; as they are where there are none."""
    if clusters is None:
        return values
    order = np.argsort(clusters, kind="stable")
    starts = np.cumsum(sizes(clusters)) - sizes(clusters)
    return np.asarray(np.add.reduceat(values[..., order], starts.astype(np.intp), axis=-1))


def sizes(clusters: Numbers) -> Array:
    """Items of each cluster."""
    return np.bincount(clusters).astype(np.float64)


def error_of_mean(values: Sequence[float], clusters: Numbers) -> float | None:
    """The standard error of the mean of `values`; None where there is one cluster."""
    if count(clusters) < 2:
        return None
    array = np.asarray(values, dtype=np.float64)
    summed = sums(array - array.mean(), clusters)
    return float(np.sqrt(len(summed) / (len(summed) - 1) * np.sum(summed**2))) / len(array)


def freedom(clusters: Numbers, residuals: Array | None = None) -> float:
    """Satterthwaite's degrees of freedom of the variance of a mean over clusters, at least 1.

    A cluster of m items weighs m (1 + (m - 1) r), r the correlation within clusters: that of `residuals` [items], by
    moments, or 1, which gives the fewest, where there are none.
    """
    many = sizes(clusters)
    pairs = float(np.sum(many * (many - 1)))
    within = 1.0
    if residuals is not None and pairs:
        spread = float(np.mean(residuals**2))
        excess = float(np.sum(sums(residuals, clusters) ** 2)) / spread - len(clusters) if spread else pairs
        within = min(max(excess / pairs, 0.0), 1.0)
    weights = many * (1 + (many - 1) * within)
    return max(float(weights.sum() ** 2 / np.sum(weights**2)) - 1, 1.0)
