"""Training loss and learning rate over steps, a line a method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from adept_bench.analysis.protocol import check_budget
from adept_bench.escapes import visible
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.style import clean, heading, label, new_figure, powers
from adept_bench.figures.variants import Look, abouts_in_order, by_method, looks, short
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 6
"""About so many markers on a line."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """A panel of losses for the methods, one for each thing that variants vary, and one of learning rates.

    Raises MissingError where no cell has a training curve; InputError where budgets, presets or suites are mixed.
    """
    named = by_method(cells, "training_curves")
    trained = {name: kept for name, mine in named.items() if (kept := [cell for cell in mine if cell.training.curve])}
    if not trained:
        raise MissingError("training_curves: no cell has a training curve; expected one of a method that trains")
    used = [cell for mine in trained.values() for cell in mine]
    check_budget(used)
    panels = _panels(trained)
    rows = -(-(len(panels) + 1) // 2)
    figure = new_figure(height=3.4 if rows == 1 else 0.3 + 2.4 * rows)
    grid = figure.subplots(rows, 2, width_ratios=[1.6 if rows == 1 else 1, 1], squeeze=False).ravel()
    losses, rates = grid[: len(panels)], grid[len(panels)]
    for spare in grid[len(panels) + 1 :]:
        spare.set_visible(False)
    for axes, (about, methods) in zip(losses, panels.items(), strict=True):
        _losses(axes, methods, trained)
        axes.set_title("training loss" + (f": {visible(about)}" if about else ""))
        axes.sharey(losses[0])
    losses[0].set_ylim(*_limits(used))
    for axes in losses[::2]:
        axes.set_ylabel("nats a token")
    _rates(rates, trained)
    for axes in (*losses, rates):
        axes.set_xlabel("optimizer step")
        clean(axes)
    heading(figure, used)
    return Drawing(_table(trained), _caption(used), used, figure, notes=_notes(named))


def _panels(trained: dict[str, list[Cell]]) -> dict[str, list[str]]:
    """Methods of each panel: the methods proper under "", then each `about` with the method it varies first."""
    found: dict[str, list[str]] = {"": []}
    for name, mine in trained.items():
        variant = mine[0].variant
        if variant is None:
            found[""].append(name)
        else:
            first = [variant.of] if variant.of in trained else []
            found.setdefault(variant.about, first).append(name)
    return {about: found[about] for about in ("", *abouts_in_order(found.keys() - {""})) if found[about]}


def _losses(axes: Axes, methods: Sequence[str], trained: dict[str, list[Cell]]) -> None:
    """The mean over seeds, with lowest and highest as a band; the legend in the order of the lines' ends."""
    lines = looks(methods)
    ends = {}
    for method in methods:
        steps, seeds = _series(trained[method], "loss")
        mean = [sum(values) / len(values) for values in seeds]
        look = lines[method]
        if len(trained[method]) > 1:
            low, high = [min(values) for values in seeds], [max(values) for values in seeds]
            axes.fill_between(steps, low, high, color=look.colour, alpha=0.13, linewidth=0)
        (line,) = axes.plot(steps, mean, **_strokes(look, steps, methods.index(method)))
        ends[method] = (mean[-1], line)
    ordered = sorted(methods, key=lambda method: -ends[method][0])
    names = [f"{short(method, methods)}  {ends[method][0]:.3f}" for method in ordered]
    lines_in_order = [ends[method][1] for method in ordered]
    legend = axes.legend(
        lines_in_order,
        names,
        loc="upper right",
        title="loss at the end",
        title_fontsize=8,
        alignment="left",
        handlelength=3,
    )
    legend.set_in_layout(False)


