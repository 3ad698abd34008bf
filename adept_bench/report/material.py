"""What a report is made of: cells by (preset, suite), their tables and figures, claims, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from adept_bench.analysis.table import methods_in_order
from adept_bench.report.drawn import Shown
from adept_bench.report.images import Image
from adept_bench.results.schema import Cell
from adept_bench.results.timing import Timing


@dataclass(frozen=True)
class Pair:
    """One preset and suite: the cells are compared among themselves and with no others."""

    preset: str
    suite: str
    cells: list[Cell]
    compared: dict[str, Any] | None
    """`analysis.table.comparison`, None where it cannot be made."""
    shown: list[Shown]
    missing: list[str]
    """What could not be shown of it and why, a line each."""

    @property
    def title(self) -> str:
        """As tables and figures call it."""
        return f"{self.suite} on {self.preset}"

    @property
    def anchor(self) -> str:
        """The last part of its ids in the page; a name may hold what an id may not."""
        readable = "".join(one if one.isascii() and one.isalnum() else "-" for one in f"{self.preset}-{self.suite}")
        known = all(one.isascii() and (one.isalnum() or one == "-") for one in f"{self.preset}{self.suite}")
        return readable if known else f"{readable}-{f'{self.preset}/{self.suite}'.encode().hex()}"

    @cached_property
    def methods(self) -> list[str]:
        """In the order of all tables."""
        return methods_in_order(cell.method for cell in self.cells)

    @cached_property
    def seeds(self) -> list[int]:
        """All that occur."""
        return sorted({cell.seed for cell in self.cells})

    def of(self, method: str) -> list[Cell]:
        """The method's cells by seed."""
        return sorted((cell for cell in self.cells if cell.method == method), key=lambda cell: cell.seed)


@dataclass(frozen=True)
class File:
    """A result file that was read. `name` is relative to the results folder, `hash` the SHA-256 of its bytes."""

    name: str
    hash: str
    cell: Cell


@dataclass(frozen=True)
class Timed:
    """What `bench` measured on one device and shape. `files`: the places of its timings, with the SHA-256 of each."""

    title: str
    timings: list[Timing]
    files: dict[str, str]
    caption: str = ""
    image: Image | None = None


@dataclass(frozen=True)
class Material:
    """All of a report, before it is HTML."""

    pairs: list[Pair]
    files: list[File]
    claims: list[dict[str, Any]]
    missing: list[str]
    """What is missing beyond a pair: files that cannot be read, claims that cannot be evaluated."""
    faults: list[str] = field(default_factory=list)
    """Parts lost by an error that is none of the results', each also among what is missing."""
    timed: list[Timed] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each kind of work took; not in the page, which would never be the same twice."""

    @property
    def cells(self) -> list[Cell]:
        """Of all pairs."""
        return [cell for pair in self.pairs for cell in pair.cells]

    @property
    def date(self) -> str:
        """When the newest cell ended, as YYYY-MM-DD (UTC)."""
        return max(cell.provenance.ended for cell in self.cells)[:10]
