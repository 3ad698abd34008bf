"""Answers that training turned from right to wrong and from wrong to right, against the base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from adept_bench.analysis.clusters import Numbers, clusters_of, joined
from adept_bench.analysis.paired import Estimate, Flips, flips, of_tasks
from adept_bench.analysis.protocol import group_tasks
from adept_bench.analysis.table import groups_in_order
from adept_bench.errors import InputError
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table
from adept_bench.figures.style import GREY, INK, WIDTH, clean, colour, heading, label, new_figure
from adept_bench.figures.variants import POINTS, by_method, comparable_pairs, interval_in_words
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAYS = ("right_to_wrong", "wrong_to_right")
SIDES = (-1, 1)
HATCH = "//////"
"""Of answers lost: told apart without colour."""
DIGITS = 0.42
"""Inches of a column of counts."""


@dataclass(frozen=True)
class Turned:
    """One method and group: counts, and for each way the share of all answers, by seed and with its interval."""

    counts: Flips
    shares: tuple[Estimate, Estimate]
    by_seed: dict[int, tuple[float, float]]


def draw(cells: Sequence[Cell]) -> Drawing:
    """A panel a group: bars to the left for answers lost, to the right for answers gained, a row a method.

    Raises MissingError without vanilla, another method or tasks; InputError where presets or suites are mixed.
    """
    named = by_method(cells, "item_flips")
    vanilla = named.pop("vanilla", None)
    if vanilla is None:
        raise MissingError("item_flips: no cell of method 'vanilla'; answers are compared with the base model's")
    if not named:
        raise MissingError("item_flips: no cell of a method beside 'vanilla'")
    groups = groups_in_order(group for cell in vanilla for group in cell.groups)
    if not groups:
        raise MissingError("item_flips: no task in the cells of method 'vanilla'; expected answers to items")
    notes: list[str] = []
    found: dict[tuple[str, str], Turned] = {}
    for method, mine in named.items():
        for group in groups:
            try:
                found[method, group] = turned(mine, vanilla, group)
            except InputError as reason:
                notes.append(f"{method}, {group}: {reason}")
    methods = [method for method in named if any((method, group) in found for group in groups)]
    if not methods:
        raise MissingError(f"item_flips: no method can be compared with vanilla; {notes[0]}")
    used = [*vanilla, *(cell for method in methods for cell in named[method])]
    figure = new_figure(height=1.45 + 0.34 * len(methods))
    grid = figure.subplots(1, len(groups), sharey=True, squeeze=False).ravel()
    names = [label(method).replace(", ", ",\n") for method in methods]
    # what is left of the width beside the names, a panel
    width = (WIDTH - 0.075 * max(len(line) for name in names for line in name.split("\n"))) / len(groups)
    for axes, group in zip(grid, groups, strict=True):
        _panel(axes, group, methods, found, width)
    grid[0].set_yticks(range(len(methods)), names)
    grid[0].set_ylim(len(methods) - 0.4, -0.6)
    figure.supxlabel("share of all answers, %", fontsize=8.5)
    heading(figure, used)
    return Drawing(_table(found), _caption(found, used), used, figure, notes=notes)


def turned(cells: Sequence[Cell], vanilla: Sequence[Cell], group: str) -> Turned:
    """The flips of `cells` against `vanilla`, over the seeds both have; raises InputError where not comparable."""
    pairs = comparable_pairs(cells, vanilla)
    mine, base = [cell for cell, _ in pairs], [other for _, other in pairs]
    counts = flips(mine, base, group)
    tasks = group_tasks([*mine, *base], group)
    # [seeds, items] over all tasks of the group, since a share of answers is counted over all of them
    after, before = (
        np.array([[item for task in tasks for item in cell.tasks[task].items] for cell in side], dtype=np.float64)
        for side in (mine, base)
    )
    ways = [(before > after).astype(np.float64), (after > before).astype(np.float64)]
    seeds = tuple(cell.seed for cell in mine)
    by_seed = {seed: (float(ways[0][at].mean()), float(ways[1][at].mean())) for at, seed in enumerate(seeds)}
    sizes = [len(mine[0].tasks[task].items) for task in tasks]
    together = joined(clusters_of([*mine, *base], tasks), sizes)
    lost, gained = (_share(way, together, seeds) for way in ways)
    return Turned(counts, (lost, gained), by_seed)


def _share(answers: np.ndarray, clusters: Numbers | None, seeds: tuple[int, ...]) -> Estimate:
    # a share is tested against nothing
    return replace(of_tasks([answers], [clusters], seeds, 2 * len(seeds), 0.95, floor=0.0), p_value=None)


def _panel(axes: Axes, group: str, methods: Sequence[str], found: dict[tuple[str, str], Turned], width: float) -> None:
    there = {row: found[method, group] for row, method in enumerate(methods) if (method, group) in found}
    reach = [0.0, 0.0]
    for row, one in there.items():
        for way, (side, share) in enumerate(zip(SIDES, one.shares, strict=True)):
            method = methods[row]
            axes.barh(
                row,
                side * POINTS * share.value,
                height=0.62,
                color=colour(method) if way else "white",
                edgecolor=colour(method),
                hatch="" if way else HATCH,
                linewidth=0.8,
            )
            low, high = (POINTS * side * (share.value if end is None else end) for end in (share.low, share.high))
            axes.plot([low, high], [row, row], color=INK, linewidth=1.0, zorder=3)
            singles = [side * POINTS * shares[way] for shares in one.by_seed.values()]
            if len(singles) > 1:
                axes.plot(singles, [row] * len(singles), ".", color=GREY, markersize=3.5, zorder=4)
            reach[way] = max(reach[way], abs(high))
    _counts(axes, there, reach, DIGITS / (width - 2 * DIGITS))
    axes.axvline(0, color=INK, linewidth=0.8)
    answers = {one.counts.answers for one in there.values()}
    many = f"{min(answers)}" if len(answers) == 1 else f"{min(answers)} to {max(answers)}"
    axes.set_title(f"{group.replace('_', ' ')}\n{many} answers", pad=17)
    clean(axes)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _counts(axes: Axes, there: dict[int, Turned], reach: Sequence[float], share: float) -> None:
    """Counts in two columns beyond the longest bar or interval of either side; `share`: of the bars' room, for each."""
    from matplotlib.ticker import MaxNLocator

    span = sum(reach) or 1.0
    places = (-reach[0] - 0.03 * span, reach[1] + 0.03 * span)
    for row, one in there.items():
        for place, way, sits in zip(places, WAYS, ("right", "left"), strict=True):
            axes.text(place, row, str(getattr(one.counts, way)), va="center", ha=sits, fontsize=8)
    room = share * span
    axes.set_xlim(places[0] - room, places[1] + room)
    ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(-reach[0], reach[1])
    axes.set_xticks([tick for tick in ticks if -reach[0] <= tick <= reach[1]])
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    for place, text, sits in zip(places, ("lost", "gained"), ("right", "left"), strict=True):
        axes.text(place, -0.62, text, va="bottom", ha=sits, fontsize=8, color=GREY)


