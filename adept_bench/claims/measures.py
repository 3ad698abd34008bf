"""The measures that the ledger names: each makes a Finding of the cells of one (preset, suite).

Each takes the cells by method, the measure's arguments and, for accuracy, names of tasks to keep (None: the group's).
InputError says why there is nothing to show: cells that are missing, that lack a block, or that may not be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from adept_bench.analysis.clock import apart
from adept_bench.analysis.clusters import clusters_of
from adept_bench.analysis.protocol import group_tasks, label
from adept_bench.analysis.spread import of_items, of_seeds
from adept_bench.claims import layers
from adept_bench.claims.acquisition import kept, learned
from adept_bench.claims.finding import Finding
from adept_bench.claims.ledger import Measure
from adept_bench.claims.sides import ONE_CLUSTER, ONE_SEED, Sides, pairs_of, seeds_of, side
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell, TokenShift

Compute = Callable[[Sides, Measure, Collection[str] | None], Finding]


def accuracy(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Group mean of the method minus that of the reference, points; paired over items and seeds (see `spread`)."""
    pairs = pairs_of(sides, measure)
    names = group_tasks([cell for pair in pairs for cell in pair], measure.group or "")
    names = [name for name in names if tasks is None or name in tasks]
    if not names:
        wanted = f"group {measure.group!r}" if tasks is None else f"any of {', '.join(tasks)}"
        raise InputError(f"{label(pairs[0][0])}: no task of {wanted}")
    differences = [
        np.subtract(*(np.array([cell.tasks[name].items for cell in side], float) for side in zip(*pairs, strict=True)))
        for name in names
    ]
    spread = of_items(differences, clusters_of([cell for pair in pairs for cell in pair], names))
    points = spread and replace(
        spread,
        mean=100 * spread.mean,
        seed_error=100 * spread.seed_error,
        item_error=100 * spread.item_error,
    )
    return Finding(
        "points",
        points.mean if points else 100 * float(np.mean([task.mean() for task in differences])),
        tuple(cell for pair in pairs for cell in pair),
        tuple(cell.seed for cell, _ in pairs),
        "items and seeds",
        points,
        sum(task.shape[1] for task in differences),
        untestable=("" if points else ONE_CLUSTER) if len(pairs) > 1 else ONE_SEED,
    )


def train_time(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Training seconds of the method over those of the reference, probing apart: geometric mean over seeds.

    Only of seeds whose two cells were timed alike (`analysis.clock`), as in the figures of cost.
    """
    pairs = pairs_of(sides, measure)
    disturbed = {cell.seed: why for cell, other in pairs if (why := apart(cell, other))}
    reasons = "; ".join(f"seconds of seed {seed} do not compare: {why}" for seed, why in disturbed.items())
    if len(disturbed) == len(pairs):
        raise InputError(f"{measure.method} and {measure.reference}: {reasons}")
    timed = [pair for pair in pairs if pair[0].seed not in disturbed]
    found = _ratio(timed, lambda cell: cell.cost.train_seconds, "training seconds")
    if not disturbed:
        return found
    return replace(found, left_out=f"training time over {len(timed)} of {len(pairs)} seeds; {reasons}")


def token_shift(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Share of shifted positions of the method over that of the reference: geometric mean over seeds.

    Half a position is added to the shifted ones and one to all, so that a side without any has a logarithm.
    """
    pairs = pairs_of(sides, measure)
    for cell, other in pairs:
        mine, theirs = _shift(cell, measure), _shift(other, measure)
        if mine.positions != theirs.positions:
            found = f"{mine.positions} and {theirs.positions} positions"
            raise InputError(f"{label(cell)} and {label(other)} cannot be compared: token shift over {found}")
    return _ratio(pairs, lambda cell: _shifted_share(_shift(cell, measure)), "share of shifted tokens")


def trainable_share(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Share of the parameters that trains; exact, so its interval is the range over cells."""
    cells = side(sides, measure.method)
    shares = [cell.model.trainable_fraction for cell in cells]
    mean = float(np.mean(shares))
    return Finding("share", mean, cells, seeds_of(cells), "nothing: exact", exact=(min(shares), max(shares)))


def probe_time(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Seconds of all probing over those of training, in the same cells: geometric mean over seeds."""
    cells = [
        cell for cell in side(sides, measure.method) if cell.cost.probe_seconds > 0 and cell.cost.train_seconds > 0
    ]
    if not cells:
        raise InputError(f"{measure.method}: no seconds of probing in its cells")
    return _of_logs([math.log(cell.cost.probe_seconds / cell.cost.train_seconds) for cell in cells], cells, cells)


def merged(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Two domains' copies in one model. No suite stores such models, so there is nothing to measure."""
    raise InputError("no suite stores merged models; `adept-bench merge` makes one, `adept-bench eval` scores it")


MEASURES: dict[str, Compute] = {
    "kept": kept,
    "learned": learned,
    "accuracy": accuracy,
    "train_time": train_time,
    "probe_time": probe_time,
    "token_shift": token_shift,
    "trainable_share": trainable_share,
    "importance_trend": layers.importance_trend,
    "selected_depth": layers.selected_depth,
    "metric_agreement": layers.metric_agreement,
    "unit_spread": layers.unit_spread,
    "activation_overlap": layers.activation_overlap,
    "merged": merged,
}


def _ratio(pairs: Sequence[tuple[Cell, Cell]], value: Callable[[Cell], float], what: str) -> Finding:
    """The ratio as exp of the mean difference of logarithms, Student's t over seeds.

    Not a ratio of means: seeds that ran on a slower machine, or on a base that shifts more, weigh the same.
    """
    for cell in (cell for pair in pairs for cell in pair):
        if value(cell) <= 0:
            raise InputError(f"{label(cell)}: {what} {value(cell):g}; a ratio needs more than 0")
    logs = [math.log(value(cell) / value(other)) for cell, other in pairs]
    return _of_logs(logs, [cell for pair in pairs for cell in pair], [cell for cell, _ in pairs])


def _of_logs(logs: Sequence[float], cells: Sequence[Cell], by_seed: Sequence[Cell]) -> Finding:
    several = len(logs) > 1
    return Finding(
        "ratio",
        math.exp(float(np.mean(logs))),
        tuple(cells),
        seeds_of(by_seed),
        "seeds",
        of_seeds(logs) if several else None,
        untestable="" if several else ONE_SEED,
    )


def _shift(cell: Cell, measure: Measure) -> TokenShift:
    for shift in cell.analyses.token_shift if cell.analyses else []:
        if shift.corpus == measure.corpus:
            return shift
    raise InputError(f"{label(cell)}: no token shift on {measure.corpus} text")


def _shifted_share(shift: TokenShift) -> float:
    return (shift.shifted + 0.5) / (shift.positions + 1)
