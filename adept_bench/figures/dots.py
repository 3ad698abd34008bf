"""What the comparing figures share: which cells go together, and panels with a row a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate
from adept_bench.analysis.protocol import check_budget, group_tasks, label
from adept_bench.analysis.table import groups_in_order
from adept_bench.errors import InputError
from adept_bench.figures.base import MissingError
from adept_bench.figures.style import GREY, PALE, arms, clean, colour, marker
from adept_bench.figures.style import label as in_words
from adept_bench.figures.variants import by_method, comparable_pairs
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ROW = 0.27
"""Inches a row of a panel takes."""


def row_height(methods: int) -> float:
    """ROW, or a little less where there are many rows."""
    return ROW if methods <= 9 else 0.8 * ROW


def comparable(cells: Sequence[Cell], figure: str) -> dict[str, list[Cell]]:
    """Cells by method, each by seed, after checking that they may stand in one figure.

    Raises MissingError where there is none; InputError where presets, suites, budgets, items or task versions are
    mixed, or, within a seed, base models or corpora (but for what a variant declares to change).
    """
    named = by_method(cells, figure)
    check_budget(cells)
    for group in groups(cells):
        group_tasks(cells, group)
    twins: dict[int, Cell] = {}
    for mine in named.values():
        for cell in mine:
            twins.setdefault(cell.seed, cell)
        comparable_pairs(mine, list(twins.values()))
    return named


def groups(cells: Sequence[Cell]) -> list[str]:
    """Groups of tasks that the cells have: general, domain, then others by name."""
    return groups_in_order(group for cell in cells for group in cell.groups)


def reference(named: Mapping[str, list[Cell]], method: str, figure: str) -> list[Cell]:
    """The cells of the method that others are compared with; MissingError says how to have them."""
    if method not in named:
        one = next(iter(named.values()))[0]
        raise MissingError(
            f"{figure}: no result of method {method!r}, which the others are compared with; "
            f"`adept-bench run --suite {one.suite} --preset {one.preset} --methods {method}` makes it"
        )
    return named[method]


def attempt(compute: Callable[[], Estimate], notes: list[str]) -> Estimate | None:
    """The estimate, or None with a note where the cells cannot be compared."""
    try:
        return compute()
    except InputError as reason:
        notes.append(str(reason))
        return None


def sources(*sides: Sequence[Cell]) -> list[Cell]:
    """All of the cells, each once, by name of their file."""
    return [cell for _, cell in sorted({label(cell): cell for side in sides for cell in side}.items())]


def method_rows(axes: Axes, methods: Sequence[str], names: bool = True) -> None:
    """Rows from the top, a method each; `names` at the left, or not where a panel at the left has them."""
    clean(axes)
    axes.grid(False, axis="y")
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_yticks(range(len(methods)), [in_words(method) for method in methods] if names else [""] * len(methods))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for row in range(1, len(methods)):
        axes.axhline(row - 0.5, color=PALE, linewidth=0.5, zorder=0)


def dot(axes: Axes, row: float, method: str, estimate: Estimate, seeds: Sequence[float], factor: float = 1.0) -> None:
    """An estimate with its interval as a bar, and below it a small point for each of several seeds."""
    if len(seeds) > 1:
        below = [row + 0.26] * len(seeds)
        seen = [factor * value for value in seeds]
        axes.scatter(seen, below, s=8, color=colour(method), alpha=0.6, linewidths=0, zorder=2)
    axes.errorbar(
        factor * estimate.value,
        row,
        xerr=arms(estimate, factor),
        fmt=marker(method),
        color=colour(method),
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        elinewidth=1.4,
        zorder=3,
    )


def boxed(axes: Axes, row: float, words: str, pad: float) -> None:
    """Words above a row, in the middle of the panel, on a white ground that keeps marks from crossing them."""
    axes.annotate(
        words,
        (0.5, row),
        xycoords=("axes fraction", "data"),
        ha="center",
        va="bottom",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": pad},
    )


def reference_line(axes: Axes, value: float, words: str) -> None:
    """A thin vertical line with its meaning at the top."""
    axes.axvline(value, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    axes.annotate(
        words,
        (value, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 1),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=GREY,
    )


def rates_in_words(named: Mapping[str, list[Cell]]) -> str:
    """The methods' peak learning rates, a sentence; empty where all train at the same one or none is known."""
    by_rate: dict[str, list[str]] = {}
    for method, mine in named.items():
        rates = sorted({cell.learning_rate.value for cell in mine if cell.learning_rate and cell.learning_rate.value})
        if rates:
            by_rate.setdefault(" and ".join(f"{rate:g}" for rate in rates), []).append(in_words(method))
    if len(by_rate) < 2:
        return ""
    listed = "; ".join(f"{rate} for {', '.join(names)}" for rate, names in by_rate.items())
    return f" Methods differ in their peak learning rate too: {listed}."


def seeds_differ(named: Mapping[str, list[Cell]]) -> list[str]:
    """A note where methods have results of different seeds."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for method, mine in named.items():
        by_seeds.setdefault(tuple(cell.seed for cell in mine), []).append(in_words(method))
    if len(by_seeds) < 2:
        return []
    listed = "; ".join(f"{', '.join(map(str, seeds))}: {' and '.join(names)}" for seeds, names in by_seeds.items())
    return [f"methods have different seeds ({listed}): means are over a method's own, differences over common ones"]