def _table(found: dict[tuple[str, str], Turned]) -> Table:
    header = ["method", "group", "seed", "way", "count", "answers", "share", "low", "high"]
    rows: list[list[str | int | float | None]] = []
    for (method, group), one in found.items():
        for way, (name, share) in enumerate(zip(WAYS, one.shares, strict=True)):
            count: int = getattr(one.counts, name)
            rows.append([method, group, "all", name, count, one.counts.answers, share.value, share.low, share.high])
            for seed, shares in one.by_seed.items():
                rows.append(
                    [method, group, seed, name, round(shares[way] * share.items), share.items, shares[way], None, None]
                )
    return Table(header, rows)


def _caption(found: dict[tuple[str, str], Turned], used: Sequence[Cell]) -> str:
    estimates = [share for one in found.values() for share in one.shares]
    return (
        "Answers that differ from the base model's (vanilla) to the same items: hatched to the left, right before and "
        "wrong after; filled to the right, wrong before and right after. Shares of all answers of the group, items "
        "times "
        f"seeds ({len({cell.seed for cell in used})} seeds); the numbers outside are counts of answers. Black lines: "
        f"{interval_in_words(estimates, paired=False)}; grey points: single seeds."
    )


KIND = FigureKind("item_flips", "Answers turned by training", "ours", draw)
