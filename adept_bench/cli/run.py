"""`adept-bench run`: every cell of a suite that has no valid result yet, then the comparison table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import (
    BackendOption,
    Debug,
    FewshotOption,
    MethodsOption,
    OtherModelOption,
    PresetOption,
    Quiet,
    RatesOption,
    ResultsOption,
    SeedsOption,
    SetOption,
    SuiteOption,
    check_fewshot,
    split_integers,
    split_names,
    task_settings,
)


def run_command(
    suite: SuiteOption,
    preset: PresetOption = None,
    model: OtherModelOption = None,
    methods: MethodsOption = None,
    seeds: SeedsOption = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Worker processes. Default: one a core, or one a GPU.")
    ] = None,
    select_lr: Annotated[
        bool, typer.Option("--select-lr", help="Choose each method's learning rate again on validation data.")
    ] = False,
    rates: RatesOption = "chosen",
    results: ResultsOption = Path("results"),
    settings: SetOption = None,
    backend: BackendOption = None,
    fewshot: FewshotOption = None,
    force: Annotated[bool, typer.Option("--force", help="Run cells again that have a valid result.")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only measure what the cells share, and choose rates, for cells to come.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare methods: run every cell without a valid result, then print the table.

    After Ctrl-C or a kill the same command goes on. Under torchrun or accelerate launch (-m adept_bench run ...) the
    processes work on each cell together.
    """
    from adept_bench.distributed.group import gathered, group, start

    start()
    overrides = [*(settings or ()), *task_settings(backend, fewshot)]
    from adept_bench.config.loading import load_both, resolve
    from adept_bench.config.names import check_methods

    loaded, on = load_both(suite, preset)
    chosen = loaded.methods
    if methods is not None:
        chosen = check_methods(split_names(methods) or [], "--methods", loaded.variants)
    numbers = split_integers(seeds, "--seeds")
    numbers = list(loaded.seeds) if numbers is None else numbers
    config = resolve(loaded, on, model=model, overrides=overrides)
    check_fewshot(fewshot, config.tasks.asked, config.suite)
    variants = {
        name: (variant, resolve(loaded, on, model=model, overrides=overrides, variant=name))
        for name, variant in loaded.variants.items()
        if name in chosen
    }

    from adept_bench.models.folders import writing
    from adept_bench.suite import run_suite
    from adept_bench.suite.rates import parse_rates

    asked = parse_rates(rates)

    with writing(results, "--results"):
        failed = run_suite(
            config,
            methods=chosen,
            seeds=numbers,
            jobs=jobs,
            select_lr=select_lr,
            rates=asked,
            results=results,
            force=force,
            variants=variants,
            prepare=prepare,
        )

    if group().main and not prepare:
        from adept_bench.cli.show import print_comparison

        print_comparison(results, presets=[config.preset], suites=[config.suite], methods=chosen, seeds=numbers)
    gathered(None)  # the first process to end with an error takes the others along
    if failed:
        raise typer.Exit(1)
