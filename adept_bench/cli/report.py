"""`adept-bench report`: stored results as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, ForceOption, Quiet, ResultsOption
from adept_bench.outputs import REPORT, FileOutput

FAILED = 1  # the page is written, and names what an error of ours has cost it


def report_command(
    output: Annotated[Path, typer.Option("--output", help="The HTML file to write.", metavar="FILE.html")],
    results: ResultsOption = Path("results"),
    preset: Annotated[str | None, typer.Option("--preset", help="Only this preset.", metavar="P")] = None,
    force: ForceOption = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """One self-contained HTML page of stored results: tables, figures, claims, certificates, protocol, provenance."""
    target = FileOutput(output, REPORT, force, [results])
    target.check()
    import time

    from adept_bench.progress import reporter
    from adept_bench.report.gather import gather
    from adept_bench.report.page import page

    begun = time.perf_counter()
    material = gather(results, preset)
    text = page(material)
    target.write(text)
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in material.seconds.items())
    reporter().log(
        f"wrote {output}: {len(text.encode()) / 1e6:.1f} MB from {len(material.files)} results in "
        f"{time.perf_counter() - begun:.1f} s ({took})"
    )
    if material.faults:
        raise typer.Exit(FAILED)
