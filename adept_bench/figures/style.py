"""One look for all figures: a colour a method, everywhere the same, distinguishable with colour-blind eyes.

Settings hold inside `look()` only, so that nothing of the user's matplotlib changes and nothing of it leaks in: the
commands call `draw` and save inside it. Preview by hand: `with look(): draw(cells).figure.savefig("/tmp/x.png")`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis, Tick
    from matplotlib.figure import Figure

    from adept_bench.analysis.paired import Estimate
    from adept_bench.results.schema import Cell

WIDTH = 7.2
"""Inches: the text width of a page; fonts are read at this width."""

# Okabe and Ito's palette; a variant of a method has the method's colour, another marker and another hatch
COLOURS = {
    "vanilla": "#000000",
    "full": "#D55E00",
    "replay": "#E69F00",
    "llama-pro": "#56B4E9",
    "frozen": "#009E73",
    "lora": "#CC79A7",
    "adept": "#0072B2",
}
OTHER = "#777777"
INK, GREY, PALE = "#222222", "#6e6e6e", "#e6e6e6"
"""Text; what is said beside the data; grid lines."""

MARKERS = {
    "vanilla": "X",
    "full": "s",
    "replay": "D",
    "llama-pro": "^",
    "frozen": "v",
    "lora": "P",
    "adept": "o",
    "adept-no-stage1": "v",
    "adept-no-stage2": "^",
    "adept-uniform-expansion": "s",
    "adept-as-released": "D",
    "adept-as-released-deepspeed": "p",
    "adept-random": "X",
    "adept-highest": "P",
    "adept-domain-importance": "*",
}
HATCHES = {
    "full": "////",
    "replay": "....",
    "llama-pro": "\\\\\\\\",
    "frozen": "xxxx",
    "lora": "++++",
    "adept-no-stage1": "////",
    "adept-no-stage2": "\\\\\\\\",
    "adept-uniform-expansion": "....",
    "adept-as-released": "xxxx",
    "adept-as-released-deepspeed": "++++",
}
LINES: dict[str, str | tuple[int, tuple[float, ...]]] = {
    "adept-no-stage1": "--",
    "adept-no-stage2": ":",
    "adept-uniform-expansion": "-.",
    "adept-as-released": (0, (6, 1.5, 1, 1.5, 1, 1.5)),
    "adept-as-released-deepspeed": (0, (6, 1.5, 1, 1.5)),
}
LABELS = {
    "vanilla": "vanilla",
    "full": "full CPT",
    "replay": "replay",
    "llama-pro": "LLaMA-Pro",
    "frozen": "frozen layers",
    "lora": "LoRA",
    "tasl": "TaSL",
    "adept": "ADEPT",
    "adept-no-stage1": "ADEPT without stage 1",
    "adept-no-stage2": "ADEPT without stage 2",
    "adept-uniform-expansion": "ADEPT, uniform expansion",
    "adept-as-released": "ADEPT as released",
    "adept-as-released-deepspeed": "ADEPT as released, DeepSpeed",
    "adept-random": "ADEPT, random layers",
    "adept-highest": "ADEPT, most important layers",
    "adept-domain-importance": "ADEPT, layers by domain importance",
    "adept-probe-text": "ADEPT, probed on plain text",
}
PATTERNS = (
    (r"k(\d+)", r"k = \1"),
    (r"refresh(\d+)", r"refresh every \1 steps"),
    (r"refresh-once", "rates never refreshed"),
    (r"probe(\d+)", r"\1 probe documents"),
)

SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": 8.5,
    "text.parse_math": False,  # a "$" is a dollar; see `powers`
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "hatch.linewidth": 0.6,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "savefig.facecolor": "white",
    # the same figure is the same bytes
    "svg.hashsalt": "adept-bench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@contextmanager
def look() -> Iterator[None]:
    """matplotlib's own defaults with SETTINGS, for the time of the block; also a decorator: `@look()`."""
    import matplotlib
    from matplotlib import rcParams, rcParamsDefault

    with matplotlib.rc_context():
        defaults = {name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")}
        rcParams.update(cast(Any, {**defaults, **SETTINGS}))
        yield


def new_figure(width: float = WIDTH, height: float = 3.6) -> Figure:
    """An empty figure (inches) that belongs to nobody: no pyplot, so nothing is left open. Constrained layout."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


PLACES = 6
"""Decimals of a position, in shares of the figure's side: far below a pixel."""


def lay_out(figure: Figure) -> None:
    """Compute where everything goes, as drawing would; rounded, since the solver's last bits depend on addresses."""
    from matplotlib.transforms import Bbox

    if engine := figure.get_layout_engine():
        engine.execute(figure)
    for part in (figure, *figure.subfigs):
        for text in part.texts:
            x, y = text.get_position()
            text.set_position((round(float(x), PLACES), round(float(y), PLACES)))
    for part in figure.subfigs:
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(PLACES))
    for axes in figure.axes:
        axes.set_position(Bbox(axes.get_position(original=True).get_points().round(PLACES)))


