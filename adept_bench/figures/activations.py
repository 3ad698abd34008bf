"""Activations of general and of domain text: base layer, untrained copy, after training (paper, Figures 4, 6, 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from adept_bench.analysis.pilot import made_from, together
from adept_bench.analysis.table import methods_in_order
from adept_bench.figures.base import Drawing, FigureKind, Table, Value, holding
from adept_bench.figures.overlaps import STATES, overlap_panel, overlap_rows, overlap_table, overlaps_of
from adept_bench.figures.style import GREY, INK, colour, heading, label, new_figure
from adept_bench.results.schema import Activation, Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IN_ROWS = ("adept", "full")
"""Methods whose densities are drawn, as in the paper; the overlaps are of all."""
MOST_LAYERS = 2
SEEN = 0.01
"""Part of a row's highest density below which the grid is cut off at both ends."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """Densities of one seed, a row a method and layer; below, the overlap coefficients of all methods and seeds.

    Raises MissingError where no cell holds activations.
    """
    found = holding(
        cells,
        "activations",
        "activations: no cell holds activation densities; expected `analyses.activations` of trained cells of "
        "suite pilot",
    )
    shown = together(found)
    rows = _rows(shown)
    figure = new_figure(height=2.5 + 1.0 * len(rows))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.35 + 1.0 * len(rows), 2.2])[:, 0]
    _densities(above, rows)
    overlaps = {method: overlaps_of(shown, method) for method in methods_in_order(cell.method for cell in shown)}
    overlap_panel(below.subplots(), overlaps)
    heading(figure, shown, f"densities of seed {rows[0][0].seed}")
    return Drawing(
        data=Table(
            ["what", "method", "seed", "layer", "state", "corpus", "activation", "value", "low", "high"],
            overlap_rows(shown, overlaps) + _density_rows(rows),
        ),
        caption=_caption(shown, rows),
        cells=shown,
        figure=figure,
        shown=overlap_table(overlaps),
        notes=[
            f"activations of {label(method)}: no cell holds them"
            for method in IN_ROWS
            if method not in {cell.method for cell in shown}
        ],
    )


def _rows(cells: Sequence[Cell]) -> list[tuple[Cell, int]]:
    """What has its densities drawn: the lowest seed's cells of two methods, the first and last of their layers."""
    methods = [cell.method for cell in cells]
    picked = [name for name in IN_ROWS if name in methods] or list(dict.fromkeys(methods))[:2]
    common = set.intersection(*({cell.seed for cell in cells if cell.method == name} for name in picked))
    rows = []
    for name in picked:
        mine = sorted((cell for cell in cells if cell.method == name), key=lambda cell: cell.seed)
        cell = next((one for one in mine if one.seed == min(common, default=mine[0].seed)), mine[0])
        assert cell.analyses is not None
        layers = sorted({one.layer for one in cell.analyses.activations})
        rows += [(cell, layer) for layer in dict.fromkeys([layers[0], layers[-1]][:MOST_LAYERS])]
    return rows


def _densities(figure: Figure, rows: Sequence[tuple[Cell, int]]) -> None:
    grid = figure.subplots(len(rows), len(STATES), squeeze=False)
    for place, (line, (cell, layer)) in enumerate(zip(grid, rows)):
        assert cell.analyses is not None
        mine = [one for one in cell.analyses.activations if one.layer == layer]
        shared = {one.state: one.overlap for one in cell.analyses.overlaps if one.layer == layer}
        low, high, top = _window(mine)
        for axes, state in zip(line, STATES):
            found = [one for one in mine if one.state == state]
            if place == 0:
                axes.set_title(STATES[state])
            if not found:
                axes.axis("off")
                axes.text(
                    0.5, 0.5, "no copy", ha="center", va="center", fontsize=8, color=GREY, transform=axes.transAxes
                )
                continue
            for one in found:
                _density(axes, one, colour(cell.method), legend=place == 0 and state == "base")
            axes.set(xlim=(low, high), ylim=(0, 1.3 * top), yticks=[])
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.locator_params(axis="x", nbins=5)
            if state in shared:
                axes.text(
                    0.98,
                    0.97,
                    f"overlap {shared[state]:.2f}",
                    ha="right",
                    va="top",
                    fontsize=8,
                    transform=axes.transAxes,
                )
        line[0].set_ylabel(f"{label(cell.method)}\nlayer {layer}", rotation=0, ha="right", va="center", color=INK)
    figure.supxlabel("mean activation of a hidden dimension", fontsize=8.5)
    handles, names = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper right", ncols=2, fontsize=8)


def _density(axes: Axes, one: Activation, method_colour: str, legend: bool) -> None:
    grid = np.linspace(one.low, one.high, len(one.density))
    name = f"{one.corpus} text" if legend else None
    if one.corpus == "general":
        axes.fill_between(grid, one.density, color="#d4d4d4", linewidth=0, zorder=1)
        axes.plot(grid, one.density, color=GREY, linewidth=1.0, label=name, zorder=2)
    else:
        axes.plot(grid, one.density, color=method_colour, linewidth=1.4, linestyle=(0, (4, 1.5)), label=name, zorder=3)


def _window(activations: Sequence[Activation]) -> tuple[float, float, float]:
    """Where the row's densities are to be seen (low, high), and the highest of them."""
    top = max(max(one.density) for one in activations)
    seen = [
        place
        for one in activations
        for place, value in zip(np.linspace(one.low, one.high, len(one.density)), one.density)
        if value >= SEEN * top
    ]
    step = max((one.high - one.low) / max(len(one.density) - 1, 1) for one in activations)
    return min(seen) - step, max(seen) + step, top


def _density_rows(rows: Sequence[tuple[Cell, int]]) -> list[list[Value]]:
    found: list[list[Value]] = []
    for cell, layer in rows:
        assert cell.analyses is not None
        for one in cell.analyses.activations:
            if one.layer != layer:
                continue
            for place, value in zip(np.linspace(one.low, one.high, len(one.density)).tolist(), one.density):
                head: list[Value] = ["density", cell.method, cell.seed, layer, one.state, one.corpus]
                found.append([*head, place, value, None, None])
    return found


def _caption(cells: Sequence[Cell], rows: Sequence[tuple[Cell, int]]) -> str:
    several = len({cell.seed for cell in cells}) > 1
    return (
        "Kernel densities, over hidden dimensions, of the mean output of a layer on held-out general text (filled) and "
        "domain text (dashed): in the base model, in the copy as inserted (it computes the layer's own output), and in "
        "the trained copy, or the layer itself where a method inserts none. Each method's row is one of the layers it "
        f"copies, else one of the least important (at most {MOST_LAYERS}), of seed {rows[0][0].seed}; the axis of a "
        f"row ends where all densities fall below {100 * SEEN:g}% of the highest. Below: the overlap coefficient, the "
        "area under the lower of the two densities (1: the same), mean over a method's layers, which differ between "
        "methods"
        + ("; small points joined by a line: single seeds; large: means with 95% t intervals" if several else "")
        + f". {made_from(cells)}"
    )


KIND = FigureKind(
    name="activations",
    title="Activations of general and domain text before and after training",
    paper="Figures 4, 6 and 8",
    draw=draw,
)
