"""Stored cells for figures: read once, by (preset, suite), each with the file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adept_bench.analysis.protocol import label
from adept_bench.errors import InputError, unknown_name
from adept_bench.files import file_hash
from adept_bench.results.schema import Cell
from adept_bench.results.store import Store


@dataclass(frozen=True)
class Pair:
    """The cells of one preset and suite; figures are drawn from one pair and never from several."""

    preset: str
    suite: str
    cells: Sequence[Cell]
    hashes: dict[str, str]
    """SHA-256 of each result file, by `source` name."""

    @property
    def place(self) -> str:
        """ "preset/suite", as folders are named."""
        return f"{self.preset}/{self.suite}"


def source(cell: Cell) -> str:
    """The cell's file below the results folder: "preset/suite/method-seed0.json"."""
    return f"{label(cell)}.json"


def collect(results: Path, preset: str | None = None, suite: str | None = None) -> list[Pair]:
    """Every readable cell below `results`, of all learning rates, by (preset, suite) in order of name.

    Damaged files are named in the log.
    Raises InputError where there is no folder or no readable result, and where no result has the preset or suite asked
    for.
    """
    if not results.is_dir():
        raise InputError(f"--results: no folder {str(results)!r}; expected one that `adept-bench run` has written")
    store = Store(results)
    cells = store.load_all(paths=True)
    if not cells:
        raise InputError(f"--results: no readable result in {str(results)!r}; expected PRESET/SUITE/METHOD-seedN.json")
    for option, chosen, found in (
        ("--preset", preset, {cell.preset for cell in cells}),
        ("--suite", suite, {cell.suite for cell in cells if preset in (None, cell.preset)}),
    ):
        if chosen is not None and chosen not in found:
            raise unknown_name(option, f"{option[2:]} among the results", chosen, sorted(found))
    keys = sorted({(cell.preset, cell.suite) for cell in cells})
    return [
        _pair(store, [cell for cell in cells if (cell.preset, cell.suite) == key])
        for key in keys
        if preset in (None, key[0]) and suite in (None, key[1])
    ]


def _pair(store: Store, cells: list[Cell]) -> Pair:
    hashes = {source(cell): file_hash(store.place(cell)) for cell in cells}
    return Pair(cells[0].preset, cells[0].suite, cells, hashes)
