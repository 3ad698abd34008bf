"""What `bench` measured: step time, throughput, memory and probing of each method, a figure a device and shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adept_bench.escapes import visible
from adept_bench.figures.base import Drawing, Table, Value
from adept_bench.figures.dots import method_rows, row_height
from adept_bench.figures.export import DEFAULT_FORMATS, Exported, encode
from adept_bench.figures.style import GREY, INK, colour, lay_out, look, marker, new_figure
from adept_bench.figures.tabular import as_csv
from adept_bench.files import file_hash
from adept_bench.results.timing import FOLDER, Timing, conditions, device_folder, load_timings
from adept_bench.timing.numbers import Numbers, numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "timing"
REFERENCE = "full"
ORDER = ("full", "replay", "llama-pro", "lora", "frozen", "adept")
HEADER = ["method", "quantity", "unit", "value", "low", "high"]
Point = tuple[float, float, float]
"""Value, lower and upper quartile."""
Measure = Callable[[Timing, Numbers], Point | None]


def _single(value: float | None) -> Point | None:
    return None if value is None else (value, value, value)


def _probing(timing: Timing) -> float | None:
    parts = [part for part in (timing.layer_probe_seconds, timing.unit_probe_seconds) if part is not None]
    return sum(parts) if parts else None


QUANTITIES: tuple[tuple[str, str, int, Measure], ...] = (
    ("step time", "seconds", 3, lambda _, n: (n.step, n.low, n.high)),
    ("throughput", "tokens a second", 0, lambda _, n: _single(n.tokens_per_second)),
    ("share of the peak", "%", 0, lambda _, n: _single(None if n.share_of_peak is None else 100 * n.share_of_peak)),
    ("peak memory", "GiB", 2, lambda t, _: _single(t.peak_memory_bytes / 2**30)),
    ("probing before training", "seconds", 1, lambda t, _: _single(_probing(t))),
    ("one refresh", "seconds", 1, lambda _, n: _single(n.refresh)),
)


def timing_figures(results: Path, formats: tuple[str, ...] = DEFAULT_FORMATS) -> list[Exported]:
    """A figure for each device and shape that `results` holds timings of."""
    return [_exported(results, by_place, formats) for by_place in by_shape(load_timings(results))]


def by_shape(timings: Mapping[str, Timing]) -> list[dict[str, Timing]]:
    """The timings of each device and shape by their place, methods in order."""
    found: dict[tuple[str, str], dict[str, Timing]] = {}
    for place, timing in sorted(timings.items(), key=lambda item: _order(item[1].method)):
        found.setdefault((timing.device, timing.shape), {})[place] = timing
    return [found[key] for key in sorted(found)]


def _order(method: str) -> tuple[int, str]:
    return (ORDER.index(method) if method in ORDER else len(ORDER), method)


def title(timing: Timing) -> str:
    """Of a figure: shape and device."""
    return f"Timing, {timing.shape} on {timing.device}"


def draw(timings: Sequence[Timing]) -> Drawing:
    """Timings of one device and shape, laid out; drawn under the common look."""
    with look():
        figure = _picture(timings)
        lay_out(figure)
        figure.set_layout_engine("none")
    return Drawing(data=Table(HEADER, _long(timings)), caption=_caption(timings), cells=(), figure=figure)


def table(timings: Sequence[Timing]) -> Table:
    """A row a timing: the numbers of the figures, as text."""
    header = ["shape", "device", "method", *(f"{name}, {unit}" for name, unit, _, _ in QUANTITIES)]
    rows: list[list[Value]] = []
    for timing in timings:
        points = [(measure(timing, numbers(timing)), digits) for _, _, digits, measure in QUANTITIES]
        shown = [None if point is None else f"{point[0]:,.{digits}f}" for point, digits in points]
        rows.append([timing.shape, timing.device, timing.method, *shown])
    return Table(header, rows)


def _exported(results: Path, by_place: dict[str, Timing], formats: tuple[str, ...]) -> Exported:
    import matplotlib

    timings = list(by_place.values())
    first = timings[0]
    name = f"{NAME}-{first.shape}"
    drawing = draw(timings)
    files = {f"{name}.csv": as_csv(drawing.data).encode()}
    assert drawing.figure is not None
    with look():
        files |= {f"{name}.{one}": encode(drawing.figure, one, title(first), drawing.caption) for one in formats}
    return Exported(
        name=name,
        place=f"{FOLDER}/{device_folder(first.device)}",
        title=f"Timing of {first.shape}",
        paper="Table 6",
        caption=drawing.caption,
        notes=[],
        sources={place: file_hash(results / place) for place in by_place},
        files=files,
        matplotlib=matplotlib.__version__,
    )


def _picture(timings: Sequence[Timing]) -> Figure:
    rows = len(timings)
    shown = [one for one in QUANTITIES if any(one[3](timing, numbers(timing)) for timing in timings)]
    lines = -(-len(shown) // 3)
    figure = new_figure(height=0.5 + lines * (0.85 + row_height(rows) * rows))
    grid = figure.subplots(lines, 3, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for place, (name, unit, digits, measure) in enumerate(shown):
        axes = grid[place // 3][place % 3]
        method_rows(axes, [timing.method for timing in timings], names=place % 3 == 0)
        axes.set_title(name)
        axes.set_xlabel(unit)
        highest = 0.0
        for row, timing in enumerate(timings):
            point = measure(timing, numbers(timing))
            words = "–"
            if point is not None:
                value, low, high = point
                arms = [[value - low], [high - value]]
                axes.errorbar(
                    value, row, xerr=arms, fmt=marker(timing.method), color=colour(timing.method), markersize=5.5
                )
                highest, words = max(highest, high), f"{value:,.{digits}f}"
            at = ("axes fraction", "data")
            axes.annotate(words, (0.99, row), xycoords=at, ha="right", va="center", fontsize=8, color=INK)
            if point is not None and name == "step time" and timing.method == REFERENCE:
                axes.axvline(point[0] / 2, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
                axes.set_xlabel("seconds (dashed: half of full CPT's)")
        axes.set_xlim(0, 1.45 * (highest or 1))
    figure.suptitle(visible(f"{timings[0].shape} on {timings[0].device}"), x=0.01, ha="left", fontsize=9)
    return figure


def _long(timings: Sequence[Timing]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for name, unit, _, measure in QUANTITIES:
        for timing in timings:
            point = measure(timing, numbers(timing))
            if point is not None:
                rows.append([timing.method, name, unit, *point])
    return rows


def _caption(timings: Sequence[Timing]) -> str:
    first = timings[0]
    length, batch, accumulation, precision = (
        first.settings.get(name, "?") for name in ("length", "batch_size", "accumulation", "precision")
    )
    peak = (
        "The share of the peak is of the device's stated one, with operations by formula and without what "
        "checkpointing computes again. "
        if first.peak_flops
        else "No stated peak is known here. "
    )
    same = all(conditions(timing) == conditions(first) for timing in timings)
    return (
        f"Timing of {len(timings)} method{'' if len(timings) == 1 else 's'} on a model of the shape of {first.shape} "
        f"with random weights, on {first.device}: sequences of {length} tokens, "
        f"batch {batch} x {accumulation}, {precision}, gradient checkpointing "
        f"{'on' if first.settings.get('gradient_checkpointing') else 'off'}"
        f"{'' if same else ' (the methods differ in settings: see the files)'}. Step time: the median of "
        f"{min(len(timing.step_seconds) for timing in timings)} steps or more, bars the quartiles; steps directly "
        "after a refresh are left out; the dashed line is at half of full CPT's. "
        f"{peak}Peak memory is of the accelerator, on a processor of the whole process. Probing is on random documents."
    )