def colour(method: str) -> str:
    """The method's colour; variants share that of their method ("adept-k4": ADEPT's)."""
    return COLOURS.get(method, COLOURS.get(_base(method), OTHER))


def marker(method: str) -> str:
    """The method's marker; another one for its variants."""
    return MARKERS.get(method, "h" if _base(method) in COLOURS else "o")


def hatch(method: str) -> str:
    """The hatch of the method's bars, "" for none."""
    return HATCHES.get(method, "")


def linestyle(method: str) -> str | tuple[int, tuple[float, ...]]:
    """The method's line: whole for the core methods, broken for variants."""
    return LINES.get(method, "-" if method in COLOURS else "--")


def label(method: str) -> str:
    """The method's name in figures: "ADEPT", "full CPT", "ADEPT, k = 4"; an unknown one as it is."""
    if method in LABELS:
        return LABELS[method]
    base = _base(method)
    if base not in LABELS:
        return method
    rest = method[len(base) + 1 :]
    for pattern, words in PATTERNS:
        if re.fullmatch(pattern, rest):
            return f"{LABELS[base]}, {re.sub(pattern, words, rest)}"
    return f"{LABELS[base]}, {rest.replace('-', ' ')}"


def heading(target: Figure | Axes, cells: Sequence[Cell], more: str = "") -> None:
    """The small left title of a figure or of one axes: "medical on lab, 5 seeds"; `more` follows after a comma."""
    from matplotlib.figure import FigureBase

    text = ", ".join(filter(None, (f"{cells[0].suite} on {cells[0].preset}", seeds_in_words(cells), more)))
    if isinstance(target, FigureBase):
        target.suptitle(text, x=0.01, horizontalalignment="left", color=GREY)
    else:
        target.set_title(text, loc="left", color=GREY)


def seeds_in_words(cells: Sequence[Cell]) -> str:
    """ "5 seeds", "1 seed", or "3 to 5 seeds" where methods differ."""
    methods = {cell.method for cell in cells}
    counts = {len({cell.seed for cell in cells if cell.method == method}) for method in methods}
    low, high = min(counts), max(counts)
    if low != high:
        return f"{low} to {high} seeds"
    return f"{high} seed{'' if high == 1 else 's'}"


def arms(estimate: Estimate, factor: float = 1.0) -> list[list[float]] | None:
    """The estimate's interval as matplotlib's xerr or yerr, times `factor`; None where it has none."""
    if estimate.low is None or estimate.high is None:
        return None
    return [[factor * (estimate.value - estimate.low)], [factor * (estimate.high - estimate.value)]]


def powers(axis: Axis) -> None:
    """Draw the ticks of a logarithmic axis, powers of ten, as the formulas that they are; all other text is plain."""

    def formulas(write: Callable[[Any], list[str]], ticks: Callable[[int], list[Tick]]) -> Callable[[Any], list[str]]:
        def written(values: Any) -> list[str]:
            for tick in ticks(len(values)):  # made when they are needed
                tick.label1.set_parse_math(True)
                tick.label2.set_parse_math(True)
            return write(values)

        return written

    major, minor = axis.get_major_formatter(), axis.get_minor_formatter()
    major.format_ticks = formulas(major.format_ticks, axis.get_major_ticks)  # type: ignore[assignment, method-assign]
    minor.format_ticks = formulas(minor.format_ticks, axis.get_minor_ticks)  # type: ignore[assignment, method-assign]


def clean(axes: Axes) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def _base(method: str) -> str:
    """The known method that a variant's name begins with, else the name."""
    starts = [name for name in COLOURS if method.startswith(f"{name}-")]
    return max(starts, key=len, default=method)
