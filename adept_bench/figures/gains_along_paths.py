"""Gains over full CPT along whole paths: what is kept at equal acquisition, and what is learned at equal retention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.acquisition import Comparison, Difference, at_equal_acquisition, at_equal_retention
from adept_bench.analysis.paired import Estimate
from adept_bench.analysis.paths import ACCURACY, LOSS, MEASURES, STATEMENT, Measure, Path
from adept_bench.errors import InputError
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import dot, method_rows, reference_line, row_height, seeds_differ, sources
from adept_bench.figures.gains_table import gains_table
from adept_bench.figures.paths import FULL, has, is_core, paths_in
from adept_bench.figures.style import INK, heading, label, new_figure
from adept_bench.figures.variants import POINTS, in_words, interval_in_words
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Gains over full CPT at equal acquisition"
EDGE = 0.24
"""Half the width of a number in shares of a panel's."""
HEADER = [
    *("measure", "held", "method", "at", "level", "seed", "difference", "low", "high", "p_value", "seeds", "items"),
    *("range_low", "range_high"),
]
AXES = {
    (ACCURACY, "acquisition"): "general accuracy, points,\nat equal domain accuracy",
    (ACCURACY, "retention"): "domain accuracy, points,\nat equal general accuracy",
    (STATEMENT, "acquisition"): "recall of general statements, points,\nat equal domain accuracy",
    (STATEMENT, "retention"): "domain accuracy, points,\nat equal recall of general statements",
    (LOSS, "acquisition"): "lower general loss, nats a token,\nat equal domain loss",
    (LOSS, "retention"): "lower domain loss, nats a token,\nat equal general loss",
}
Found = dict[tuple[Measure, str], dict[str, Comparison]]


def draw(cells: Sequence[Cell]) -> Drawing:
    """A row of panels a measure, a row in them a method. Raises MissingError where there are no paths to compare."""
    return _draw(cells, "gains", is_core)


def draw_variants(cells: Sequence[Cell]) -> Drawing:
    """The same of the other variants, below the methods that they vary. Raises MissingError where there are none."""
    others = [cell for cell in cells if not is_core(cell.method)]
    if not others:
        raise MissingError("gains_variants: no result of a variant")
    varied = {cell.variant.of if cell.variant else "adept" for cell in others}
    return _draw(cells, "gains_variants", lambda method: not is_core(method) or method in (FULL, *varied))


def _draw(cells: Sequence[Cell], figure: str, wanted: Callable[[str], bool]) -> Drawing:
    paths, notes = paths_in(cells, figure, wanted)
    if FULL not in paths or len(paths) < 2:
        raise MissingError(f"{figure}: no path of full CPT and of another method")
    if figure != "gains" and all(is_core(method) for method in paths):
        raise MissingError(f"{figure}: no path of a variant: {notes[0].removeprefix('left out: ')}")
    found: Found = {}
    for measure in (one for one in MEASURES if has((paths[FULL],), one)):
        for method, path in paths.items():
            if method != FULL and has((path,), measure):
                _compare(path, paths[FULL], measure, found, notes)
    methods = [method for method in paths if method != FULL]
    used = sources(*(path.of_seeds(tuple(path.cells)) for path in paths.values()))
    by_seed = {method: [mine[0] for mine in path.cells.values()] for method, path in paths.items()}
    return Drawing(
        data=Table(HEADER, _long(found)),
        caption=_caption(used, paths, found),
        cells=used,
        figure=_picture(used, methods, found),
        shown=gains_table(found, methods),
        notes=list(dict.fromkeys([*notes, *seeds_differ(by_seed)])),
        title=TITLE,
    )


def _compare(path: Path, full: Path, measure: Measure, found: Found, notes: list[str]) -> None:
    """Add both comparisons to `found`, and to `notes` what they lack."""
    try:
        both = at_equal_acquisition(path, full, measure, full), at_equal_retention(path, full, measure, full)
    except InputError as reason:
        notes.append(str(reason))
        return
    for one in both:
        found.setdefault((measure, one.held), {})[path.method] = one
        where = f"{measure.name} at equal {one.held}"
        notes += [f"{where}: {reason}" for reason in one.reasons if reason not in notes]
        notes += [f"{where}, {100 * at.share:.0f}%: {at.reason}" for at, _ in one.levels if at.reason]


