"""`adept-bench merge`: two or more domains' adapted models of one base into one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, Quiet, split_names
from adept_bench.cli.saying import say
from adept_bench.errors import InputError


def merge_command(
    models: Annotated[str, typer.Option("--models", help="Adapted checkpoints of one base.", metavar="A,B")],
    output: Annotated[Path, typer.Option("--output", help="New or empty folder for the merged model.", metavar="DIR")],
    weights: Annotated[
        str | None, typer.Option("--weights", help="One a model, such as 0.5,0.5. Default: equal.", metavar="W,V")
    ] = None,
    corpora: Annotated[
        str | None,
        typer.Option("--corpora", help="Texts to measure each model and the merged one on.", metavar="F,G"),
    ] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the models' own code.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merge adapted models: copies of the same layer are averaged, others are kept beside each other."""
    folders = split_names(models) or []
    shares = None if weights is None else [_number(part) for part in split_names(weights) or []]

    from adept_bench.adapt.merged import merge_checkpoints

    for line in merge_checkpoints(
        folders, output, weights=shares, corpora=split_names(corpora) or [], trust_remote_code=trust_remote_code
    ):
        say(line)
    say(f"model: {output}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--weights: {text!r} is not a number; expected such as 0.5,0.5") from None
