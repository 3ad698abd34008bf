"""What methods keep for what they learn, along their whole paths: a line a method through all its learning rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adept_bench.analysis.paths import MEASURES, Measure, Path
from adept_bench.analysis.spread import Array
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import seeds_differ, sources
from adept_bench.figures.paths import ACROSS, BASE_MARK, FULL, TITLES, UP, Curve, curve, has, is_core, paths_in, shown
from adept_bench.figures.style import GREY, clean, heading, label, new_figure
from adept_bench.figures.variants import Look, looks
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = 41
"""Levels at which the band is computed."""
SHAPES = "o^vDPXhp<>d"
BESIDE = ("full", "adept")
"""Grey, beside the variants."""
LOSSES = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 20)
"""Where a logarithmic axis of losses has ticks."""
HEADER = ["measure", "method", "kind", "seed", "rate", "acquisition", "retention", "low", "high", "chosen"]
Curves = dict[Measure, dict[str, Curve]]


def draw(cells: Sequence[Cell]) -> Drawing:
    """The core methods, and ADEPT with its other probe. Raises MissingError where no method has a path."""
    return _draw(cells, "frontier", is_core, looks, bands=True)


def draw_variants(cells: Sequence[Cell]) -> Drawing:
    """The other variants, with full CPT and ADEPT in grey. Raises MissingError where no variant has a path."""
    if not any(not is_core(cell.method) for cell in cells):
        raise MissingError("frontier_variants: no result of a variant")

    def wanted(method: str) -> bool:
        return not is_core(method) or method in BESIDE

    return _draw(cells, "frontier_variants", wanted, _beside, bands=False)


def _beside(methods: Sequence[str]) -> dict[str, Look]:
    """Variants in colours of their own, since most are of one method; what they stand beside in grey."""
    from matplotlib import colormaps

    found = {method: Look(GREY, "-" if method == FULL else "--", look.marker) for method, look in looks(BESIDE).items()}
    colours = [colormaps["tab10"](place) for place in range(10) if place != 7]  # that one is a grey
    for place, method in enumerate(method for method in methods if method not in BESIDE):
        line = "-" if place < len(colours) else ":"
        found[method] = Look(colours[place % len(colours)], line, SHAPES[place % len(SHAPES)])
    return found


def _draw(
    cells: Sequence[Cell],
    figure: str,
    wanted: Callable[[str], bool],
    looking: Callable[[Sequence[str]], dict[str, Look]],
    bands: bool,
) -> Drawing:
    paths, notes = paths_in(cells, figure, wanted)
    if not any(is_core(method) == (figure == "frontier") for method in paths):
        raise MissingError(f"{figure}: no path of a variant: {notes[0].removeprefix('left out: ')}")
    curves: Curves = {}
    for measure in MEASURES:
        having = {method: curve(path, measure) for method, path in paths.items() if has((path,), measure)}
        if having:
            curves[measure] = having
    named = {method: path.of_seeds(tuple(path.cells)) for method, path in paths.items()}
    used = sources(*named.values())
    by_seed = {method: [mine[0] for mine in path.cells.values()] for method, path in paths.items()}
    return Drawing(
        data=Table(HEADER, [row for measure, mine in curves.items() for row in _long(measure, mine)]),
        caption=_caption(used, paths, curves, bands),
        cells=used,
        figure=_picture(used, paths, curves, looking(list(paths)), bands),
        notes=[*notes, *seeds_differ(by_seed)],
    )


def _picture(
    used: Sequence[Cell], paths: dict[str, Path], curves: Curves, lines: dict[str, Look], bands: bool
) -> Figure:
    three = len(curves) > 2
    figure = new_figure(height=6.4 if three else 3.9)
    panels = figure.subplots(2 if three else 1, 2, squeeze=False).ravel()
    for axes, (measure, mine) in zip(panels, curves.items(), strict=False):
        _panel(axes, measure, mine, lines, bands)
    handles = _handles(panels[0], paths, lines)
    if three:
        panels[3].set_axis_off()
        panels[3].legend(handles=handles, loc="center left", handlelength=3.2, labelspacing=0.7)
    else:
        for spare in panels[len(curves) :]:
            spare.set_visible(False)
        figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=3.2, columnspacing=1.4)
    heading(figure, [cell for cell in used if cell.rate is not None])
    return figure


def _panel(axes: Axes, measure: Measure, curves: dict[str, Curve], lines: dict[str, Look], bands: bool) -> None:
    clean(axes)
    for method, one in curves.items():
        if bands:
            _band(axes, measure, one, lines[method])
        _path(axes, measure, one, lines[method])
    axes.set_title(TITLES[measure])
    axes.set(xlabel=ACROSS[measure], ylabel=UP[measure])
    if measure.kind == "loss":
        loss_axes(axes)


def loss_axes(axes: Axes) -> None:
    """Less loss is right and up; general loss on a logarithmic axis, since high rates multiply it."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter

    axes.invert_xaxis()
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(LOSSES))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.minorticks_off()
    axes.invert_yaxis()


