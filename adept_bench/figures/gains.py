"""Gains over full CPT: the paper's headline, with what it leaves out, the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate
from adept_bench.figures import gains_along_paths
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import (
    attempt,
    comparable,
    dot,
    groups,
    method_rows,
    reference,
    reference_line,
    row_height,
    seeds_differ,
    sources,
)
from adept_bench.figures.style import INK, heading, label, new_figure
from adept_bench.figures.variants import POINTS, difference, in_words, interval_in_words, seed_differences
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE = "full"
GROUPS = ("general", "domain")
EDGE = 0.22
"""Half the width of a number in shares of a panel's."""
HEADER = ["method", "group", "seed", "difference", "low", "high", "p_value", "seeds", "items"]
Gains = dict[tuple[str, str], tuple[Estimate, dict[int, float]]]
"""By (method, group): the paired difference, and by seed."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """Each method's difference to full CPT at equal acquisition, or, where there are no paths, at the chosen rates.

    Raises MissingError where there are no tasks, no full CPT or nothing else; InputError where cells may not be mixed.
    """
    try:
        return gains_along_paths.draw(cells)
    except MissingError:
        return _at_chosen_rates([cell for cell in cells if cell.chosen])


def _at_chosen_rates(cells: Sequence[Cell]) -> Drawing:
    """A panel for the general group and one for the domain: each method's paired difference to full CPT, in points."""
    tested = [cell for cell in cells if cell.tasks]
    if not tested:
        raise MissingError("gains: no cell has tasks; expected results of a suite with questions")
    named = comparable(tested, "gains")
    baseline = reference(named, BASELINE, "gains")
    shown = [group for group in GROUPS if group in groups(tested)]
    notes = seeds_differ(named)
    found = _gains(named, baseline, shown, notes)
    methods = [method for method in named if any((method, group) in found for group in shown)]
    if not methods:
        reasons = f" ({notes[0]})" if notes else ""
        raise MissingError(f"gains: nothing to compare with full CPT{reasons}; expected results of another method")
    used = sources(baseline, *(named[method] for method in methods))
    return Drawing(
        data=Table(HEADER, _long(methods, shown, found)),
        caption=_caption(used, methods, found),
        cells=used,
        figure=_picture(used, methods, shown, found),
        notes=list(dict.fromkeys(notes)),
    )


def _gains(named: Mapping[str, list[Cell]], baseline: list[Cell], shown: Sequence[str], notes: list[str]) -> Gains:
    found: Gains = {}
    for method, mine in named.items():
        for group in shown if method != BASELINE else ():
            estimate = attempt(lambda m=mine, g=group: difference(m, baseline, g), notes)  # type: ignore[misc]
            if estimate:
                found[method, group] = estimate, seed_differences(mine, baseline, group)
    return found


def _picture(used: Sequence[Cell], methods: Sequence[str], shown: Sequence[str], found: Gains) -> Figure:
    figure = new_figure(height=1.1 + 1.35 * row_height(len(methods)) * len(methods))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, group in zip(panels, shown, strict=True):
        method_rows(axes, methods, names=axes is panels[0])
        reference_line(axes, 0, label(BASELINE))
        for row, method in enumerate(methods):
            if (method, group) not in found:
                axes.annotate("–", (0, row), ha="center", va="center")
                continue
            estimate, by_seed = found[method, group]
            dot(axes, row, method, estimate, list(by_seed.values()), POINTS)
        axes.margins(x=0.08)
        for row, method in enumerate(methods):
            if (method, group) in found:
                _number(axes, row, found[method, group][0])
        axes.set_xlabel(f"{group} accuracy minus that of {label(BASELINE)}, points")
    heading(figure, used)
    return figure


def _number(axes: Axes, row: int, estimate: Estimate) -> None:
    """The estimate in words above its mark, moved inwards where it would leave the panel."""
    low, high = axes.get_xlim()
    place = min(max(POINTS * estimate.value, low + EDGE * (high - low)), high - EDGE * (high - low))
    text = axes.text(place, row - 0.13, in_words(estimate), ha="center", va="bottom", fontsize=8, color=INK)
    text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    text.set_zorder(2)


def _long(methods: Sequence[str], shown: Sequence[str], found: Gains) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for method in methods:
        for group in shown:
            if (method, group) in found:
                one, by_seed = found[method, group]
                whole: list[Value] = [one.value, one.low, one.high, one.p_value, len(one.seeds), one.items]
                rows.append([method, group, None, *whole])
                rows += [[method, group, seed, value, None, None, None, None, None] for seed, value in by_seed.items()]
    return rows


def _caption(used: Sequence[Cell], methods: Sequence[str], found: Gains) -> str:
    one = used[0]
    estimates = [estimate for estimate, _ in found.values()]
    items = ", ".join(
        f"{group}: {next(estimate.items for (_, name), (estimate, _) in found.items() if name == group)} items"
        for group in dict.fromkeys(group for _, group in found)
    )
    return (
        f"Accuracy of {len(methods)} methods minus that of full CPT, in points, on suite {one.suite}, preset "
        f"{one.preset} ({len(used)} results; {items}). Right of the line is better than full CPT. Marks and numbers: "
        f"means over seeds with {interval_in_words(estimates)}; small points below: single seeds. Intervals are each "
        "for itself, not corrected for the number of methods."
    )


KIND = FigureKind("gains", "Gains over full CPT", "abstract, Table 1", draw, paths=True)