def _picture(used: Sequence[Cell], methods: Sequence[str], found: Found) -> Figure:
    measures = list(dict.fromkeys(measure for measure, _ in found))
    height = 0.85 + 1.35 * row_height(len(methods)) * len(methods)
    figure = new_figure(height=0.4 + height * len(measures))
    grid = figure.subplots(len(measures), 2, squeeze=False)
    for row, measure in zip(grid, measures, strict=True):
        for axes, held in zip(row, ("acquisition", "retention"), strict=True):
            _panel(axes, methods, measure, found.get((measure, held), {}), names=axes is row[0])
            axes.set_xlabel(AXES[measure, held])
    heading(figure, [cell for cell in used if cell.rate is not None], "all learning rates")
    return figure


def _panel(axes: Axes, methods: Sequence[str], measure: Measure, found: dict[str, Comparison], names: bool) -> None:
    factor, digits = (POINTS, 1) if measure.kind == "accuracy" else (1.0, 2)
    method_rows(axes, methods, names=names)
    reference_line(axes, 0, label(FULL))
    means = {method: one.mean for method, one in found.items() if one.mean}
    for row, method in enumerate(methods):
        if method in means:
            dot(axes, row, method, means[method].estimate, list(means[method].by_seed.values()), factor)
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high)
    for row, method in enumerate(methods):
        if method not in means:
            axes.annotate("no range", (0.5, row), xycoords=("axes fraction", "data"), ha="center", va="center")
            continue
        estimate = means[method].estimate
        place = min(max(factor * estimate.value, low + EDGE * (high - low)), high - EDGE * (high - low))
        words = in_words(estimate, factor, digits)
        text = axes.text(place, row - 0.13, words, ha="center", va="bottom", fontsize=8, color=INK)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
        text.set_zorder(2)


def _long(found: Found) -> list[list[Value]]:
    """The mean over the range, and the levels that full CPT sets, each by seed too; each method's best acquisition."""
    rows: list[list[Value]] = []
    best: dict[tuple[str, str], Estimate] = {}
    for (measure, held), compared in found.items():
        for method, one in compared.items():
            start: list[Value] = [measure.name, held, method]
            if one.mean:
                rows += _numbers([*start, "range", None], one.mean, [one.range.low, one.range.high])
            for at, difference in one.levels:
                if difference:
                    rows += _numbers([*start, f"{100 * at.share:.0f}%", at.value], difference, [None, None])
            best |= {(measure.name, name): end.acquisition for name, end in one.best.items()}
    for (measure_name, method), end in best.items():
        rows.append([measure_name, None, method, "best", None, None, *_estimate(end), None, None])
    return rows


def _numbers(start: list[Value], difference: Difference, ends: list[Value]) -> list[list[Value]]:
    whole: list[Value] = [*start, None, *_estimate(difference.estimate), *ends]
    by_seed = difference.by_seed.items()
    return [whole, *([*start, seed, value, *[None] * 5, *ends] for seed, value in by_seed)]


def _estimate(one: Estimate) -> list[Value]:
    return [one.value, one.low, one.high, one.p_value, len(one.seeds), one.items or None]


def _caption(used: Sequence[Cell], paths: dict[str, Path], found: Found) -> str:
    one = used[0]
    means = [compared.mean.estimate for mine in found.values() for compared in mine.values() if compared.mean]
    intervals = interval_in_words(means, paired=False) if means else "intervals"
    return (
        f"What {len(paths) - 1} methods keep and learn beyond full CPT along their whole paths, on suite {one.suite}, "
        f"preset {one.preset} ({len(used)} results). Left: retention at equal acquisition, the mean over the range of "
        "acquisition that both methods attain in every seed; right: acquisition at equal retention "
        "(docs/acquisition.md). Right of the line is better than full CPT, for losses too. Marks and numbers: means "
        f"over seeds with {intervals}, the same items drawn again for both methods; small points below: single seeds. "
        "In the table also: differences in general accuracy where 25, 50 and 75% of what full CPT learns at best are "
        "learned; a dash where not both methods get there in every seed. Ranges and p-values are in the CSV. Intervals "
        "are each for itself, not corrected for the number of methods."
    )


VARIANTS = FigureKind("gains_variants", "Gains of variants at equal acquisition", "ours", draw_variants, True)
