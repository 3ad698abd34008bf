"""The commands. These modules import nothing heavy: `--help` answers at once, work is imported inside commands."""

from __future__ import annotations

import typer

from adept_bench.cli.adapt import adapt_command
from adept_bench.cli.bench import bench_command
from adept_bench.cli.claims import claims_command
from adept_bench.cli.evaluate import eval_command
from adept_bench.cli.expand import expand_command
from adept_bench.cli.figures import figures_command
from adept_bench.cli.info import doctor_command, list_command
from adept_bench.cli.lab import lab_app
from adept_bench.cli.merge import merge_command
from adept_bench.cli.options import DebugFirst, QuietFirst, Version, state
from adept_bench.cli.plan import plan_command
from adept_bench.cli.probe import probe_app
from adept_bench.cli.report import report_command
from adept_bench.cli.run import run_command
from adept_bench.cli.show import show_command
from adept_bench.distributed.group import launched
from adept_bench.errors import InputError

TOGETHER = ("run",)  # commands that the processes of a launcher work on together

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
def _root(
    context: typer.Context, quiet: QuietFirst = False, debug: DebugFirst = False, version: Version = False
) -> None:
    state.command = context.invoked_subcommand
    processes = launched().size
    if processes > 1 and context.invoked_subcommand not in TOGETHER:
        raise InputError(
            f"{context.invoked_subcommand}: started in {processes} processes; expected one, as only "
            f"{', '.join(TOGETHER)} shares its work out under torchrun or accelerate launch"
        )


app.command("run", short_help="Compare methods: run what has no result yet.")(run_command)
app.command("plan", short_help="Parameters, memory, FLOPs, hours: before running.")(plan_command)
app.command("show", short_help="The comparison table of stored results.")(show_command)
app.command("claims", short_help="The paper's claims beside the stored results.")(claims_command)
app.command("report", short_help="One HTML page of stored results.")(report_command)
app.command("figures", short_help="Every figure the stored results allow.")(figures_command)
app.command("eval", short_help="Evaluate a model on a suite, as JSON.")(eval_command)
app.add_typer(probe_app, name="probe", short_help="How much each layer or unit matters.")
app.command("adapt", short_help="A method on your own model and text.")(adapt_command)
app.command("expand", short_help="Insert copies of layers into a model.")(expand_command)
app.command("merge", short_help="Adapted models of several domains into one.")(merge_command)
app.command("list", short_help="List suites, presets, methods, tasks, figures.")(list_command)
app.command("bench", short_help="Time methods on random weights of a shape.")(bench_command)
app.command("doctor", short_help="Whether this machine can run the presets.")(doctor_command)
app.add_typer(lab_app, name="lab", short_help="Make the embedded lab world again.")
