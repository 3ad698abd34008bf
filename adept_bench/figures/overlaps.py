"""The overlap of general and domain activations, of all methods and seeds: the lower part of figure `activations`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adept_bench.analysis.paired import Estimate
from adept_bench.analysis.pilot import in_words
from adept_bench.analysis.rankings import mean_within
from adept_bench.figures.base import Table, Value
from adept_bench.figures.style import PALE, clean, colour, label, marker
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STATES = {"base": "base layer", "expanded": "copy, untrained", "adapted": "after training"}
SHORT = {"base": "base", "expanded": "copy", "adapted": "trained"}
Overlaps = dict[str, dict[int, float]]
"""By state and seed, 0..1."""


def overlaps_of(cells: Sequence[Cell], method: str) -> Overlaps:
    """By state and seed, the mean over the method's layers."""
    found: dict[str, dict[int, list[float]]] = {}
    for cell in cells:
        if cell.method == method and cell.analyses is not None:
            for one in cell.analyses.overlaps:
                found.setdefault(one.state, {}).setdefault(cell.seed, []).append(one.overlap)
    return {
        state: {seed: float(np.mean(values)) for seed, values in found[state].items()}
        for state in STATES
        if state in found
    }


def _difference(overlaps: Overlaps, state: str) -> Estimate | None:
    """State minus base, paired by seed."""
    base, mine = overlaps.get("base", {}), overlaps.get(state, {})
    common = {seed: mine[seed] - base[seed] for seed in mine if seed in base}
    return mean_within(common, -1.0, 1.0) if common else None


def overlap_panel(axes: Axes, overlaps: dict[str, Overlaps]) -> None:
    """Per method and state the single seeds, joined by a line, and beside them the mean with its 95% interval."""
    ticks, names, centres = [], [], []
    place = 0.0
    for method, by_state in overlaps.items():
        start = place
        where = {}
        for state in by_state:
            where[state] = place
            ticks.append(place)
            names.append(SHORT[state])
            place += 1.0
        if not where:
            continue
        seeds = sorted({seed for values in by_state.values() for seed in values})
        for seed in seeds if len(seeds) > 1 else []:
            line = [(where[state], values[seed]) for state, values in by_state.items() if seed in values]
            axes.plot(*zip(*line), color=colour(method), linewidth=0.7, alpha=0.5, marker="o", markersize=2.8, zorder=2)
        for state, values in by_state.items():
            mean = mean_within(values, 0.0, 1.0)
            if mean.low is not None and mean.high is not None:
                axes.plot(
                    [where[state] - 0.22] * 2, [mean.low, mean.high], color=colour(method), linewidth=1.1, zorder=3
                )
            axes.scatter(
                where[state] - 0.22,
                mean.value,
                s=34,
                marker=marker(method),
                color=colour(method),
                edgecolor="white",
                linewidth=0.6,
                zorder=4,
            )
        centres.append(((start + place - 1) / 2, label(method)))
        place += 0.8
    clean(axes)
    axes.grid(False, axis="x")
    axes.set_xticks(ticks, names)
    axes.set_xlim(-0.8, max(ticks) + 0.6 if ticks else 1)
    for centre, name in centres:
        axes.text(centre, 1.02, name, ha="center", va="bottom", fontsize=8.5, transform=axes.get_xaxis_transform())
    edges = [tick for tick, following in itertools.pairwise(ticks) if following - tick > 1.5]
    for edge in edges:
        axes.axvline(edge + 0.8, color=PALE, linewidth=0.8, zorder=0)
    axes.set_ylabel("overlap of general\nand domain density")


def overlap_table(overlaps: dict[str, Overlaps]) -> Table:
    """Means with intervals, and differences from the base layer's, paired by seed."""
    rows: list[list[Value]] = [
        [
            label(method),
            STATES[state],
            in_words(mean_within(values, 0.0, 1.0), 3),
            in_words(_difference(by_state, state), 3) if state != "base" else "-",
            len(values),
        ]
        for method, by_state in overlaps.items()
        for state, values in by_state.items()
    ]
    return Table(["method", "layers", "overlap", "less the base layer's", "seeds"], rows)


def overlap_rows(cells: Sequence[Cell], overlaps: dict[str, Overlaps]) -> list[list[Value]]:
    """Rows of the CSV of figure `activations`: means, differences from the base, and single layers and seeds."""
    rows: list[list[Value]] = []
    for method, by_state in overlaps.items():
        for state, values in by_state.items():
            for what, estimate in (
                ("overlap, mean over layers", mean_within(values, 0.0, 1.0)),
                ("difference from base", _difference(by_state, state) if state != "base" else None),
            ):
                if estimate is not None:
                    head: list[Value] = [what, method, "mean", None, state, None, None]
                    rows.append([*head, estimate.value, estimate.low, estimate.high])
    for cell in cells:
        assert cell.analyses is not None
        for one in cell.analyses.overlaps:
            rows.append(["overlap", cell.method, cell.seed, one.layer, one.state, None, None, one.overlap, None, None])
    return rows
