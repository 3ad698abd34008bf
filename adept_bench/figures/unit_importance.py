"""Importance of every unit of every layer as a heat map (paper, Figure 2 right)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adept_bench.analysis.pilot import corpora_in_order, made_from, together
from adept_bench.analysis.rankings import mean_within
from adept_bench.escapes import visible
from adept_bench.figures.base import Drawing, FigureKind, Table, Value, holding
from adept_bench.figures.layers import layer_ticks
from adept_bench.figures.style import heading, new_figure, powers
from adept_bench.results.schema import Cell, UnitProbe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Grid = dict[tuple[str, int], float]
"""Importance by unit (long name) and layer."""
WORDS = ((r"_proj\b", ""), (r"_?layer_?norm\b", " norm"), (r"\*", ""), (r"[_.]", " "))
APART = 3.0
"""Norms get a colour scale of their own where their importance is typically so many times the other units'."""


@dataclass(frozen=True)
class Panel:
    """One kind of unit on one corpus: rows in model order, columns the layers; NaN where a layer lacks the unit."""

    corpus: str
    norm: bool
    units: list[str]
    values: NDArray[np.float64]


def draw(cells: Sequence[Cell]) -> Drawing:
    """Units down, layers across, mean of |w * dL/dw| over seeds on a logarithmic colour scale; norms apart.

    Experts of a mixture are one row: the mean over their weights. Raises MissingError where no cell holds unit
    importances.
    """
    found = holding(
        cells,
        "units",
        "unit_importance: no cell holds unit importances; expected `analyses.units` of a vanilla cell of suite pilot",
    )
    shown = together(found)
    grids, norms = _grids(shown)
    corpora = corpora_in_order(corpus for corpus, _ in grids)
    long_names = list(dict.fromkeys(name for grid in grids.values() for name, _ in grid))
    short = dict(zip(long_names, short_names(long_names)))
    panels = [_panel(grids, norms, corpus, norm) for norm in (False, True) for corpus in corpora]
    panels = [panel for panel in panels if panel.units]
    figure = new_figure(height=0.9 + sum(0.3 + 0.165 * len(panel.units) for panel in panels))
    _draw_panels(figure, panels, short)
    heading(figure, shown)
    return Drawing(
        data=Table(
            ["corpus", "unit", "norm", "layer", "seed", "importance", "low", "high"], _rows(grids, norms, short)
        ),
        caption=_caption(shown, corpora, panels),
        cells=shown,
        figure=figure,
    )


def short_names(names: Sequence[str]) -> list[str]:
    """The shortest endings that tell the units of a layer apart, in words: "q", "down", "input norm", "experts gate".

    `names`: distinct, as `unit_of` makes them.
    """
    parts = [name.replace(".*", "*").split(".") for name in names]
    last = [_in_words(own[-1:]) for own in parts]
    # experts are always named as such, and so is what would share its last word with another
    lengths = [
        next(
            (place for place in range(1, len(own)) if "*" in own[-place]),
            min(2 if last.count(word) > 1 else 1, len(own)),
        )
        for own, word in zip(parts, last)
    ]
    while True:
        found = [_in_words(part[-length:]) for part, length in zip(parts, lengths)]
        clash = [index for index, name in enumerate(found) if found.count(name) > 1]
        growing = [index for index in clash if lengths[index] < len(parts[index])]
        if not growing:
            return [name if found.count(name) == 1 else names[index] for index, name in enumerate(found)]
        for index in growing:
            lengths[index] += 1


def unit_of(name: str, layer: int) -> str:
    """The parameter's name within its layer, `.weight` dropped, the same for all experts.

    "model.layers.3.mlp.experts.17.up_proj.weight" in layer 3: "mlp.experts.*.up_proj".
    """
    inner = re.sub(rf"^.*?(?:^|\.){layer}\.", "", name, count=1)
    inner = re.sub(r"\.weight$", "", inner)
    return re.sub(r"\.\d+(?=\.|$)", ".*", inner)


def _in_words(parts: Sequence[str]) -> str:
    text = ".".join(parts)
    for pattern, words in WORDS:
        text = re.sub(pattern, words, text)
    return text.strip()


def _grids(cells: Sequence[Cell]) -> tuple[dict[tuple[str, int], Grid], dict[str, bool]]:
    """By corpus and seed the importance of each unit and layer, and which units are norms."""
    grids: dict[tuple[str, int], Grid] = {}
    norms: dict[str, bool] = {}
    for cell in cells:
        assert cell.analyses is not None
        for probe in cell.analyses.units:
            names = [unit_of(name, layer) for name, layer in zip(probe.name, probe.layer)]
            norms |= dict(zip(names, probe.norm))
            grids[probe.corpus, cell.seed] = _weighted(names, probe)
    return grids, norms


def _weighted(names: Sequence[str], probe: UnitProbe) -> Grid:
    """Mean over weights where several tensors are one unit (experts)."""
    total: Grid = {}
    weight: Grid = {}
    for name, layer, importance, elements in zip(names, probe.layer, probe.importance, probe.elements):
        total[name, layer] = total.get((name, layer), 0.0) + importance * elements
        weight[name, layer] = weight.get((name, layer), 0.0) + elements
    return {key: total[key] / weight[key] if weight[key] else 0.0 for key in total}


