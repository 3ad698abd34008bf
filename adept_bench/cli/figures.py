"""`adept-bench figures`: every figure and table that the stored results allow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adept_bench.cli.options import Debug, ForceOption, Quiet, ResultsOption, split_names, state
from adept_bench.cli.saying import say
from adept_bench.errors import InputError, unknown_name
from adept_bench.escapes import terminal
from adept_bench.outputs import check_folder

if TYPE_CHECKING:
    from adept_bench.figures.render import Outcome

FAILED = 1


def figures_command(
    results: ResultsOption = Path("results"),
    output: Annotated[Path, typer.Option("--output", help="Folder of the figures.", metavar="DIR")] = Path("figures"),
    only: Annotated[
        str | None, typer.Option("--only", help="Only these, by name; see `adept-bench list figures`.", metavar="NAME")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", help="Some of png, svg and pdf; the numbers always come as CSV.", metavar="F,F")
    ] = "png,svg",
    preset: Annotated[str | None, typer.Option("--preset", help="Only this preset.", metavar="P")] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="Only this suite.", metavar="S")] = None,
    force: ForceOption = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Render figures and tables from stored results: OUTPUT/PRESET/SUITE/NAME.png, .svg, .csv, and manifest.json.

    What cannot be rendered is named on stderr with what is missing. A file that would not change is not touched. Files
    that this program did not write, or that were changed since, are neither replaced nor removed.
    """
    formats = _formats(format)
    check_folder(output, [results])
    from adept_bench.figures import manifest

    manifest.read(output, force)  # what is wrong with it is said before the work
    from adept_bench.figures.collect import collect
    from adept_bench.figures.render import chosen, render
    from adept_bench.figures.timing import NAME, timing_figures
    from adept_bench.progress import reporter

    names = split_names(only)
    timed = timing_figures(results, formats) if not (preset or suite) and (names is None or NAME in names) else []
    if names is not None and timed:
        names = [name for name in names if name != NAME]
    outcomes = [] if timed and names == [] else render(collect(results, preset, suite), chosen(names), formats)
    exported = [outcome.exported for outcome in outcomes if outcome.exported] + timed
    missing = [outcome for outcome in outcomes if not outcome.exported]
    if not exported:
        raise InputError(f"figures: nothing can be shown from {str(results)!r}: {_reasons(missing)[0]}")
    for line in _reasons(missing):
        reporter().log(f"not rendered: {line}")
    reasons = {f"{outcome.place}/{outcome.name}": outcome.reason for outcome in missing}
    everything = only is None and preset is None and suite is None
    try:
        _, removed = manifest.update(output, exported, reasons, everything, force)
    except OSError as error:
        raise InputError(f"--output: {error.filename or output} cannot be written: {error.strerror}") from None
    for one in exported:
        shown = [name for name in one.files if name.endswith(tuple(formats))] or list(one.files)
        count = len(one.sources)
        say(f"{output / one.place / shown[0]}  {count} result file{'' if count == 1 else 's'}")
    for name in removed:
        reporter().log(f"removed {output / name}: not what the results give any more")
    if faults := [outcome for outcome in missing if outcome.trace]:
        if state.debug:
            print(terminal("\n".join(outcome.trace for outcome in faults)), file=sys.stderr)
        raise typer.Exit(FAILED)


def _formats(value: str) -> tuple[str, ...]:
    from adept_bench.figures.export import FORMATS

    names = split_names(value) or []
    for name in names:
        if name not in FORMATS:
            raise unknown_name("--format", "format", name, FORMATS)
    if not names:
        raise InputError(f"--format: no format in {value!r}; expected some of: {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in names)


def _reasons(missing: Sequence[Outcome]) -> list[str]:
    """A line for each pair and reason: what could not be rendered, and what is missing."""
    found: dict[tuple[str, str], list[str]] = {}
    for outcome in missing:
        reason = outcome.reason.removeprefix(f"{outcome.name}: ")
        found.setdefault((outcome.place, reason), []).append(outcome.name)
    return [f"{', '.join(names)} of {place}: {reason}" for (place, reason), names in found.items()]
