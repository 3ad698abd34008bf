"""How far training moves the predicted tokens, and which words move most (paper, Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate
from adept_bench.analysis.pilot import corpora_in_order, in_words, made_from, together
from adept_bench.analysis.rankings import mean_within
from adept_bench.analysis.table import methods_in_order
from adept_bench.figures.base import Drawing, FigureKind, Table, Value, holding
from adept_bench.figures.style import GREY, INK, clean, colour, heading, label, new_figure
from adept_bench.figures.tokens import plain, visible
from adept_bench.results.schema import Cell, TokenShift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("unshifted", "marginal", "shifted")
WORDS_DRAWN, WORDS_IN_TABLE = 8, 12
Shifts = dict[tuple[str, str], dict[int, TokenShift]]
"""By method and corpus, by seed."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """Shares of positions by the base's rank of the adapted model's first choice; below, the most shifted words.

    Raises MissingError where no cell holds a token shift.
    """
    found = holding(
        cells,
        "token_shift",
        "token_shift: no cell holds the shift of predicted tokens; expected `analyses.token_shift` of trained "
        "cells of suite pilot",
    )
    shown = together(found)
    methods = methods_in_order(cell.method for cell in shown)
    shifts: Shifts = {}
    for cell in shown:
        assert cell.analyses is not None
        for one in cell.analyses.token_shift:
            shifts.setdefault((cell.method, one.corpus), {})[cell.seed] = one
    corpora = corpora_in_order(corpus for _, corpus in shifts)
    height = 0.75 + 0.4 * len(methods)
    words_height = len(corpora) * (0.6 + 0.16 * WORDS_DRAWN)
    figure = new_figure(height=0.3 + height + words_height)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[height, words_height])[:, 0]
    _shares(above, shifts, methods, corpora)
    _words(below, shifts, methods, corpora)
    heading(figure, shown)
    return Drawing(
        data=Table(
            ["what", "method", "corpus", "seed", "kind", "token", "value", "low", "high", "positions"],
            _share_rows(shifts) + _word_rows(shifts),
        ),
        caption=_caption(shown),
        cells=shown,
        figure=figure,
        shown=_table(shifts),
        notes=[
            f"token shift of {label(method)} on {corpus} text: no cell holds it"
            for method in methods
            for corpus in corpora
            if (method, corpus) not in shifts
        ],
    )


def _share(mine: dict[int, TokenShift], *kinds: str) -> Estimate:
    """Mean over seeds of the share of positions of these kinds together."""
    values = {seed: sum(getattr(one, kind) for kind in kinds) / one.positions for seed, one in mine.items()}
    return mean_within(values, 0.0, 1.0)


def _shares(figure: Figure, shifts: Shifts, methods: Sequence[str], corpora: Sequence[str]) -> None:
    parts = figure.subplots(1, len(corpora), squeeze=False, sharey=True)[0]
    for axes, corpus in zip(parts, corpora):
        for row, method in enumerate(methods):
            mine = shifts.get((method, corpus))
            if mine is None:
                axes.text(1, row, "no data", va="center", fontsize=8, color=GREY)
                continue
            _stack(axes, row, mine, colour(method))
        axes.set_title(f"{corpus} text")
        axes.text(1.02, 1.02, "shifted, %", va="bottom", fontsize=8, color=GREY, transform=axes.transAxes)
        axes.set_xlim(0, 100)
        axes.set_ylim(len(methods) - 0.4, -0.6)
        axes.set_xlabel("share of positions, %")
        clean(axes)
        axes.grid(False)
        axes.tick_params(axis="y", length=0)
    parts[0].set_yticks(range(len(methods)), [label(method) for method in methods])
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=_tint(GREY, tint), hatch=hatch, edgecolor="white", linewidth=0, label=name)
        for (name, tint, hatch) in (
            ("unshifted: rank 1 in the base", 0.25, ""),
            ("marginal: 2 or 3", 0.55, "////"),
            ("shifted: beyond", 1.0, ""),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)


def _stack(axes: Axes, row: int, mine: dict[int, TokenShift], method_colour: str) -> None:
    left = 0.0
    for kind, tint, hatch in zip(KINDS, (0.25, 0.55, 1.0), ("", "////", "")):
        value = 100 * _share(mine, kind).value
        face = _tint(method_colour, tint)
        axes.barh(row, value, left=left, height=0.56, color=face, hatch=hatch, edgecolor="white", linewidth=0)
        left += value
    shifted = _share(mine, "shifted")
    axes.text(102, row, in_words(shifted, 1, 100), va="center", fontsize=8, color=INK)
    if len(mine) < 2:
        return
    edge = _share(mine, "unshifted", "marginal")
    if edge.low is not None and edge.high is not None:
        axes.plot([100 * edge.low, 100 * edge.high], [row, row], color=INK, linewidth=1.0, zorder=3)
    seeds = [100 * (1 - one.shifted / one.positions) for one in mine.values()]
    axes.scatter(seeds, [row] * len(seeds), s=10, color="white", edgecolor=INK, linewidth=0.7, zorder=4)


def _tint(shade: str, part: float) -> tuple[float, float, float]:
    """The colour mixed with white; `part` 1 is the colour itself."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - part * (1 - value) for value in to_rgb(shade))
    return red, green, blue