def _band(axes: Axes, measure: Measure, one: Curve, look: Look) -> None:
    """What the seeds attain, lowest and highest."""
    levels, kept = one.attained(LEVELS)
    if len(kept) > 1 and len(levels):
        low, high = shown(measure, kept.min(axis=0)), shown(measure, kept.max(axis=0))
        axes.fill_between(shown(measure, levels), low, high, color=look.colour, alpha=0.1, linewidth=0, zorder=1)


def _path(axes: Axes, measure: Measure, one: Curve, look: Look) -> None:
    """Means over seeds at every rate."""
    across, up = (shown(measure, values) for values in one.mean)
    axes.plot(*dense(across, up), color=look.colour, linestyle=look.line, linewidth=1.3, zorder=2)
    axes.plot(
        *(across[1:], up[1:]),
        linestyle="none",
        marker=look.marker,
        color=look.colour,
        markersize=4.2,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=3,
    )
    ring = one.ringed
    if max(one.chosen):
        axes.plot(across[ring], up[ring], **_ring(look.colour), zorder=4)
    axes.plot(across[0], up[0], **BASE_MARK, zorder=5)


def _ring(colour: Any) -> dict[str, Any]:
    return {"marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgecolor": colour, "linestyle": "none"}


def dense(across: Array, up: Array) -> tuple[Array, Array]:
    """Points along the straight lines, which a logarithmic axis bends."""
    places = np.linspace(0, len(across) - 1, 20 * (len(across) - 1) + 1)
    return np.interp(places, np.arange(len(across)), across), np.interp(places, np.arange(len(up)), up)


def _handles(axes: Axes, paths: dict[str, Path], lines: dict[str, Look]) -> list[Any]:
    from matplotlib.lines import Line2D

    named = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, markersize=5, label=label(method))
        for method, look in ((method, lines[method]) for method in paths)
    ]
    base = Line2D([], [], **BASE_MARK, linestyle="none", label="base")
    return [*named, base, Line2D([], [], **_ring(GREY), label="chosen rate")]


def _long(measure: Measure, curves: dict[str, Curve]) -> list[list[Value]]:
    """A path's points by seed and on average, and what it attains at the band's levels."""
    rows: list[list[Value]] = []
    for method, one in curves.items():
        rates = (None, *one.path.rates)
        chosen = (None, *one.chosen)
        start: list[Value] = [measure.name, method]
        for seed, across, up in zip(one.path.cells, shown(measure, one.across), shown(measure, one.up), strict=True):
            points = zip(rates, across.tolist(), up.tolist(), one.path.cells[seed], strict=True)
            rows += [
                [*start, "point", seed, rate, x, y, None, None, int(cell.chosen) if rate else None]
                for rate, x, y, cell in points
            ]
        across, up = (shown(measure, values).tolist() for values in one.mean)
        rows += [
            [*start, "mean", None, rate, x, y, None, None, count]
            for rate, x, y, count in zip(rates, across, up, chosen, strict=True)
        ]
        levels, kept = one.attained(LEVELS)
        rows += [
            [*start, "attained", None, None, float(level), float(mine.mean()), float(min(mine)), float(max(mine)), None]
            for level, mine in zip(shown(measure, levels), shown(measure, kept).T, strict=True)
        ]
    return rows


def _caption(used: Sequence[Cell], paths: dict[str, Path], curves: Curves, bands: bool) -> str:
    one = used[0]
    several = max(len(path.cells) for path in paths.values()) > 1
    rates = len(next(iter(paths.values())).rates)
    measures = ", ".join(TITLES[measure] for measure in curves)
    band = (
        "Bands: lowest and highest, over seeds, of the retention that a path attains at each level of acquisition that "
        "all its seeds get to (docs/acquisition.md); a range, no interval. "
    )
    loss = "Losses fall to the right and upwards, the general one on a logarithmic axis. "
    return (
        f"Paths of {len(paths)} methods on suite {one.suite}, preset {one.preset} ({len(used)} results): {measures}; "
        "across what was learned of the domain, up what was kept of general competence; up and right is better. A line "
        f"joins a method's means over seeds at its {rates} learning rates in their order, from the base (cross); "
        "ringed is the rate that validation chose (in most seeds). "
        + (band if bands and several else "")
        + (loss if any(measure.kind == "loss" for measure in curves) else "")
        + "Between the marks nobody trained. Whether two paths differ beyond chance is in gains."
    )


KIND = FigureKind("frontier", "Retention against acquisition, all learning rates", "ours, from Table 1", draw, True)
VARIANTS = FigureKind(
    "frontier_variants", "Retention against acquisition, all learning rates, variants", "ours", draw_variants, True
)