def _panel(grids: dict[tuple[str, int], Grid], norms: dict[str, bool], corpus: str, norm: bool) -> Panel:
    mine = [grid for (name, _), grid in grids.items() if name == corpus]
    units = [name for name in dict.fromkeys(name for grid in mine for name, _ in grid) if norms[name] == norm]
    layers = 1 + max(layer for grid in grids.values() for _, layer in grid)
    values = np.full((len(units), layers), np.nan)
    for row, unit in enumerate(units):
        for layer in range(layers):
            found = [grid[unit, layer] for grid in mine if (unit, layer) in grid]
            values[row, layer] = np.mean(found) if found else np.nan
    return Panel(corpus, norm, units, values)


def _draw_panels(figure: Figure, panels: Sequence[Panel], short: dict[str, str]) -> None:
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[len(one.units) for one in panels])[:, 0]
    scales = _scales(panels)
    apart = scales[True] != scales[False]
    for place, (panel, part) in enumerate(zip(panels, axes)):
        image = _heat(part, panel, short, scales[panel.norm])
        part.set_title(f"{panel.corpus} text, {_kind(panel)}")
        part.tick_params(labelbottom=place == len(panels) - 1)
        last = place == len(panels) - 1 or (apart and panels[place + 1].norm != panel.norm)
        if last:
            mine = [other for one, other in zip(panels, axes) if one.norm == panel.norm or not apart]
            what = f"{_kind(panel)}: " if apart else ""
            bar = figure.colorbar(image, ax=mine, label=f"{what}mean |w · dL/dw|", aspect=10 * len(mine), pad=0.01)
            powers(bar.ax.yaxis)
    axes[-1].set_xlabel("layer of the base model")


def _kind(panel: Panel) -> str:
    return "norms" if panel.norm else "other units" if any("bias" in unit for unit in panel.units) else "projections"


def _heat(axes: Axes, panel: Panel, short: dict[str, str], scale: tuple[float, float]) -> Any:
    from matplotlib.colors import LogNorm

    values = np.ma.masked_where(~(panel.values > 0), panel.values)
    axes.set_facecolor("white")
    rows, columns = values.shape
    image = axes.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        values,
        cmap="cividis",
        norm=LogNorm(*scale),
        edgecolor="white",
        linewidth=0.4,
    )
    axes.invert_yaxis()
    axes.set_yticks(range(rows), [visible(short[unit]) for unit in panel.units])
    layer_ticks(axes, columns)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _scales(panels: Sequence[Panel]) -> dict[bool, tuple[float, float]]:
    """Lowest and highest colour of projections (False) and norms (True); one range where they are alike."""
    positive = {
        norm: np.concatenate([np.empty(0), *(one.values[one.values > 0] for one in panels if one.norm == norm)])
        for norm in (False, True)
    }
    filled = {norm: values for norm, values in positive.items() if values.size}
    if len(filled) == 2:
        middle = {norm: float(np.exp(np.mean(np.log(values)))) for norm, values in filled.items()}
        if max(middle.values()) < APART * min(middle.values()):
            every = np.concatenate(list(filled.values()))
            return dict.fromkeys((False, True), _range(every))
    return {norm: _range(values) for norm, values in positive.items()}


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    if not values.size:
        return 1e-12, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low / 2, high * 2)


def _rows(grids: dict[tuple[str, int], Grid], norms: dict[str, bool], short: dict[str, str]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for corpus in corpora_in_order(name for name, _ in grids):
        mine = {seed: grid for (name, seed), grid in grids.items() if name == corpus}
        for unit, layer in dict.fromkeys(key for grid in mine.values() for key in grid):
            values = {seed: grid[unit, layer] for seed, grid in mine.items() if (unit, layer) in grid}
            mean = mean_within(values, low=0.0)
            head: list[Value] = [corpus, short[unit], norms[unit], layer]
            rows.append([*head, "mean", mean.value, mean.low, mean.high])
            rows += [[*head, seed, value, None, None] for seed, value in values.items()]
    return rows


def _caption(cells: Sequence[Cell], corpora: Sequence[str], panels: Sequence[Panel]) -> str:
    scales = _scales(panels)
    apart = scales[False] != scales[True] and any(one.norm for one in panels)
    several = len({cell.seed for cell in cells}) > 1
    experts = any("*" in unit for panel in panels for unit in panel.units)
    return (
        "First-order importance of every unit (weight tensor) of every decoder layer of the base model: mean over the "
        "unit's weights of |w · dL/dw|, dL/dw averaged in absolute value over batches, L the loss in nats a token on "
        f"{' and on '.join(f'{name} text' for name in corpora)}. "
        + ("Mean over seeds; the CSV has each seed and 95% t intervals. " if several else "")
        + ("Experts of a layer are one row, the mean over their weights. " if experts else "")
        + "Logarithmic colour scale, brighter is more important"
        + ("; norms, of another order, have a scale of their own" if apart else "")
        + f". White: exactly 0 or no such unit. {made_from(cells)}"
    )


KIND = FigureKind(
    name="unit_importance",
    title="Importance of every unit of every layer",
    paper="Figure 2, right",
    draw=draw,
)
