"""Measures of the pilot study: where layers matter, what the metrics agree on, units and activations.

Each makes a Finding of the cells of one (preset, suite), mean over base models. The first layer is in a class of its
own (without it nothing is left of a small model's predictions), so trends and agreements over layers are judged without
it, and shown with it beside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from adept_bench.analysis.rankings import spearman
from adept_bench.analysis.spread import of_seeds
from adept_bench.claims.depth import agreement_by_chance, choice_by_chance, correlation_with_depth, trend_by_chance
from adept_bench.claims.finding import Beside, Finding, beside
from adept_bench.claims.ledger import Measure
from adept_bench.claims.sides import ONE_SEED, Sides, one_a_base, pairs_of, seeds_of, side
from adept_bench.claims.units import Unit
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell, UnitProbe

WITH_FIRST = "with the first layer"


def importance_trend(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Spearman's correlation of the base's layer importance (masking, general corpus) with depth, mean over bases."""
    having = [cell for cell in side(sides, measure.method) if len(importance_of(cell)) > 2]
    if not having:
        raise InputError(f"{measure.method}: no layer importances in its cells")
    bases = one_a_base(having)

    def over(first: int) -> Finding:
        importances = [importance_of(cell)[first:] for cell in bases]
        trends = [correlation_with_depth(importance) for importance in importances]
        return _over_bases("rho", trends, bases, lambda: trend_by_chance(importances))

    return _with_beside(over(1), [beside(WITH_FIRST, over(0))])


def selected_depth(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Mean relative depth (0 first, 1 last) of the layers that the method copies, mean over bases."""
    bases = one_a_base([cell for cell in side(sides, measure.method) if cell.model.expanded_layers])
    if not bases:
        raise InputError(f"{measure.method}: no expanded layers in its cells")
    chosen, layers = _chosen(bases)
    if len(set(layers)) > 1 or len({len(one) for one in chosen}) > 1:
        raise InputError(f"{measure.method}: bases of different depth, or different numbers of copies")
    depths = [float(np.mean(one)) / (layers[0] - 1) for one in chosen]
    return _over_bases("depth", depths, bases, lambda: choice_by_chance(chosen, layers))


def metric_agreement(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Spearman's correlation of layer importance by a metric with that by masking, mean over bases."""
    corpus, metric = measure.corpus or "", measure.metric or ""
    found = [
        (cell, by[metric], by["masking"])
        for cell in one_a_base(side(sides, measure.method))
        if metric in (by := _by_metric(cell, corpus)) and "masking" in by
    ]
    if not found:
        raise InputError(f"{measure.method}: no layer importances by {metric} and masking on {corpus} text")
    bases = [cell for cell, _, _ in found]

    def over(first: int) -> Finding:
        pairs = [(one[first:], other[first:]) for _, one, other in found]
        rhos = [spearman(one, other) or 0.0 for one, other in pairs]
        return _over_bases("rho", rhos, bases, lambda: agreement_by_chance(pairs))

    return _with_beside(over(1), [beside(WITH_FIRST, over(0))])


def unit_spread(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Orders of magnitude between a layer's most and least important unit, mean over layers and then bases.

    Of projections: importance is a mean over a unit's weights, and norms, all of whose weights are about 1, lie orders
    above; with them beside.
    """
    probes = [
        (cell, probe)
        for cell in one_a_base(side(sides, measure.method))
        for probe in (cell.analyses.units if cell.analyses else [])
        if probe.corpus == measure.corpus
    ]
    if not probes:
        raise InputError(f"{measure.method}: no unit importances on {measure.corpus} text")
    bases = [cell for cell, _ in probes]

    def over(norms: bool) -> Finding:
        values = [_decades(probe, norms) for _, probe in probes]
        return _over_bases("decades", values, bases, None)

    return _with_beside(over(False), [beside("with norms", over(True))])


def activation_overlap(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """How much less general and domain text overlap in the method's adapted layers than in the reference's, points.

    A reference `vanilla` is the base's own layers, measured with the method's. Mean over layers, then seeds.
    """
    of_base = measure.reference == "vanilla"
    if of_base:
        pairs = [(cell, cell) for cell in side(sides, measure.method)]
    else:
        pairs = pairs_of(sides, measure)
    values, cells = [], []
    for cell, other in pairs:
        mine, theirs = _overlaps(cell, "adapted"), _overlaps(other, "base" if of_base else "adapted")
        if shared := sorted(mine.keys() & theirs.keys()):
            values.append(100 * float(np.mean([mine[layer] - theirs[layer] for layer in shared])))
            cells.append((cell, other))
    if not values:
        raise InputError(f"{measure.method} and {measure.reference}: no activations of the same layers")
    several = len(values) > 1
    return Finding(
        "points",
        float(np.mean(values)),
        tuple(cell for pair in cells for cell in (pair[:1] if of_base else pair)),
        seeds_of([cell for cell, _ in cells]),
        "seeds",
        of_seeds(values) if several else None,
        untestable="" if several else ONE_SEED,
    )


def importance_of(cell: Cell) -> list[float]:
    """By masking on the general corpus, as the method used it, or as suite `pilot` measured it; empty where neither."""
    if found := _by_metric(cell, "general").get("masking"):
        return found
    used = cell.probe.get("layers_general")
    return list(used["importance"]) if isinstance(used, dict) and used.get("metric") == "masking" else []


def by_chance(measure: Measure, bases: Sequence[Cell]) -> float:
    """Two-sided p of a trend over the layers after the first, or of the choice of layers, were their order random."""
    if measure.name == "selected_depth":
        return choice_by_chance(*_chosen(bases))
    return trend_by_chance([importance_of(cell)[1:] for cell in bases])


def _chosen(bases: Sequence[Cell]) -> tuple[list[list[int]], list[int]]:
    """The chosen layers of each base, and how many layers it has."""
    layers = [cell.model.base_layers or cell.model.layers - len(cell.model.expanded_layers) for cell in bases]
    return [list(cell.model.expanded_layers) for cell in bases], layers


def _by_metric(cell: Cell, corpus: str) -> dict[str, list[float]]:
    probes = cell.analyses.layers if cell.analyses else []
    return {probe.metric: probe.importance for probe in probes if probe.corpus == corpus}


def _decades(probe: UnitProbe, norms: bool) -> float:
    by_layer: dict[int, list[float]] = {}
    for layer, norm, importance in zip(probe.layer, probe.norm, probe.importance, strict=True):
        if importance > 0 and (norms or not norm):
            by_layer.setdefault(layer, []).append(importance)
    return float(np.mean([np.log10(max(one) / min(one)) for one in by_layer.values()]))


def _overlaps(cell: Cell, state: str) -> dict[int, float]:
    found = cell.analyses.overlaps if cell.analyses else []
    return {one.layer: one.overlap for one in found if one.state == state}


def _with_beside(finding: Finding, others: list[Beside]) -> Finding:
    return replace(finding, beside=tuple(others))


def _over_bases(
    unit: Unit, values: list[float], bases: Sequence[Cell], by_chance: Callable[[], float] | None
) -> Finding:
    """Student's t over base models; where they show no spread (one base, or equal ones): against a random order."""
    mean, cells, seeds = float(np.mean(values)), tuple(bases), seeds_of(bases)
    spread = of_seeds(values) if len(values) > 1 else None
    if spread is not None and spread.error > 0.0:
        return Finding(unit, mean, cells, seeds, "base models", spread)
    if by_chance is None:
        return Finding(unit, mean, cells, seeds, "base models", untestable="one base: nothing is known of their spread")
    return Finding(unit, mean, cells, seeds, "the order of the layers", p=by_chance())
