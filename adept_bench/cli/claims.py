"""`adept-bench claims`: the paper's claims beside what the stored results show."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, Quiet, ResultsOption
from adept_bench.cli.show import Format
from adept_bench.errors import InputError, unknown_name


def claims_command(
    results: ResultsOption = Path("results"),
    preset: Annotated[str | None, typer.Option("--preset", help="Only this preset.", metavar="P")] = None,
    format: Annotated[Format, typer.Option("--format", help="How the ledger is written.")] = Format.table,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Each claim of the paper beside what the stored results show: estimate, 95% interval, verdict (docs/claims.md)."""
    from adept_bench.results.store import Store
    from adept_bench.results.timing import load_timings

    if not results.is_dir():
        raise InputError(f"--results: no folder {str(results)!r}; expected one that `adept-bench run` has written")
    cells = Store(results).load_all()
    timings = load_timings(results) if preset is None else {}
    if not cells and not timings:
        raise InputError(f"--results: no readable result in {str(results)!r}; expected PRESET/SUITE/METHOD-seedN.json")
    found = sorted({cell.preset for cell in cells})
    if preset is not None and preset not in found:
        raise unknown_name("--preset", "preset among the results", preset, found)

    from adept_bench.claims import as_json, as_markdown, as_text, evaluate, evaluate_timings

    rows = evaluate([cell for cell in cells if preset in (None, cell.preset)]) + evaluate_timings(timings)
    if format is Format.json:
        text = as_json(rows)
    elif format is Format.markdown:
        text = as_markdown(rows)
    else:
        terminal = sys.stdout.isatty()
        text = as_text(rows, width=shutil.get_terminal_size().columns if terminal else None, colour=terminal)
    typer.echo(text.rstrip("\n"))
