"""What each further copied layer costs: computation, time, probing, parameters and memory against k."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.analysis.clock import timed_with, unrecorded, widest
from adept_bench.analysis.paired import Estimate, seed_mean
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.cost import bars_in_words, machines
from adept_bench.figures.dots import comparable, seeds_differ, sources
from adept_bench.figures.style import arms, clean, colour, heading, label, marker, new_figure
from adept_bench.figures.variants import setting
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ABOUT = "k"
HEADER = ["method", "k", "quantity", "unit", "seed", "value", "low", "high", "seeds"]


@dataclass(frozen=True)
class Quantity:
    """A panel."""

    name: str
    unit: str
    value: Callable[[Cell], float]
    digits: int
    timed: bool = False


QUANTITIES = (
    Quantity("training FLOPs", "TFLOPs", lambda cell: cell.cost.train_flops / 1e12, 2),
    Quantity("training time", "seconds", lambda cell: cell.cost.train_seconds, 0, timed=True),
    Quantity("probing time", "seconds", lambda cell: cell.cost.probe_seconds, 1, timed=True),
    Quantity("parameters that train", "% of all", lambda cell: 100 * cell.model.trainable_fraction, 1),
    Quantity("peak memory", "MiB", lambda cell: cell.cost.peak_memory_bytes / 2**20, 0),
)
Costs = dict[tuple[int, str], tuple[Estimate, dict[int, float]]]
"""By (k, quantity): mean over seeds, and by seed."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """A panel a quantity, k across; of the method that variants about k are made from, and those variants.

    Raises MissingError where there are not two values of k; InputError where presets, budgets or corpora are mixed.
    """
    variants = [cell for cell in cells if cell.variant and cell.variant.about == ABOUT]
    origins = {cell.variant.of for cell in variants if cell.variant}
    used = [*variants, *(cell for cell in cells if cell.variant is None and cell.method in origins)]
    by_k: dict[int, str] = {}
    for cell in used:
        by_k.setdefault(_k(cell), cell.method)
    if len(by_k) < 2:
        raise MissingError(
            "cost_by_k: no results with several numbers of copied layers; "
            "expected variants about k, such as those of suite ablation"
        )
    named = comparable(used, "cost_by_k")
    base = widest(named)
    timed, notes = timed_with(named, named[base])
    found = _costs(named, timed, by_k)
    return Drawing(
        data=Table(HEADER, _long(found, by_k)),
        caption=_caption(used, named[base][0], found),
        cells=sources(used),
        figure=_picture(used, found, by_k),
        notes=[*seeds_differ(named), *notes, *unrecorded(timed)],
    )


def _k(cell: Cell) -> int:
    """From the configuration, or where it has none the number of copies."""
    found = setting(cell.config, "options.k")
    return found if isinstance(found, int) else len(cell.model.expanded_layers)


def _costs(named: Mapping[str, list[Cell]], timed: Mapping[str, list[Cell]], by_k: Mapping[int, str]) -> Costs:
    found: Costs = {}
    for quantity in QUANTITIES:
        for k in sorted(by_k):
            mine = (timed if quantity.timed else named).get(by_k[k], [])
            values = {cell.seed: quantity.value(cell) for cell in mine}
            if values:
                found[k, quantity.name] = seed_mean(list(values.values()), list(values), len(values)), values
    return found


def _picture(used: Sequence[Cell], found: Costs, by_k: Mapping[int, str]) -> Figure:
    figure = new_figure(height=4.6)
    grid = figure.subplots(2, 3).ravel()
    for axes, quantity in zip(grid, QUANTITIES, strict=False):
        _panel(axes, quantity, found, by_k)
    for axes in grid[len(QUANTITIES) :]:
        axes.set_visible(False)
    heading(figure, used)
    return figure


def _panel(axes: Axes, quantity: Quantity, found: Costs, by_k: Mapping[int, str]) -> None:
    shown = [k for k in sorted(by_k) if (k, quantity.name) in found]
    method = by_k[min(by_k)]
    axes.plot(
        shown,
        [found[k, quantity.name][0].value for k in shown],
        color=colour(method),
        linewidth=0.9,
        alpha=0.7,
        zorder=1,
    )
    highest = 0.0
    for k in shown:
        estimate, by_seed = found[k, quantity.name]
        one = by_k[k]
        axes.errorbar(
            k,
            estimate.value,
            yerr=arms(estimate),
            fmt=marker(one),
            color=colour(one),
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=3,
        )
        if len(by_seed) > 1:
            axes.scatter(
                [k + 0.12] * len(by_seed), list(by_seed.values()), s=7, color=colour(one), alpha=0.6, linewidths=0
            )
        top = max(estimate.value, estimate.high or 0.0, *by_seed.values())
        axes.annotate(
            f"{estimate.value:,.{quantity.digits}f}",
            (k, top),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
        highest = max(highest, top)
    clean(axes)
    axes.set_title(f"{quantity.name}, {quantity.unit}")
    axes.set_xticks(sorted(by_k))
    axes.set_xlim(min(by_k) - 0.6, max(by_k) + 0.6)
    axes.set_xlabel("copied layers, k")
    axes.set_ylim(0, 1.2 * highest if highest else 1)


def _long(found: Costs, by_k: Mapping[int, str]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for quantity in QUANTITIES:
        for (k, name), (estimate, by_seed) in found.items():
            if name == quantity.name:
                start: list[Value] = [by_k[k], k, quantity.name, quantity.unit]
                rows.append([*start, None, estimate.value, estimate.low, estimate.high, len(by_seed)])
                rows += [[*start, seed, value, None, None, None] for seed, value in by_seed.items()]
    return rows


def _caption(used: Sequence[Cell], base: Cell, found: Costs) -> str:
    return (
        f"Cost against the number of copied layers on suite {used[0].suite}, preset {used[0].preset} ({len(used)} "
        f"results), measured on {machines(used)}. Marks and numbers: means over seeds; bars: {bars_in_words(found)}; "
        "small points: "
        f"single seeds. Seconds are shown only of results that were measured in one go with those of "
        f"{label(base.method)}: other work on the machine changes them, and no FLOPs. Probing time is that of layers "
        "and units, refreshes included. Peak memory is of the accelerator, or on a CPU of the whole process, "
        "interpreter and libraries included."
    )


KIND = FigureKind("cost_by_k", "Cost against the number of copied layers", "Table 8", draw)
