"""The measures that the ledger names: each makes a Finding of the cells of one (preset, suite).

Each takes the cells by method, the measure's arguments and, for accuracy, names of tasks to keep (None: the group's).
InputError says why there is nothing to show: cells that are missing, that lack a block, or that may not be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from adept_bench.analysis.clock import apart
from adept_bench.analysis.protocol import group_tasks, label, pair_seeds
from adept_bench.analysis.spread import of_items, of_seeds
from adept_bench.claims.depth import choice_by_chance, correlation_with_depth, trend_by_chance
from adept_bench.claims.finding import Finding
from adept_bench.claims.ledger import Measure, Unit
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell, TokenShift

Sides = Mapping[str, Sequence[Cell]]
Compute = Callable[[Sides, Measure, Collection[str] | None], Finding]
ONE_SEED = "one seed: nothing is known of the spread over seeds"


def accuracy(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Group mean of the method minus that of the reference, points; paired over items and seeds (see `spread`)."""
    pairs = _pairs(sides, measure)
    names = group_tasks([cell for pair in pairs for cell in pair], measure.group or "")
    names = [name for name in names if tasks is None or name in tasks]
    if not names:
        wanted = f"group {measure.group!r}" if tasks is None else f"any of {', '.join(tasks)}"
        raise InputError(f"{label(pairs[0][0])}: no task of {wanted}")
    sides_of = [[[cell.tasks[name].items for cell in side] for side in zip(*pairs, strict=True)] for name in names]
    spread = of_items([np.subtract(*(np.array(side, dtype=np.float64) for side in task)) for task in sides_of])
    points = replace(
        spread,
        mean=100 * spread.mean,
        seed_error=100 * spread.seed_error,
        item_error=100 * spread.item_error,
    )
    return Finding(
        "points",
        points.mean,
        tuple(cell for pair in pairs for cell in pair),
        tuple(cell.seed for cell, _ in pairs),
        "items and seeds",
        points,
        sum(len(task[0][0]) for task in sides_of),
        untestable="" if len(pairs) > 1 else ONE_SEED,
    )


