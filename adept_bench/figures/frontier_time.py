"""Retention against acquisition over training time: where a method is at each eighth or so of its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from adept_bench.analysis.paths import ACCURACY, BASE, LOSS, Measure
from adept_bench.analysis.protocol import check_budget
from adept_bench.analysis.spread import Array
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import seeds_differ, sources
from adept_bench.figures.frontier import loss_axes
from adept_bench.figures.paths import ACROSS, BASE_MARK, UP, is_core, shown
from adept_bench.figures.style import clean, heading, label, new_figure
from adept_bench.figures.variants import Look, by_method, looks
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {ACCURACY: "accuracy on validation items", LOSS: "held-out loss"}
HEADER = ["measure", "method", "seed", "step", "acquisition", "retention"]


@dataclass(frozen=True)
class Track:
    """One method in one measure, in its coordinates (losses negative)."""

    steps: list[int]
    """0 is the base."""
    seeds: tuple[int, ...]
    across: Array
    """[seeds, steps]"""
    up: Array


Tracks = dict[Measure, dict[str, Track]]


def draw(cells: Sequence[Cell]) -> Drawing:
    """The core methods at their chosen rates. Raises MissingError where no cell has measures over its training."""
    named = by_method(cells, "frontier_time")
    core = {method: mine for method, mine in named.items() if is_core(method) and method != BASE}
    tracked = {method: kept for method, mine in core.items() if (kept := [one for one in mine if one.training.path])}
    if not tracked:
        raise MissingError(
            "frontier_time: no cell was measured while it trained; `run` does so with training.evaluate_every set"
        )
    used = sources(*tracked.values())
    check_budget(used)
    bases = {cell.seed: cell for cell in named.get(BASE, [])}
    tracks: Tracks = {}
    for measure in (ACCURACY, LOSS):
        found = {method: one for method, mine in tracked.items() if (one := _track(measure, mine, bases))}
        if found:
            tracks[measure] = found
    notes = [f"{label(method)} left out: not measured while it trained" for method in core if method not in tracked]
    return Drawing(
        data=Table(HEADER, [row for measure, mine in tracks.items() for row in _long(measure, mine)]),
        caption=_caption(used, tracks),
        cells=sources(used, [bases[seed] for seed in sorted({cell.seed for cell in used} & bases.keys())]),
        figure=_picture(used, tracks),
        notes=[*notes, *seeds_differ(tracked)],
    )


def _track(measure: Measure, mine: Sequence[Cell], bases: dict[int, Cell]) -> Track | None:
    """Over the steps at which all seeds were measured, from the base where all have one; None without the measure."""
    wanted = (measure.acquisition, measure.retention)
    series = [_series(cell, measure, bases.get(cell.seed)) for cell in mine]
    steps = sorted(set.intersection(*(set(one) for one in series)))
    if not steps:
        return None
    across, up = (np.array([[one[step][name] for step in steps] for one in series]) for name in wanted)
    sign = 1.0 if measure.kind == "accuracy" else -1.0
    return Track(steps, tuple(cell.seed for cell in mine), sign * across, sign * up)


def _series(cell: Cell, measure: Measure, base: Cell | None) -> dict[int, dict[str, float]]:
    """The measure's two values by step, the base's at 0."""
    wanted = {measure.acquisition, measure.retention}
    if measure.kind == "accuracy":
        found = {point.step: point.groups for point in cell.training.path}
        start = base.validation.groups if base and base.validation else {}
    else:
        found = {point.step: point.losses for point in cell.training.path}
        start = {name: pair.before for name, pair in cell.losses.items()}
    return {step: values for step, values in {0: start, **found}.items() if wanted <= values.keys()}


def _picture(used: Sequence[Cell], tracks: Tracks) -> Figure:
    methods = list(dict.fromkeys(method for mine in tracks.values() for method in mine))
    lines = looks(methods)
    figure = new_figure(height=4.2)
    panels = figure.subplots(1, len(tracks), squeeze=False)[0]
    for axes, (measure, mine) in zip(panels, tracks.items(), strict=True):
        clean(axes)
        for method, track in mine.items():
            _line(axes, measure, track, lines[method])
        axes.set_title(TITLES[measure])
        axes.set(xlabel=ACROSS[measure], ylabel=UP[measure])
        if measure.kind == "loss":
            loss_axes(axes)
    figure.legend(handles=_handles(methods, lines), loc="outside lower center", ncols=4, handlelength=3.2)
    heading(figure, used, "chosen rates")
    return figure


def _line(axes: Axes, measure: Measure, track: Track, look: Look) -> None:
    """Small marks at the steps, a large one at the end; a cross at the base."""
    across, up = (shown(measure, values.mean(axis=0)) for values in (track.across, track.up))
    from_base = track.steps[0] == 0
    axes.plot(across, up, color=look.colour, linestyle=look.line, linewidth=1.2, zorder=2)
    between = slice(1 if from_base else 0, -1)
    axes.plot(across[between], up[between], linestyle="none", marker=".", color=look.colour, markersize=5, zorder=3)
    axes.plot(
        *(across[-1], up[-1]),
        marker=look.marker,
        color=look.colour,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.7,
        zorder=4,
    )
    if from_base:
        axes.plot(across[0], up[0], **BASE_MARK, zorder=5)


def _handles(methods: Sequence[str], lines: dict[str, Look]) -> list[Any]:
    from matplotlib.lines import Line2D

    named = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, markersize=6, label=label(method))
        for method, look in ((method, lines[method]) for method in methods)
    ]
    base = Line2D([], [], **BASE_MARK, linestyle="none", label="base")
    return [*named, base]


def _long(measure: Measure, tracks: dict[str, Track]) -> list[list[Value]]:
    """By seed, then means over seeds."""
    rows: list[list[Value]] = []
    for method, track in tracks.items():
        across, up = shown(measure, track.across), shown(measure, track.up)
        values = zip((*track.seeds, None), [*across, across.mean(axis=0)], [*up, up.mean(axis=0)], strict=True)
        for seed, x, y in values:
            points = zip(track.steps, x.tolist(), y.tolist(), strict=True)
            rows += [[measure.name, method, seed, step, learned, kept] for step, learned, kept in points]
    return rows


def _caption(used: Sequence[Cell], tracks: Tracks) -> str:
    one = used[0]
    track = next(iter(next(iter(tracks.values())).values()))
    taken = [step for step in track.steps if step]
    seeds = "means over seeds" if len({cell.seed for cell in used}) > 1 else "one seed"
    validation = "Accuracy is that of validation items, which no other figure shows. " if ACCURACY in tracks else ""
    loss = "Losses fall to the right and upwards, the general one on a logarithmic axis. " if LOSS in tracks else ""
    return (
        f"Where methods are while they train, suite {one.suite}, preset {one.preset} ({len(used)} results, {seeds}), "
        "each at its chosen learning rate: across what was learned of the domain, up what was kept of general "
        f"competence; up and right is better. Small marks: after steps {', '.join(map(str, taken[:-1]))}; the large "
        f"one at the end: step {taken[-1]}; the cross: the base. {validation}{loss}"
        "A point on the way is not what a shorter run would give: the learning rate has not fallen yet."
    )


KIND = FigureKind("frontier_time", "Retention against acquisition over training", "ours", draw)
