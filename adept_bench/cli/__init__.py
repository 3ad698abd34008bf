"""The commands. These modules import nothing heavy: `--help` answers at once, work is imported inside commands."""

from __future__ import annotations

import typer

from adept_bench.cli.evaluate import eval_command
from adept_bench.cli.expand import expand_command
from adept_bench.cli.info import doctor_command, list_command
from adept_bench.cli.lab import lab_app
from adept_bench.cli.options import DebugFirst, QuietFirst, Version
from adept_bench.cli.probe import probe_app
from adept_bench.cli.run import run_command
from adept_bench.cli.show import show_command

app = typer.Typer(
    name="adept-bench",
    help="Check claims about continual pretraining: ADEPT beside its baselines, under one protocol.",
    epilog="A first run: adept-bench run --suite medical",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help pages: importing rich for them would take longer than all the rest
)


@app.callback()
def _root(quiet: QuietFirst = False, debug: DebugFirst = False, version: Version = False) -> None:
    pass


app.command("run", short_help="Compare methods: run what has no result yet.")(run_command)
app.command("show", short_help="The comparison table of stored results.")(show_command)
app.command("eval", short_help="Evaluate a model on a suite, as JSON.")(eval_command)
app.add_typer(probe_app, name="probe", short_help="How much each layer or unit matters.")
app.command("expand", short_help="Insert copies of layers into a model.")(expand_command)
app.command("list", short_help="List suites, presets, methods, tasks.")(list_command)
app.command("doctor", short_help="Whether this machine can run the presets.")(doctor_command)
app.add_typer(lab_app, name="lab", short_help="Make the embedded lab world again.")
