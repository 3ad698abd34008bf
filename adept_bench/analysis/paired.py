"""Paired comparisons of two methods over stored cells: differences with intervals, and flipped items.

`cells` and `reference` are cells of one method each; they are paired by seed, and within a seed item by item. The
interval and its coverage are explained in `spread`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adept_bench.analysis.clusters import Numbers, clusters_of
from adept_bench.analysis.protocol import group_tasks, pair_seeds
from adept_bench.analysis.spread import Array, Spread, of_items, of_seeds
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval; shares (0..1) for scores, nats for losses.

    `low`, `high`, `standard_error` and `p_value` are None where nothing is known of the spread: one seed of a per-seed
    number, items of one cluster. `p_value`: two-sided, of the true mean being 0. `seeds_resampled` is False where there
    is one seed: the interval then speaks of other items, not of other seeds.
    """

    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    p_value: float | None
    cells: int
    """Cells the estimate was made of: two a seed for a difference."""
    seeds: tuple[int, ...]
    items: int
    """Items a seed; 0 for numbers that have none, such as losses."""
    seeds_resampled: bool
    level: float = 0.95

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self) | {"seeds": list(self.seeds)}


@dataclass(frozen=True)
class Flips:
    """Answers that were right in the reference and are wrong now, and the reverse, summed over seeds."""

    right_to_wrong: int
    wrong_to_right: int
    answers: int
    """Items times seeds."""


def paired_difference(cells: Sequence[Cell], reference: Sequence[Cell], group: str, level: float = 0.95) -> Estimate:
    """Group mean of `cells` minus that of `reference`, averaged over the seeds both have.

    Raises InputError where they have no seed in common, the group has no task, or the cells are not comparable (other
    items, prompts, base model or token budget).
    """
    seeds, tasks, clusters = _paired_items(cells, reference, group)
    differences = [mine - other for mine, other in tasks]
    return of_tasks(differences, clusters, seeds, 2 * len(seeds), level, floor=-1.0)


def group_mean(cells: Sequence[Cell], group: str, level: float = 0.95) -> Estimate:
    """The group mean of one method's cells (not paired with anything), averaged over seeds.

    Raises InputError where the cells are not comparable or have no task in the group.
    """
    seeds, tasks, clusters = _paired_items(cells, cells, group)
    return of_tasks([mine for mine, _ in tasks], clusters, seeds, len(seeds), level, floor=0.0)


def paired_values(
    cells: Sequence[Cell], reference: Sequence[Cell], value: Callable[[Cell], float], level: float = 0.95
) -> Estimate:
    """The mean difference of a number that each cell has once, over the seeds both have: Student's t over seeds.

    Raises InputError where they have no seed in common or are not comparable.
    """
    pairs = _pairs(cells, reference)
    differences = [value(cell) - value(other) for cell, other in pairs]
    return seed_mean(differences, [cell.seed for cell, _ in pairs], 2 * len(pairs), level)


def seed_mean(values: Sequence[float], seeds: Sequence[int], cells: int, level: float = 0.95) -> Estimate:
    """The mean of one number a seed with its t interval; no interval from a single seed."""
    if len(values) < 2:
        return Estimate(float(values[0]), None, None, None, None, cells, tuple(seeds), 0, False, level)
    return estimate_of(of_seeds(values), cells, seeds, 0, level, -np.inf, np.inf)


def flips(cells: Sequence[Cell], reference: Sequence[Cell], group: str) -> Flips:
    """How many answers of the group turned from right in `reference` to wrong in `cells`, and from wrong to right."""
    _, tasks, _ = _paired_items(cells, reference, group)
    return Flips(
        right_to_wrong=sum(int(np.sum(other > mine)) for mine, other in tasks),
        wrong_to_right=sum(int(np.sum(mine > other)) for mine, other in tasks),
        answers=sum(mine.size for mine, _ in tasks),
    )


def _pairs(cells: Sequence[Cell], reference: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    pairs = pair_seeds(cells, reference)
    if not pairs:
        mine, other = sorted({cell.seed for cell in cells}), sorted({cell.seed for cell in reference})
        raise InputError(f"no seed in common: {mine} and {other}; expected cells of the same seeds")
    return pairs


def _paired_items(
    cells: Sequence[Cell], reference: Sequence[Cell], group: str
) -> tuple[list[int], list[tuple[Array, Array]], list[Numbers | None]]:
    """The common seeds; a task, the two arrays [seeds, items] of right (1) and wrong (0); each task's clusters."""
    pairs = _pairs(cells, reference)
    together = [cell for pair in pairs for cell in pair]
    names = group_tasks(together, group)
    if not names:
        raise InputError(f"group {group!r}: no task in {pairs[0][0].method!r}; there are {sorted(pairs[0][0].groups)}")
    tasks = [
        tuple(np.array([pair[side].tasks[name].items for pair in pairs], dtype=np.float64) for side in (0, 1))
        for name in names
    ]
    return [cell.seed for cell, _ in pairs], [(task[0], task[1]) for task in tasks], clusters_of(together, names)


def of_tasks(
    tasks: Sequence[Array],
    clusters: Sequence[Numbers | None],
    seeds: Sequence[int],
    cells: int,
    level: float,
    floor: float,
) -> Estimate:
    """The mean over tasks, each [seeds, items], with its interval; without one where a task's items are one cluster."""
    items = sum(task.shape[1] for task in tasks)
    spread = of_items(tasks, clusters)
    if spread is None:
        mean = float(np.mean([task.mean() for task in tasks]))
        return Estimate(mean, None, None, None, None, cells, tuple(seeds), items, len(seeds) > 1, level)
    return estimate_of(spread, cells, seeds, items, level, floor, 1.0)


def estimate_of(
    spread: Spread, cells: int, seeds: Sequence[int], items: int, level: float, floor: float, ceiling: float
) -> Estimate:
    """The mean of `spread` with its interval, which ends at `floor` and `ceiling`."""
    half = spread.half_width(level)
    low, high = max(spread.mean - half, floor), min(spread.mean + half, ceiling)
    several = len(seeds) > 1
    return Estimate(spread.mean, low, high, spread.error, spread.p_value(), cells, tuple(seeds), items, several, level)
