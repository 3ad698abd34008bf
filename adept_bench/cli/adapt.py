"""`adept-bench adapt`: a method on a user's own model and text, outside any suite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, ModelOption, Quiet, RevisionOption, SetOption
from adept_bench.cli.saying import say
from adept_bench.config.names import LARGEST_SEED
from adept_bench.errors import InputError


def adapt_command(
    model: ModelOption,
    corpus: Annotated[str, typer.Option("--corpus", help="Text to adapt to.", metavar="F")],
    output: Annotated[
        Path, typer.Option("--output", help="New or empty folder for the adapted checkpoint.", metavar="DIR")
    ],
    probe_corpus: Annotated[
        str | None, typer.Option("--probe-corpus", help="Text of general competence.", metavar="G")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="A method of `adept-bench list methods`.")] = "adept",
    k: Annotated[
        str | None, typer.Option("--k", help="Layers to copy or train, or auto. Default: what --budget allows.")
    ] = None,
    budget: Annotated[float, typer.Option("--budget", help="Share of the parameters that may train.")] = 0.15,
    time_budget: Annotated[
        float | None,
        typer.Option("--time-budget", help="With --k auto: training operations, as a share of full pretraining's."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Default: from the width.")] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Order of the text, and of random choices.")
    ] = 0,
    revision: RevisionOption = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    settings: SetOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Adapt your own model to your own text; the output loads in plain transformers.

    Interrupted, the same command goes on. Losses before and after are of documents held out of training.
    """
    copies = _k(k)
    if learning_rate is not None and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise InputError(f"--learning-rate: {learning_rate:g} is not valid; expected a number above 0")
    if time_budget is not None and not (math.isfinite(time_budget) and time_budget > 0):
        raise InputError(f"--time-budget: {time_budget:g} is not valid; expected a share above 0 such as 0.5")
    if time_budget is not None and copies != "auto":
        raise InputError(f"--time-budget: {time_budget:g} is only used with --k auto; add it or leave this out")

    from adept_bench.adapt.run import adapt
    from adept_bench.adapt.summary import lines

    summary = adapt(
        model,
        corpus,
        output,
        probe_corpus=probe_corpus,
        method=method,
        k=copies,
        budget=budget,
        time_budget=time_budget,
        learning_rate=learning_rate,
        seed=seed,
        revision=revision,
        trust_remote_code=trust_remote_code,
        overrides=settings or (),
    )
    for line in lines(summary):
        say(line)
    say(f"model: {output}")


def _k(value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if not (value.isascii() and value.isdigit()) or int(value) < 1:
        raise InputError(f"--k: {value!r} is not valid; expected a whole number from 1, or auto")
    return int(value)
