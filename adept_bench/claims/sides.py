"""The cells of one (preset, suite) by method, as measures take them: in pairs, in order, one a base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adept_bench.analysis.paths import Path
from adept_bench.analysis.protocol import pair_seeds
from adept_bench.claims.ledger import Measure
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

Sides = Mapping[str, Sequence[Cell]]
ONE_SEED = "one seed: nothing is known of the spread over seeds"
ONE_CLUSTER = "all items of a task are of one cluster: nothing is known of others"


class Whole(dict[str, Sequence[Cell]]):
    """Cells of all rates by method, with the paths made of them: one path is compared with many others."""

    def __init__(self, cells: Sides) -> None:
        super().__init__(cells)
        self.paths: dict[tuple[str, bool], Path] = {}
        """By method, and whether seeds that have only some rates belong to it."""


def side(sides: Sides, method: str) -> tuple[Cell, ...]:
    """The method's cells by seed."""
    return tuple(sorted(sides[method], key=lambda cell: cell.seed))


def seeds_of(cells: Sequence[Cell]) -> tuple[int, ...]:
    """Their seeds, in their order."""
    return tuple(cell.seed for cell in cells)


def pairs_of(sides: Sides, measure: Measure) -> list[tuple[Cell, Cell]]:
    """(the method's cell, the reference's) for each seed that both have."""
    mine, other = sides[measure.method], sides[measure.reference or ""]
    pairs = pair_seeds(mine, other)
    if not pairs:
        raise InputError(f"{measure.method} and {measure.reference}: no seed in common")
    return pairs


def one_a_base(cells: Sequence[Cell]) -> list[Cell]:
    """The first cell of each base model: seeds that share a base say the same of it."""
    found: dict[object, Cell] = {}
    for cell in cells:
        found.setdefault(cell.model.hash or (cell.model.source, cell.model.revision), cell)
    return list(found.values())