def _strokes(look: Look, steps: Sequence[int], place: int) -> dict[str, Any]:
    """A line with a few markers; those of different lines stand at different steps."""
    every = max(len(steps) // MARKS, 1)
    return {
        "color": look.colour,
        "linestyle": look.line,
        "marker": look.marker,
        "markevery": (min(place % every + every // 2, len(steps) - 1), every),
        "markersize": 4.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def _rates(axes: Axes, trained: dict[str, list[Cell]]) -> None:
    """Learning rates before unit scales; methods of the same rates share a line, since they would cover each other."""
    shared: dict[tuple[tuple[int, float], ...], list[str]] = {}
    for method, mine in trained.items():
        steps, seeds = _series(mine, "learning_rate")
        curve = tuple(zip(steps, (sum(values) / len(values) for values in seeds), strict=True))
        shared.setdefault(curve, []).append(method)
    ordered = sorted(shared.items(), key=lambda item: -max(rate for _, rate in item[0]))
    lines = looks([methods[0] for _, methods in ordered])
    for place, (curve, methods) in enumerate(ordered):
        # on a logarithmic axis; a rate of 0 has no place there
        positive = [point for point in curve if point[1] > 0]
        steps = [step for step, _ in positive]
        look = lines[methods[0]]
        axes.plot(steps, [rate for _, rate in positive], label=_together(methods), **_strokes(look, steps, place))
    axes.set_yscale("log")
    powers(axes.yaxis)
    axes.set_title("learning rate")
    peaks = [max(rate for _, rate in curve) for curve, _ in ordered]
    axes.set_ylim(min(peaks) / 30, max(peaks) * 1.5)
    axes.legend(loc="lower left", handlelength=3)


def _together(methods: Sequence[str]) -> str:
    """Two names; of more, the first and their number."""
    if len(methods) <= 2:
        return ",\n".join(label(method) for method in methods)
    return f"{label(methods[0])}\nand {len(methods) - 1} more"


def _series(mine: Sequence[Cell], field: str) -> tuple[list[int], list[list[float]]]:
    """Steps that all seeds have, and at each the seeds' values."""
    seeds = [{point.step: float(getattr(point, field)) for point in cell.training.curve} for cell in mine]
    steps = sorted(set(seeds[0]).intersection(*seeds[1:]))
    return steps, [[seed[step] for seed in seeds] for step in steps]


def _limits(used: Sequence[Cell]) -> tuple[float, float]:
    """From just below the lowest loss to just above the highest."""
    losses = [point.loss for cell in used for point in cell.training.curve]
    room = 0.05 * (max(losses) - min(losses)) or 0.1
    return min(losses) - room, max(losses) + room


def _table(trained: dict[str, list[Cell]]) -> Table:
    rows: list[list[Value]] = [
        [method, cell.seed, point.step, point.loss, point.learning_rate]
        for method, mine in trained.items()
        for cell in mine
        for point in cell.training.curve
    ]
    return Table(["method", "seed", "step", "loss", "learning_rate"], rows)


def _caption(used: Sequence[Cell]) -> str:
    every = sorted({after.step - before.step for cell in used for before, after in pairwise(cell.training.curve)})
    points = f"Each point is the mean over the {every[-1]} steps before it; no other smoothing. " if every else ""
    seeds = len({cell.seed for cell in used})
    band = f"Lines are means over seeds ({seeds} at most), bands the seeds' lowest and highest: a range, no interval. "
    variants = "Variants have panels of their own beside the method they vary. "
    mixed = " A method that replays is measured on its mix of domain and general text."
    return (
        "Training loss in nats a token over optimizer steps. "
        + points
        + (band if seeds > 1 else "One seed, so no band. ")
        + "Legends are in the order of the losses at the end. "
        + (variants if any(cell.variant for cell in used) else "")
        + "Learning rate: before unit-wise scales, on a logarithmic axis that does not reach the end of the decay; "
        "methods of one rate share a line."
        + (mixed if any(cell.training.mix.get("replay_share") for cell in used) else "")
    )


def _notes(named: dict[str, list[Cell]]) -> list[str]:
    return [
        f"{cell.method}-seed{cell.seed}: trains, but its file has no training curve"
        for mine in named.values()
        for cell in mine
        if cell.training.steps and not cell.training.curve
    ]


KIND = FigureKind("training_curves", "Training loss and learning rate", "ours", draw)