def _most_shifted(mine: dict[int, TokenShift]) -> list[tuple[str, float, int, int, int]]:
    """(token, shifted a thousand positions, shifted, first choice, seeds that list it), most shifted first.

    Sums over the seeds' lists, which each keep only the first; the rate is over all positions of all seeds.
    """
    counts: dict[str, list[int]] = {}
    for one in mine.values():
        for entry in one.tokens:
            found = counts.setdefault(entry.token, [0, 0, 0])
            for index, value in enumerate((entry.shifted, entry.positions, 1)):
                found[index] += value
    positions = sum(one.positions for one in mine.values())
    rows = [(token, 1000 * times / positions, times, first, seeds) for token, (times, first, seeds) in counts.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _words(figure: Figure, shifts: Shifts, methods: Sequence[str], corpora: Sequence[str]) -> None:
    rows = figure.subfigures(len(corpora), 1, squeeze=False)[:, 0]
    for part, corpus in zip(rows, corpora):
        part.suptitle(f"most shifted words on {corpus} text", x=0.01, ha="left", fontsize=8.5, color=INK)
        for axes, method in zip(part.subplots(1, len(methods), squeeze=False, sharex=True)[0], methods):
            _word_bars(axes, shifts.get((method, corpus)), method)
    rows[-1].supxlabel("times shifted, in 1000 positions", fontsize=8.5)


def _word_bars(axes: Axes, mine: dict[int, TokenShift] | None, method: str) -> None:
    words = _most_shifted(mine)[:WORDS_DRAWN] if mine else []
    axes.barh(range(len(words)), [word[1] for word in words], height=0.62, color=colour(method))
    axes.set_yticks(range(len(words)), [plain(word[0]) for word in words])
    axes.set_ylim(WORDS_DRAWN - 0.5, -0.5)
    axes.set_title(label(method))
    if not words:
        text = "none shifted" if mine else "no data"
        axes.text(0.5, 0.5, text, ha="center", fontsize=8, color=GREY, transform=axes.transAxes)
    clean(axes)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)


def _table(shifts: Shifts) -> Table:
    rows: list[list[Value]] = []
    for (method, corpus), mine in shifts.items():
        words = [f"{visible(word[0])} ({word[2]})" for word in _most_shifted(mine)[:WORDS_IN_TABLE]]
        rows.append(
            [
                label(method),
                corpus,
                *(in_words(_share(mine, kind), 1, 100) for kind in KINDS),
                "  ".join(words),
                sum(one.positions for one in mine.values()),
            ]
        )
    return Table(
        ["method", "text", *(f"{kind}, %" for kind in KINDS), "most shifted words (times)", "positions"],
        rows,
    )


def _share_rows(shifts: Shifts) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for (method, corpus), mine in shifts.items():
        for kind in KINDS:
            mean = _share(mine, kind)
            total = sum(one.positions for one in mine.values())
            rows.append(["share", method, corpus, "mean", kind, None, mean.value, mean.low, mean.high, total])
            for seed, one in mine.items():
                share = getattr(one, kind) / one.positions
                rows.append(["share", method, corpus, seed, kind, None, share, None, None, one.positions])
    return rows


def _word_rows(shifts: Shifts) -> list[list[Value]]:
    return [
        ["times shifted", method, corpus, "all", "shifted", visible(token), times, None, None, positions]
        for (method, corpus), mine in shifts.items()
        for token, _, times, positions, _ in _most_shifted(mine)
    ]


def _caption(cells: Sequence[Cell]) -> str:
    several = len({cell.seed for cell in cells}) > 1
    return (
        "Rank, in the base model's prediction, of the trained model's first choice at every position of held-out text: "
        "1 (unshifted), 2 or 3 (marginal, hatched) or beyond (shifted, the full colour; its share in numbers, "
        "with the 95% interval). "
        + (
            "Bars: means over seeds; circles and line where the shifted part begins: single seeds and the 95% t "
            "interval over seeds. "
            if several
            else ""
        )
        + f"Below: the {WORDS_DRAWN} words that shifted most often, summed over the seeds' lists of their most "
        "shifted; ␣ is a space within the token, and a character that the font lacks is written as its code. "
        + made_from(cells)
    )


KIND = FigureKind(
    name="token_shift",
    title="Shift of predicted tokens from the base model",
    paper="Figure 5",
    draw=draw,
)
