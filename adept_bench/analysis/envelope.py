"""What a path attains: the upper envelope of its points and of the lines between neighbours (docs/acquisition.md)."""

from __future__ import annotations

import numpy as np

from adept_bench.analysis.spread import Array


def attained(across: Array, up: Array, levels: Array) -> Array:
    """The highest `up` on a path where `across` is at least the level; NaN where the path never gets there.

    `across` and `up` are [..., points], a path a row, points in the order in which lines join them. `levels` is
    [levels] or, where each path has its own, [..., levels]. Returns [..., levels].
    """
    across, up = across[..., None], up[..., None]
    highest = np.where(across[..., 0, :] >= levels, up[..., 0, :], -np.inf)
    for end in range(1, across.shape[-2]):
        start_x, end_x = across[..., end - 1, :], across[..., end, :]
        start_y, end_y = up[..., end - 1, :], up[..., end, :]
        np.maximum(highest, np.where(end_x >= levels, end_y, -np.inf), out=highest)
        crossed = (start_x < levels) != (end_x < levels)
        run = np.where(start_x == end_x, 1.0, end_x - start_x)  # not crossed then
        on_line = start_y + (levels - start_x) * ((end_y - start_y) / run)
        np.maximum(highest, np.where(crossed, on_line, -np.inf), out=highest)
    return np.where(np.isneginf(highest), np.nan, highest)


def attained_or_best(across: Array, up: Array, levels: Array) -> Array:
    """`attained`, a level above a path's best read at its best."""
    return attained(across, up, np.minimum(levels, across.max(axis=-1)[..., None]))
