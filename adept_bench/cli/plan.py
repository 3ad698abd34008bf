"""`adept-bench plan`: what the cells of a run need, before anything is spent."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adept_bench.cli.options import (
    Debug,
    MethodsOption,
    OtherModelOption,
    PresetOption,
    Quiet,
    RatesOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    SuiteOption,
    split_integers,
    split_names,
)
from adept_bench.cli.saying import say
from adept_bench.cli.show import Format
from adept_bench.cluster.slurm import Runs, check_slurm, options_from, write_slurm
from adept_bench.errors import InputError
from adept_bench.progress import reporter
from adept_bench.stdout import print_json

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig
    from adept_bench.planning.devices import Device
    from adept_bench.planning.timing import Rate

WIDTH = 132


def plan_command(
    suite: SuiteOption,
    preset: PresetOption = None,
    model: OtherModelOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            help="Such as h100,a100-80, or cpu for this machine's. Default: all that are known; cpu for the lab.",
            metavar="NAME",
        ),
    ] = None,
    devices: Annotated[int, typer.Option("--devices", min=1, help="So many of the device, side by side.")] = 1,
    mfu: Annotated[
        float | None, typer.Option("--mfu", help="Share of the stated peak that is reached. Default 0.4.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time a few steps of full pretraining on this machine's processor first.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Predicted beside measured, for the stored results of suite and preset.")
    ] = False,
    slurm: Annotated[
        Path | None,
        typer.Option("--slurm", help="Write job arrays for Slurm there, a cell a task.", metavar="DIR"),
    ] = None,
    slurm_set: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm-set", help="Such as time=12:00:00, partition=P, gpus=4, select_lr=true.", metavar="KEY=VALUE"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --slurm: replace files that this command did not write.")
    ] = False,
    rates: RatesOption = "chosen",
    results: ResultsOption = Path("results"),
    settings: SetOption = None,
    format: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.table,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What each method needs: parameters, operations, memory, hours on devices. Nothing runs, no weights are read."""
    from adept_bench.config.loading import load_both, resolve
    from adept_bench.config.names import check_methods

    if mfu is not None and not 0 < mfu <= 1:
        raise InputError(f"--mfu: {mfu} is not a share; expected a number above 0 and up to 1 such as 0.4")
    if compare:
        given = {"--methods": methods, "--seeds": seeds, "--device": device, "--mfu": mfu, "--slurm": slurm}
        if idle := [name for name, value in given.items() if value is not None] + ["--measure"] * measure:
            raise InputError(f"--compare: takes every stored result of suite and preset; expected no {idle[0]}")
    loaded, on = load_both(suite, preset)
    names = loaded.methods
    if methods is not None:
        names = check_methods(split_names(methods) or [], "--methods", loaded.variants)
    numbers = split_integers(seeds, "--seeds")
    numbers = list(loaded.seeds) if numbers is None else numbers
    if slurm_set and slurm is None:
        raise InputError("--slurm-set: expected --slurm DIR too, which says where the jobs go")
    if slurm is not None:
        check_slurm(slurm, force)
    jobs = options_from(slurm_set or (), gpus=devices) if slurm is not None else None
    config = resolve(loaded, on, model=model, overrides=settings or ())
    variants = {
        name: (variant.of, resolve(loaded, on, model=model, overrides=settings or (), variant=name))
        for name, variant in loaded.variants.items()
        if name in names
    }

    from adept_bench.planning.devices import MFU, chosen
    from adept_bench.suite.rates import check_asked, parse_rates, tried

    asked = parse_rates(rates)
    check_asked(config, asked)
    of = {name: variant.of for name, variant in loaded.variants.items()}
    rates_of = {name: tried(config, asked, name, of.get(name)) for name in names}

    if compare:
        from adept_bench.planning.compare import compared
        from adept_bench.planning.compare import notes as compared_notes
        from adept_bench.planning.compare import tables as compared_tables

        found = compared(results, config.preset, config.suite)
        _print(found, compared_tables(found), compared_notes(found), format)
        return
    lab = config.model.source.startswith("lab:")
    picked = chosen(split_names(device), lab)
    if measure and not any(one.cpu for one in picked):
        raise InputError(
            f"--measure: times this machine's processor; expected cpu in --device, which has {_names(picked)}"
        )
    if mfu is not None and all(one.cpu for one in picked):
        raise InputError("--mfu: is of accelerators; expected one in --device, which has cpu alone")
    from adept_bench.planning.plan import make_plan
    from adept_bench.planning.render import notes, tables

    measured = _measured(config) if measure else None
    plan = make_plan(
        config,
        names,
        picked,
        seeds=numbers,
        count=devices,
        mfu=mfu or MFU,
        measured=measured,
        variants=variants,
        rates={name: len(tried) for name, tried in rates_of.items()},
    )
    _print(plan, tables(plan), notes(plan), format)
    if slurm is not None:
        runs = Runs(suite, names, numbers, results, preset, model, settings or (), config.selection.seed, rates_of)
        submit = write_slurm(runs, slurm, jobs, force)[-1]
        reporter().log(f"wrote the jobs of {plan['totals']['cells']} cells; `bash {submit}` submits them")


def _names(devices: Sequence[Device], most: int = 3) -> str:
    return ", ".join([one.name for one in devices[:most]] + ["..."] * (len(devices) > most))


def _measured(config: RunConfig) -> Rate:
    from adept_bench.planning.measuring import measured_rate

    return measured_rate(config)


def _print(value: dict[str, Any], found: Any, lines: list[str], format: Format) -> None:
    import json

    from adept_bench.planning.render import as_markdown, as_text

    if format is Format.json:
        print_json(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
    elif format is Format.markdown:
        say(as_markdown(found, lines))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
        say(as_text(found, lines, max(width, 100)))
