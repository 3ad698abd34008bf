"""`adept-bench bench`: step time, memory, probing and refreshes of methods, on random weights of a model's shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, ForceOption, Quiet, ResultsOption, SetOption, split_names
from adept_bench.cli.saying import say
from adept_bench.errors import InputError
from adept_bench.outputs import TIMING, check_file, check_folder

METHODS = "full,llama-pro,lora,frozen,adept"


def bench_command(
    preset: Annotated[
        str,
        typer.Option("--preset", help="Shape, batch and precision: such as qwen3-1.7b, qwen3-8b, lab.", metavar="P"),
    ] = "lab",
    suite: Annotated[
        str, typer.Option("--suite", help="Whose settings, beside the preset's.", metavar="S")
    ] = "medical",
    methods: Annotated[str, typer.Option("--methods", help="Which to time.", metavar="A,B")] = METHODS,
    steps: Annotated[int, typer.Option("--steps", min=2, help="Timed steps.")] = 20,
    warmup: Annotated[int, typer.Option("--warmup", min=1, help="Steps before them.")] = 5,
    results: ResultsOption = Path("results"),
    settings: SetOption = None,
    force: ForceOption = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time methods on a model of the preset's shape with random weights: no weights or data are fetched.

    Writes RESULTS/timing/DEVICE/SHAPE-METHOD.json. Run it on a machine that does nothing else.
    """
    from adept_bench.config.loading import resolve
    from adept_bench.config.names import check_methods

    check_folder(results, option="--results")
    chosen = check_methods(split_names(methods) or [], "--methods")
    if "vanilla" in chosen:
        raise InputError("--methods: vanilla trains nothing; expected methods that train")
    config = resolve(suite, preset, overrides=settings or ())
    if config.training.packing != "blocks":
        raise InputError(
            f"training.packing: {config.training.packing} cannot be timed, as random tokens are no documents; "
            "expected blocks (--set training.packing=blocks)"
        )

    from adept_bench.methods.registry import get
    from adept_bench.planning.architectures import config_of, known_as
    from adept_bench.planning.devices import known_device
    from adept_bench.progress import reporter
    from adept_bench.results.timing import timing_path
    from adept_bench.shortage import OutOfMemory
    from adept_bench.suite.machine import device, device_name, threads
    from adept_bench.suite.workers import release
    from adept_bench.timing.harness import store, time_method
    from adept_bench.training.optimizers import check_hardware

    check_hardware(config)
    if device() == "cpu":
        import torch

        torch.set_num_threads(threads())
        reporter().log("no GPU here: timing on the processor, which says nothing of the paper's scale")
    architecture, source = config_of(config.model)
    reporter().log(f"{config.model.source}: {source}; random weights on {device_name()}")
    shape, failed = known_as(config.model.source) or config.preset, False
    for name in chosen:
        place = timing_path(results, device_name(), shape, name)
        check_folder(place.parent, option="--results")
        check_file(place, TIMING, force=force, option="--results")
    for name in chosen:
        try:
            found = time_method(
                get(name, config.options), config, architecture, shape, steps, warmup, known_device(device_name())
            )
        except OutOfMemory as error:
            reporter().log(f"FAILED {name}: {error}")
            failed = True
            continue
        finally:
            release()  # what is left of a model would count as the next one's memory
        path = store(results, found)
        say(f"{path}  {summary(found)}")
    if failed:
        raise typer.Exit(1)


def summary(found: dict[str, object]) -> str:
    """A line: median step, tokens a second, share of the stated peak, memory, refresh."""
    from adept_bench.results.timing import TIMING_VERSION, Timing
    from adept_bench.timing.numbers import numbers

    timing = Timing.model_validate_json(json.dumps({"schema_version": TIMING_VERSION, **found}))
    shown = numbers(timing)
    peak = "" if shown.share_of_peak is None else f", {shown.share_of_peak:.0%} of the peak"
    refresh = f", refresh {shown.refresh:.3g} s" if shown.refresh is not None else ""
    return (
        f"{shown.step:.4g} s a step ({shown.low:.4g} to {shown.high:.4g}), "
        f"{shown.tokens_per_second:,.0f} tokens/s{peak}, {timing.peak_memory_bytes / 2**30:.2f} GiB{refresh}"
    )
