"""`adept-bench claims`: the paper's claims beside what the stored results show."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adept_bench.cli.options import Debug, Quiet, ResultsOption
from adept_bench.cli.saying import say
from adept_bench.cli.show import Format
from adept_bench.errors import InputError, unknown_name
from adept_bench.stdout import print_json


def claims_command(
    results: ResultsOption = Path("results"),
    preset: Annotated[str | None, typer.Option("--preset", help="Only this preset.", metavar="P")] = None,
    power: Annotated[
        bool, typer.Option("--power", help="Instead: the smallest effect each claim could see with 3, 5, 10 seeds.")
    ] = False,
    format: Annotated[Format, typer.Option("--format", help="How the ledger is written.")] = Format.table,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Each claim of the paper beside what the stored results show: estimate, 95% interval, verdict (docs/claims.md)."""
    text = _power(results, preset, format) if power else _verdicts(results, preset, format)
    if format is Format.json:
        print_json(text)
    else:
        say(text.rstrip("\n"), styled=format is Format.table)


def _verdicts(results: Path, preset: str | None, format: Format) -> str:
    from adept_bench.results.store import Store
    from adept_bench.results.timing import load_timings

    if not results.is_dir():
        raise InputError(f"--results: no folder {str(results)!r}; expected one that `adept-bench run` has written")
    cells = Store(results).load_all(paths=True)
    timings = load_timings(results) if preset is None else {}
    if not cells and not timings:
        raise InputError(f"--results: no readable result in {str(results)!r}; expected PRESET/SUITE/METHOD-seedN.json")
    found = sorted({cell.preset for cell in cells})
    if preset is not None and preset not in found:
        raise unknown_name("--preset", "preset among the results", preset, found)

    from adept_bench.claims import as_json, as_markdown, as_text, evaluate, evaluate_timings

    rows = evaluate([cell for cell in cells if preset in (None, cell.preset)]) + evaluate_timings(timings)
    if format is Format.json:
        return as_json(rows)
    return as_markdown(rows) if format is Format.markdown else as_text(rows, **_terminal())


def _power(results: Path, preset: str | None, format: Format) -> str:
    """Of stored results as far as there are any; without them, or of a preset that has none, of assumptions."""
    from adept_bench.config.experiments import preset_names
    from adept_bench.results.store import Store

    cells = Store(results).load_all(preset, paths=True) if results.is_dir() else []
    presets = sorted({cell.preset for cell in cells}) or [preset or "a preset without results"]
    if preset is not None and not cells and preset not in preset_names():
        raise unknown_name("--preset", "preset", preset, preset_names())

    from adept_bench.claims import plan_power, power_as_json, power_as_markdown, power_as_text

    planned = plan_power(cells, presets)
    if format is Format.json:
        return power_as_json(planned)
    return power_as_markdown(planned) if format is Format.markdown else power_as_text(planned, **_terminal())


def _terminal() -> dict[str, Any]:
    terminal = sys.stdout.isatty()
    return {"width": shutil.get_terminal_size().columns if terminal else None, "colour": terminal}