def train_time(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Training seconds of the method over those of the reference, probing apart: geometric mean over seeds.

    Only of seeds whose two cells were timed alike (`analysis.clock`), as in the figures of cost.
    """
    pairs = _pairs(sides, measure)
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
    pairs = _pairs(sides, measure)
    for cell, other in pairs:
        mine, theirs = _shift(cell, measure), _shift(other, measure)
        if mine.positions != theirs.positions:
            found = f"{mine.positions} and {theirs.positions} positions"
            raise InputError(f"{label(cell)} and {label(other)} cannot be compared: token shift over {found}")
    return _ratio(pairs, lambda cell: _shifted_share(_shift(cell, measure)), "share of shifted tokens")


def trainable_share(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Share of the parameters that trains; exact, so its interval is the range over cells."""
    cells = _side(sides, measure.method)
    shares = [cell.model.trainable_fraction for cell in cells]
    mean = float(np.mean(shares))
    return Finding("share", mean, cells, _seeds(cells), "nothing: exact", exact=(min(shares), max(shares)))


def importance_trend(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Spearman's correlation of the base's layer importance (masking, general corpus) with depth, mean over bases."""
    having = [cell for cell in _side(sides, measure.method) if _importance(cell)]
    if not having:
        raise InputError(f"{measure.method}: no layer importances in its cells")
    bases = _one_a_base(having)
    importances = [_importance(cell) for cell in bases]
    trends = [correlation_with_depth(importance) for importance in importances]
    return _over_bases("rho", trends, bases, lambda: trend_by_chance(importances))


def selected_depth(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Mean relative depth (0 first, 1 last) of the layers that the method copies, mean over bases."""
    bases = _one_a_base([cell for cell in _side(sides, measure.method) if cell.model.expanded_layers])
    if not bases:
        raise InputError(f"{measure.method}: no expanded layers in its cells")
    layers = [cell.model.base_layers or cell.model.layers - len(cell.model.expanded_layers) for cell in bases]
    chosen = [cell.model.expanded_layers for cell in bases]
    if len(set(layers)) > 1 or len({len(one) for one in chosen}) > 1:
        raise InputError(f"{measure.method}: bases of different depth, or different numbers of copies")
    depths = [float(np.mean(one)) / (layers[0] - 1) for one in chosen]
    return _over_bases("depth", depths, bases, lambda: choice_by_chance(chosen, layers))


MEASURES: dict[str, Compute] = {
    "accuracy": accuracy,
    "train_time": train_time,
    "token_shift": token_shift,
    "trainable_share": trainable_share,
    "importance_trend": importance_trend,
    "selected_depth": selected_depth,
}


def _side(sides: Sides, method: str) -> tuple[Cell, ...]:
    return tuple(sorted(sides[method], key=lambda cell: cell.seed))


def _seeds(cells: Sequence[Cell]) -> tuple[int, ...]:
    return tuple(cell.seed for cell in cells)


def _pairs(sides: Sides, measure: Measure) -> list[tuple[Cell, Cell]]:
    mine, other = sides[measure.method], sides[measure.reference or ""]
    pairs = pair_seeds(mine, other)
    if not pairs:
        raise InputError(f"{measure.method} and {measure.reference}: no seed in common")
    return pairs


def _ratio(pairs: Sequence[tuple[Cell, Cell]], value: Callable[[Cell], float], what: str) -> Finding:
    """The ratio as exp of the mean difference of logarithms, Student's t over seeds.

    Not a ratio of means: seeds that ran on a slower machine, or on a base that shifts more, weigh the same.
    """
    for cell in (cell for pair in pairs for cell in pair):
        if value(cell) <= 0:
            raise InputError(f"{label(cell)}: {what} {value(cell):g}; a ratio needs more than 0")
    logs = [math.log(value(cell) / value(other)) for cell, other in pairs]
    several = len(logs) > 1
    return Finding(
        "ratio",
        math.exp(float(np.mean(logs))),
        tuple(cell for pair in pairs for cell in pair),
        tuple(cell.seed for cell, _ in pairs),
        "seeds",
        of_seeds(logs) if several else None,
        untestable="" if several else ONE_SEED,
    )


def _over_bases(unit: Unit, values: list[float], bases: Sequence[Cell], by_chance: Callable[[], float]) -> Finding:
    """Student's t over base models; where they show no spread (one base, or equal ones): against a random order."""
    mean, cells, seeds = float(np.mean(values)), tuple(bases), _seeds(bases)
    spread = of_seeds(values) if len(values) > 1 else None
    if spread is None or spread.error == 0.0:
        return Finding(unit, mean, cells, seeds, "the order of the layers", p=by_chance())
    return Finding(unit, mean, cells, seeds, "base models", spread)


def _one_a_base(cells: Sequence[Cell]) -> list[Cell]:
    """The first cell of each base model: seeds that share a base say the same of it."""
    found: dict[object, Cell] = {}
    for cell in cells:
        found.setdefault(cell.model.hash or (cell.model.source, cell.model.revision), cell)
    return list(found.values())


def _importance(cell: Cell) -> list[float]:
    """By masking on the general corpus, as the method used it, or as suite `pilot` measured it; empty where neither."""
    for probe in cell.analyses.layers if cell.analyses else []:
        if (probe.corpus, probe.metric) == ("general", "masking"):
            return probe.importance
    used = cell.probe.get("layers_general")
    return list(used["importance"]) if isinstance(used, dict) and used.get("metric") == "masking" else []


def _shift(cell: Cell, measure: Measure) -> TokenShift:
    for shift in cell.analyses.token_shift if cell.analyses else []:
        if shift.corpus == measure.corpus:
            return shift
    raise InputError(f"{label(cell)}: no token shift on {measure.corpus} text")


def _shifted_share(shift: TokenShift) -> float:
    return (shift.shifted + 0.5) / (shift.positions + 1)
