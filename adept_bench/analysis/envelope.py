"""What a path attains: the upper envelope of its points and of the lines between neighbours (docs/acquisition.md)."""

from __future__ import annotations

import numpy as np

from adept_bench.analysis.spread import Array

SLACK = 1e-13
"""By how much a path may miss a level and still attain it: means of equal items differ in their last digits between
processors, and what is attained must not."""
ROWS = 128
"""Paths that are read at a time: what is held meanwhile then stays in the processor's cache."""


def attained(across: Array, up: Array, levels: Array) -> Array:
    """The highest `up` on a path where `across` is at least the level; NaN where the path never gets there.

    `across` and `up` are [..., points], a path a row, points in the order in which lines join them. `levels` is
    [levels] or, where each path has its own, [..., levels]. Returns [..., levels].
    """
    each = np.broadcast_to(levels - SLACK, (*across.shape[:-1], levels.shape[-1]))
    count = int(np.prod(across.shape[:-1]))
    rows, ups, at = (one.reshape(count, one.shape[-1]) for one in (across, up, each))
    highest = np.empty(at.shape)
    for start in range(0, len(rows), ROWS):
        some = slice(start, start + ROWS)
        highest[some] = _highest(rows[some], ups[some], at[some])
    highest[np.isneginf(highest)] = np.nan
    return highest.reshape(each.shape)


def _highest(across: Array, up: Array, levels: Array) -> Array:
    """`attained` of [paths, points] at [paths, levels]; minus infinity where a path never gets there."""
    reached = across[:, :1] >= levels
    highest = np.where(reached, up[:, :1], -np.inf)
    for end in range(1, across.shape[1]):
        start_x, end_x, start_y, end_y = (values[:, place, None] for values in (across, up) for place in (end - 1, end))
        before, reached = reached, end_x >= levels
        np.maximum(highest, np.where(reached, end_y, -np.inf), out=highest)
        run = np.where(start_x == end_x, 1.0, end_x - start_x)  # not crossed then
        on_line = (levels - start_x) * ((end_y - start_y) / run)
        on_line += start_y
        np.copyto(on_line, -np.inf, where=before == reached)  # the line does not cross the level
        np.maximum(highest, on_line, out=highest)
    return highest


def attained_or_best(across: Array, up: Array, levels: Array) -> Array:
    """`attained`, a level above a path's best read at its best."""
    return attained(across, up, np.minimum(levels, across.max(axis=-1)[..., None]))
