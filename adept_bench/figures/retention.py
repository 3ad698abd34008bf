"""Retention against acquisition: what a method keeps of general knowledge beside what it learns of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate, group_mean, seed_mean
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import comparable, groups, seeds_differ, sources
from adept_bench.figures.labels import Point, place_labels
from adept_bench.figures.style import GREY, arms, clean, colour, heading, label, marker, new_figure
from adept_bench.figures.variants import POINTS, interval_in_words
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CROWDED = 9
"""Methods from which bars are drawn fainter."""
KEPT, LEARNED = "general", "domain"
HEADER = [
    *("method", "seed", "measure", "learned", "learned_low", "learned_high", "kept", "kept_low", "kept_high"),
    *("trainable_fraction", "on_front", "seeds"),
]


@dataclass(frozen=True)
class Measure:
    """What the axes show. `factor` from the stored number to the shown one."""

    name: str
    across: str
    up: str
    factor: float


ACCURACY = Measure(
    "accuracy",
    "domain accuracy, % (what was to be learned)",
    "general accuracy, % (what was to be kept)",
    POINTS,
)
LOSS = Measure(
    "fall of held-out loss",
    "fall of held-out domain loss, nats a token (learned)",
    "fall of held-out general loss, nats a token\n(below 0: forgotten)",
    1.0,
)


@dataclass(frozen=True)
class Mark:
    """A method: what it learned and kept, whole and by seed, as stored (shares or nats)."""

    method: str
    learned: Estimate
    kept: Estimate
    by_seed: dict[int, tuple[float, float]]
    share: float
    """Of the parameters, trains."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """A mark a method: across what it learned, up what it kept; accuracies, or losses where there are no tasks.

    Raises MissingError where there are neither; InputError where presets, budgets, items or task versions are mixed.
    """
    tested = [cell for cell in cells if {KEPT, LEARNED} <= cell.groups.keys()]
    measured = [cell for cell in cells if {KEPT, LEARNED} <= cell.losses.keys()]
    measure, used = (ACCURACY, tested) if tested else (LOSS, measured)
    if not used:
        raise MissingError(
            "retention: no cell has general and domain tasks, and none has general and domain held-out losses"
        )
    named = comparable(used, "retention")
    marks = [_mark(method, mine, measure) for method, mine in named.items()]
    best = front(marks)
    notes = seeds_differ(named)
    if measure is ACCURACY and groups(cells) and len(used) < len(cells):
        notes.append(f"{len(cells) - len(used)} results without general and domain tasks are left out")
    return Drawing(
        data=Table(HEADER, _long(marks, measure, best)),
        caption=_caption(used, marks, measure),
        cells=sources(used),
        figure=_picture(used, marks, measure, best),
        notes=notes,
    )


def _mark(method: str, mine: Sequence[Cell], measure: Measure) -> Mark:
    share = sum(cell.model.trainable_fraction for cell in mine) / len(mine)
    if measure is ACCURACY:
        by_seed = {cell.seed: (cell.groups[LEARNED], cell.groups[KEPT]) for cell in mine}
        return Mark(method, group_mean(mine, LEARNED), group_mean(mine, KEPT), by_seed, share)
    by_seed = {cell.seed: (_fall(cell, LEARNED), _fall(cell, KEPT)) for cell in mine}
    learned, kept = (
        seed_mean([values[side] for values in by_seed.values()], list(by_seed), len(mine)) for side in (0, 1)
    )
    return Mark(method, learned, kept, by_seed, share)


def _fall(cell: Cell, corpus: str) -> float:
    return cell.losses[corpus].before - cell.losses[corpus].after


def front(marks: Sequence[Mark]) -> list[Mark]:
    """Those that no other equals or beats in both and beats in one, by their means; least learned first."""

    def beaten(one: Mark) -> bool:
        mine = one.learned.value, one.kept.value
        return any(
            other.learned.value >= mine[0] and other.kept.value >= mine[1] and (*mine,) != _means(other)
            for other in marks
        )

    return sorted((one for one in marks if not beaten(one)), key=_means)


def _means(mark: Mark) -> tuple[float, float]:
    return mark.learned.value, mark.kept.value


def _picture(used: Sequence[Cell], marks: Sequence[Mark], measure: Measure, best: Sequence[Mark]) -> Figure:
    figure = new_figure(height=4.8)
    axes = figure.subplots()
    clean(axes)
    factor = measure.factor
    for mark in marks:
        _draw_mark(axes, mark, factor, crowded=len(marks) > CROWDED)
    axes.plot(
        [factor * mark.learned.value for mark in best],
        [factor * mark.kept.value for mark in best],
        color=GREY,
        linewidth=0.8,
        linestyle=(0, (1, 2)),
        zorder=1,
        label="not beaten in both",
    )
    axes.set(xlabel=measure.across, ylabel=measure.up)
    if measure is ACCURACY:
        axes.set(xlim=(-3, 103), ylim=(-3, 103))
    else:
        axes.margins(0.08)
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    _legend(figure, axes, marks)
    heading(figure, used)
    points = [
        Point(factor * mark.learned.value, factor * mark.kept.value, _size(mark.share) ** 0.5 / 2, label(mark.method))
        for mark in marks
    ]
    place_labels(axes, points, _bars(marks, factor))
    return figure


def _draw_mark(axes: Axes, mark: Mark, factor: float, crowded: bool) -> None:
    x, y = factor * mark.learned.value, factor * mark.kept.value
    if len(mark.by_seed) > 1:
        learned, kept = ([factor * values[side] for values in mark.by_seed.values()] for side in (0, 1))
        axes.scatter(learned, kept, s=9, color=colour(mark.method), alpha=0.55, linewidths=0, zorder=2)
    axes.errorbar(
        x,
        y,
        xerr=arms(mark.learned, factor),
        yerr=arms(mark.kept, factor),
        fmt="none",
        ecolor=colour(mark.method),
        elinewidth=0.6 if crowded else 1.1,
        alpha=0.4 if crowded else 0.6,
    )
    axes.scatter(
        x,
        y,
        s=_size(mark.share),
        color=colour(mark.method),
        marker=marker(mark.method),
        edgecolor="white",
        linewidth=0.8,
        zorder=3,
    )


def _size(share: float) -> float:
    """Square points: the area grows with the share that trains."""
    return 34 + 200 * share


def _legend(figure: Figure, axes: Axes, marks: Sequence[Mark]) -> None:
    """The front's line, and a grey disc for the least, the most and a middle share."""
    shares = sorted({round(mark.share, 2) for mark in marks})
    shown = sorted({shares[0], shares[len(shares) // 2], shares[-1]})
    handles = axes.get_legend_handles_labels()[0]
    handles += [
        axes.scatter([], [], s=_size(share), color=GREY, linewidths=0, label=f"{100 * share:.0f}% of parameters train")
        for share in shown
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2, handletextpad=0.5)


def _bars(marks: Sequence[Mark], factor: float) -> list[tuple[float, float, float, float]]:
    """The intervals as lines, and single seeds as points."""
    found = []
    for mark in marks:
        x, y = factor * mark.learned.value, factor * mark.kept.value
        if mark.learned.low is not None and mark.learned.high is not None:
            found.append((factor * mark.learned.low, y, factor * mark.learned.high, y))
        if mark.kept.low is not None and mark.kept.high is not None:
            found.append((x, factor * mark.kept.low, x, factor * mark.kept.high))
        found += [(factor * a, factor * b, factor * a, factor * b) for a, b in mark.by_seed.values()]
    return found


def _long(marks: Sequence[Mark], measure: Measure, best: Sequence[Mark]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for mark in marks:
        learned, kept = mark.learned, mark.kept
        rows.append(
            [
                *(mark.method, None, measure.name, learned.value, learned.low, learned.high),
                *(kept.value, kept.low, kept.high, mark.share, int(mark in best), len(mark.by_seed)),
            ]
        )
        rows += [
            [mark.method, seed, measure.name, one, None, None, other, None, None, mark.share, None, None]
            for seed, (one, other) in mark.by_seed.items()
        ]
    return rows


def _caption(used: Sequence[Cell], marks: Sequence[Mark], measure: Measure) -> str:
    estimates = [estimate for mark in marks for estimate in (mark.learned, mark.kept)]
    if measure is ACCURACY:
        what = "domain accuracy (what was to be learned) against general accuracy (what was to be kept)"
        items = f"; general: {marks[0].kept.items} items, domain: {marks[0].learned.items} items"
        bars = interval_in_words(estimates, paired=False)
    else:
        what = "fall of the held-out domain loss against that of the general loss, before minus after, in nats a token"
        items = ""
        several = any(estimate.low is not None for estimate in estimates)
        bars = "95% intervals over seeds (Student's t)" if several else "no interval, since there is one seed"
    return (
        f"Retention against acquisition on suite {used[0].suite}, preset {used[0].preset} ({len(used)} "
        f"results{items}): {what}; up and right is better. A mark a method, its area growing with the share of "
        f"parameters that train; bars: {bars}, each axis for itself; small points: single seeds. The dotted line joins "
        "the methods that no other beats in both by its means, whatever the intervals."
    )


KIND = FigureKind("retention", "Retention against acquisition", "ours, from Table 1", draw)
