"""Held-out loss on general and on domain text, before training and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate, seed_mean
from adept_bench.analysis.table import groups_in_order
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import comparable, dot, method_rows, row_height, seeds_differ, sources
from adept_bench.figures.style import colour, heading, new_figure
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADER = [
    "method",
    "corpus",
    "seed",
    "before",
    "after",
    "after_low",
    "after_high",
    "change",
    "change_low",
    "change_high",
]
Losses = dict[tuple[str, str], tuple[float, Estimate, Estimate]]
"""By (method, corpus): mean before, after, and change, nats a token."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """A panel a corpus, a row a method: a ring for the loss before, a mark with its interval for the loss after.

    Raises MissingError where no cell has losses; InputError where presets, budgets or corpora are mixed.
    """
    measured = [cell for cell in cells if cell.losses]
    if not measured:
        raise MissingError("losses: no cell has a held-out loss; expected results with general or domain held-out text")
    named = comparable(measured, "losses")
    corpora = groups_in_order(name for cell in measured for name in cell.losses)
    found = {
        (method, corpus): _summary(having, corpus)
        for corpus in corpora
        for method, mine in named.items()
        if (having := [cell for cell in mine if corpus in cell.losses])
    }
    notes = seeds_differ(named)
    notes += [f"{method}: no {corpus} loss" for method in named for corpus in corpora if (method, corpus) not in found]
    return Drawing(
        data=Table(HEADER, _long(named, corpora, found)),
        caption=_caption(measured, found),
        cells=sources(measured),
        figure=_picture(named, corpora, found),
        notes=notes,
    )


def _summary(mine: Sequence[Cell], corpus: str) -> tuple[float, Estimate, Estimate]:
    pairs = [cell.losses[corpus] for cell in mine]
    seeds = [cell.seed for cell in mine]
    after = seed_mean([pair.after for pair in pairs], seeds, len(mine))
    change = seed_mean([pair.after - pair.before for pair in pairs], seeds, len(mine))
    return sum(pair.before for pair in pairs) / len(pairs), after, change


def _picture(named: Mapping[str, list[Cell]], corpora: Sequence[str], found: Losses) -> Figure:
    figure = new_figure(height=1.0 + row_height(len(named)) * len(named))
    panels = figure.subplots(1, len(corpora), squeeze=False)[0]
    for axes, corpus in zip(panels, corpora, strict=True):
        method_rows(axes, list(named), names=axes is panels[0])
        for row, (method, mine) in enumerate(named.items()):
            if (method, corpus) in found:
                before, after, _ = found[method, corpus]
                _change(axes, row, method, before, after.value)
                dot(axes, row, method, after, [cell.losses[corpus].after for cell in mine if corpus in cell.losses])
        axes.set_xlabel(f"held-out {corpus} loss, nats a token")
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    heading(figure, [cell for mine in named.values() for cell in mine])
    return figure


def _change(axes: Axes, row: int, method: str, before: float, after: float) -> None:
    """A ring at the loss before, and a thin line from there to the loss after."""
    axes.plot([before, after], [row, row], color=colour(method), linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)
    axes.scatter(before, row, s=26, facecolor="white", edgecolor=colour(method), linewidth=1.1, zorder=2.5)


def _long(named: Mapping[str, list[Cell]], corpora: Sequence[str], found: Losses) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for method, mine in named.items():
        for corpus in corpora:
            if (method, corpus) not in found:
                continue
            before, after, change = found[method, corpus]
            ends: list[Value] = [after.value, after.low, after.high, change.value, change.low, change.high]
            rows.append([method, corpus, None, before, *ends])
            for cell in mine:
                if pair := cell.losses.get(corpus):
                    values: list[Value] = [pair.before, pair.after, None, None, pair.after - pair.before, None, None]
                    rows.append([method, corpus, cell.seed, *values])
    return rows


def _caption(measured: Sequence[Cell], found: Losses) -> str:
    several = any(after.low is not None for _, after, _ in found.values())
    bars = "95% intervals over seeds (Student's t)" if several else "no interval, since there is one seed"
    return (
        f"Held-out loss in nats a token on suite {measured[0].suite}, preset {measured[0].preset} ({len(measured)} "
        "results). Rings: the base model, before training; filled marks: after training; both means over seeds. Bars: "
        f"{bars} of the loss after; they hold the differences between the seeds' base models too, so that two methods "
        "compare better by the small points below, single seeds, than by whether bars overlap. To the left is better."
    )


KIND = FigureKind("losses", "Held-out losses", "ours", draw)
