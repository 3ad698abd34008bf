"""`adept-bench show`: the comparison table of stored results."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adept_bench.cli.options import Debug, Quiet, ResultsOption
from adept_bench.cli.saying import say
from adept_bench.errors import InputError, unknown_name
from adept_bench.stdout import print_json

if TYPE_CHECKING:
    from adept_bench.results.schema import Cell


class Format(StrEnum):
    """How the table is written."""

    table = "table"
    json = "json"
    markdown = "markdown"


def show_command(
    results: ResultsOption = Path("results"),
    preset: Annotated[str | None, typer.Option("--preset", help="Only this preset.", metavar="P")] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="Only this suite.", metavar="S")] = None,
    format: Annotated[Format, typer.Option("--format", help="How the table is written.")] = Format.table,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The comparison table of stored results, with paired 95% intervals."""
    cells = _stored(results)
    for option, chosen, found in (
        ("--preset", preset, {cell.preset for cell in cells}),
        ("--suite", suite, {cell.suite for cell in cells if preset in (None, cell.preset)}),
    ):
        if chosen is not None and chosen not in found:
            raise unknown_name(option, f"{option[2:]} among the results", chosen, sorted(found))
    _print([cell for cell in cells if preset in (None, cell.preset) and suite in (None, cell.suite)], format.value)


def print_comparison(
    results: Path, *, presets: Sequence[str], suites: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> None:
    """Print the table of these cells, beside the stored `vanilla` and `full` that they are compared with.

    Prints nothing where none of them is stored.
    """
    from adept_bench.analysis.table import REFERENCES

    shown = {*methods, *REFERENCES}
    cells = [
        cell
        for cell in _stored(results, required=False)
        if cell.preset in presets and cell.suite in suites and cell.method in shown and cell.seed in seeds
    ]
    if cells:
        _print(cells, "table")


def _stored(results: Path, required: bool = True) -> list[Cell]:
    """Every readable cell; InputError where there is none, though `required`. Unreadable ones are named in the log."""
    from adept_bench.results.store import Store

    if required and not results.is_dir():
        raise InputError(f"--results: no folder {str(results)!r}; expected one that `adept-bench run` has written")
    cells = Store(results).load_all()
    if required and not cells:
        raise InputError(f"--results: no readable result in {str(results)!r}; expected PRESET/SUITE/METHOD-seedN.json")
    return cells


def _print(cells: Sequence[Cell], format: str) -> None:
    from adept_bench.analysis.render import WIDTH, as_json, as_markdown, as_text
    from adept_bench.analysis.table import comparisons

    tables = comparisons(cells)
    if format == "json":
        print_json(as_json(tables).rstrip("\n"))
        return
    if format == "markdown":
        text = as_markdown(tables)
    else:
        terminal = sys.stdout.isatty()
        text = as_text(tables, width=shutil.get_terminal_size().columns if terminal else WIDTH, colour=terminal)
    say(text.rstrip("\n"), styled=format == "table")
