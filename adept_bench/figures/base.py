"""What a figure is: a function from the cells of one (preset, suite) to a picture, its numbers and a caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Value = str | int | float | None


class MissingError(InputError):
    """The cells do not hold what a figure needs; the message says what is missing."""


def holding(cells: Sequence[Cell], analysis: str, missing: str) -> list[Cell]:
    """The cells whose `analyses` have the field `analysis`; MissingError with `missing` where none has."""
    found = [cell for cell in cells if cell.analyses is not None and getattr(cell.analyses, analysis)]
    if not found:
        raise MissingError(missing)
    return found


@dataclass(frozen=True)
class Table:
    """Column names and rows; None is an empty cell."""

    header: list[str]
    rows: list[list[Value]]


@dataclass(frozen=True)
class Drawing:
    """A rendered figure or table. `cells`: exactly those it was made from."""

    data: Table
    """The numbers that are shown, long form, unrounded: the CSV."""
    caption: str
    """What is shown, how to read every mark, what the intervals are; one paragraph."""
    cells: Sequence[Cell]
    figure: Figure | None = None
    """The picture, if there is one."""
    shown: Table | None = None
    """The formatted table, if there is one: Markdown and LaTeX."""
    notes: list[str] = field(default_factory=list)
    """What could not be shown, and why."""
    title: str = ""
    """Where it is another than the kind's."""


@dataclass(frozen=True)
class FigureKind:
    """A figure of the registry."""

    name: str
    """File name without ending, and the name for --only."""
    title: str
    paper: str
    """The figure or table of the paper it answers to, or "ours"."""
    draw: Callable[[Sequence[Cell]], Drawing]
    """Cells of one (preset, suite), of any methods and seeds, to a drawing; raises MissingError."""
    paths: bool = False
    """Whether `draw` takes cells of all learning rates; else it gets those of the chosen rates only."""
