"""Unit-wise learning rates of a decoupled method over its refreshes (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adept_bench.analysis.table import methods_in_order
from adept_bench.escapes import visible
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table
from adept_bench.figures.style import GREY, INK, WIDTH, clean, heading, label, new_figure
from adept_bench.figures.units import KINDS, kind_of, layers_in_words, short_unit, units_in_order
from adept_bench.figures.variants import by_method, setting
from adept_bench.results.schema import UNIT_COLUMNS, Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

ROW = 0.152
"""Inches a unit's row of the heat map takes: one line of 8 points."""
LOWER = 2.9
"""Inches of the panels of effective rates."""
NARROW = 0.24
"""Inches below which a field of the heat map has no room for its number."""
MOST = 6
"""Seeds that are drawn side by side; further ones are in the numbers."""
LINES = ("-", "--", ":", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (3, 1)))
INKS = ("#440154", "#31688e", "#35b779", "#b5a900", "#90d743", "#21918c")
"""Of units, taken from viridis: no method's colour."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """Above, `lr_scale` of every unit at every refresh, a map a seed; below, the effective rates over steps.

    Drawn of `adept`, or else of the first method whose files have unit rates; the numbers hold the others as well.
    Raises MissingError where no cell has any, InputError where presets or suites are mixed.
    """
    named = by_method(cells, "unit_rates")
    decoupled = {
        name: kept for name, mine in named.items() if (kept := [cell for cell in mine if cell.training.refreshes])
    }
    if not decoupled:
        raise MissingError("unit_rates: no cell has rates of units; expected one of a decoupled method, such as adept")
    method = "adept" if "adept" in decoupled else methods_in_order(decoupled)[0]
    mine = decoupled[method]
    shown = mine[:MOST]
    rows = max(len(cell.training.units.name) for cell in shown)
    maps_height = 0.85 + ROW * (rows + 1)
    figure = new_figure(height=0.35 + maps_height + LOWER)
    upper, lower = figure.subfigures(2, 1, height_ratios=[maps_height, LOWER], squeeze=False).ravel()
    _maps(upper, shown)
    _effective(lower, mine)
    heading(figure, mine, label(method))
    used = [cell for cells_of in decoupled.values() for cell in cells_of]
    return Drawing(_table(used), _caption(method, shown, mine), used, figure, notes=_notes(named, method, decoupled))


def _maps(upper: SubFigure, shown: Sequence[Cell]) -> None:
    """A map a seed: rows are units by layer, columns refreshes; white is the base rate."""
    grid: list[Axes] = list(upper.subplots(1, len(shown), squeeze=False).ravel())
    width = (WIDTH - 1.9) / sum(len(cell.training.refreshes) for cell in shown)
    for axes, cell in zip(grid, shown, strict=True):
        order = units_in_order(cell)
        scales = [[refresh.lr_scale[unit] for refresh in cell.training.refreshes] for unit in order]
        filled = [[float("nan") if scale is None else scale for scale in row] for row in scales]
        image = axes.pcolormesh(filled, cmap="PuOr_r", vmin=0, vmax=2, edgecolors="white", linewidth=0.4)
        if width >= NARROW:
            _figures_in_fields(axes, scales)
        _name_rows(axes, cell, order, names=axes is grid[0])
        steps = [refresh.step for refresh in cell.training.refreshes]
        every = max(1, round(0.35 / width))
        axes.set_xticks([at + 0.5 for at in range(len(steps))][::every], [str(step) for step in steps][::every])
        axes.set_ylim(len(order), 0)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    grid[len(grid) // 2].set_xlabel("step of the refresh")
    bar = upper.colorbar(image, ax=grid, label="rate / base rate", fraction=0.03, pad=0.01, aspect=30)
    bar.outline.set_visible(False)
    bar.set_ticks([0, 0.5, 1, 1.5, 2])


def _figures_in_fields(axes: Axes, scales: list[list[float | None]]) -> None:
    for row, values in enumerate(scales):
        for column, scale in enumerate(values):
            if scale is not None:
                ink = "white" if abs(scale - 1) > 0.62 else INK
                axes.text(column + 0.5, row + 0.5, f"{scale:.1f}", ha="center", va="center", fontsize=8, color=ink)


def _name_rows(axes: Axes, cell: Cell, order: Sequence[int], names: bool) -> None:
    """Unit names beside the first map; in every map a line between layers, which are named above it."""
    units = cell.training.units
    starts = [at for at, unit in enumerate(order) if at == 0 or units.layer[unit] != units.layer[order[at - 1]]]
    for start in starts[1:]:
        axes.axhline(start, color=INK, linewidth=1.0)
    if names:
        axes.set_yticks(
            [at + 0.5 for at in range(len(order))], [visible(short_unit(units.name[unit])) for unit in order]
        )
    else:
        axes.set_yticks([])
    layers = [units.layer[order[start]] for start in starts]
    axes.set_title(f"seed {cell.seed}\n{layers_in_words(cell, layers)}")


def _effective(lower: SubFigure, mine: Sequence[Cell]) -> None:
    """A panel a kind of unit: rate times scale times schedule over steps, single units of single seeds thin."""
    found = {(cell.seed, unit): kind_of(name) for cell in mine for unit, name in enumerate(cell.training.units.name)}
    kinds = [kind for kind in KINDS if kind in found.values()]
    grid = lower.subplots(1, len(kinds), sharey=True, squeeze=False).ravel()
    for axes, kind in zip(grid, kinds, strict=True):
        names = dict.fromkeys(
            short_unit(name) for cell in mine for name in cell.training.units.name if kind_of(name) == kind
        )
        for place, name in enumerate(names):
            look = {"color": INKS[place % len(INKS)], "linestyle": LINES[place % len(LINES)]}
            curves = [curve for cell in mine for curve in _curves(cell, name, kind)]
            for curve in curves:
                axes.plot(list(curve), list(curve.values()), **look, linewidth=0.5, alpha=0.35)
            steps = sorted(set(curves[0]).intersection(*curves[1:]))
            mean = [sum(curve[step] for curve in curves) / len(curves) for step in steps]
            axes.plot(steps, mean, **look, linewidth=1.6, label=visible(name))
        base = {point.step: point.learning_rate for point in mine[0].training.curve}
        axes.plot(list(base), list(base.values()), color=GREY, linewidth=0.9, label="base rate", zorder=1)
        axes.set_title(kind)
        axes.set_xlabel("optimizer step")
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.24), ncols=2, handlelength=2.4, columnspacing=1)
        clean(axes)
    grid[0].set_ylabel("effective learning rate")


def _curves(cell: Cell, name: str, kind: str) -> list[dict[int, float]]:
    """Effective rate by step, a curve for each layer that has the unit.

    The scale of a refresh is in force from the step after it, so the curve's rate at a step goes with the last refresh
    before that step.
    """
    found = []
    for unit, full in enumerate(cell.training.units.name):
        if short_unit(full) != name or kind_of(full) != kind:
            continue
        curve = {}
        for point in cell.training.curve:
            before = [refresh for refresh in cell.training.refreshes if refresh.step < point.step]
            scale = before[-1].lr_scale[unit] if before else None
            curve[point.step] = point.learning_rate * (1.0 if scale is None else scale)
        found.append(curve)
    return found


def _table(used: Sequence[Cell]) -> Table:
    header = ["method", "seed", "step", "name", "layer", "kind", *UNIT_COLUMNS]
    rows: list[list[Any]] = []
    for cell in used:
        for row in cell.training.unit_rows():
            values = [row[column] for column in UNIT_COLUMNS]
            rows.append([cell.method, cell.seed, row["step"], row["name"], row["layer"], kind_of(row["name"]), *values])
    return Table(header, rows)


def _caption(method: str, shown: Sequence[Cell], mine: Sequence[Cell]) -> str:
    refreshes = max(len(cell.training.refreshes) for cell in shown)
    seeds = f"{len(mine)} seed{'s' if len(mine) > 1 else ''}"
    return (
        f"Learning rates of the units of {label(method)} ({seeds}, {refreshes} measurements of importance each). "
        "Above: a "
        f"unit's rate over the base rate{_rule(mine[0])}; rows are units, black lines part layers, which are named "
        "above "
        "each map by the number of the base's layer. Below: effective rates (base rate times schedule times "
        "scale) over steps, by kind of unit; thick lines are means over layers and seeds, thin lines single units of "
        "single seeds, the grey line the base rate. Single measurements, no intervals."
    )


def _rule(cell: Cell) -> str:
    """How rates follow importance, where they are the paper's."""
    if setting(cell.config, "options.importance_corpus") != "general":
        return ""
    return (
        ", 2 (1 − normalised importance), so 0 for the unit that matters most to general competence and 2 for the one "
        "that matters least"
    )


def _notes(named: dict[str, list[Cell]], method: str, decoupled: dict[str, list[Cell]]) -> list[str]:
    notes = []
    if others := [name for name in decoupled if name != method]:
        notes.append(f"drawn: {method}; in the numbers only: {', '.join(others)}")
    if len(decoupled[method]) > MOST:
        notes.append(f"maps of the first {MOST} seeds of {len(decoupled[method])}; the others are in the numbers")
    if without := [f"seed {cell.seed}" for cell in named[method] if not cell.training.refreshes]:
        notes.append(f"{method}: no rates of units in the file of {', '.join(without)}")
    return notes


KIND = FigureKind("unit_rates", "Unit-wise learning rates over training", "section 3.2", draw)
