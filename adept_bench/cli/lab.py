"""`adept-bench lab`: the embedded world, made again from nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, Quiet
from adept_bench.cli.saying import say
from adept_bench.config.names import LARGEST_SEED

lab_app = typer.Typer(help="The embedded lab world: its text, tokenizer and base models.", no_args_is_help=True)


class Kind(StrEnum):
    """Which of the lab's base models."""

    base = "base"
    redundant = "redundant"


@lab_app.callback()
def _lab() -> None:
    """The embedded lab world: its text, tokenizer and base models."""


@lab_app.command("build")
def build_command(
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Seed of the base model.", metavar="N")
    ] = 0,
    output: Annotated[Path, typer.Option("--output", help="Folder to make it in.", metavar="DIR")] = Path("lab"),
    kind: Annotated[
        Kind, typer.Option("--kind", help="base, or redundant: late layers that matter little.")
    ] = Kind.base,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the lab world, its tokenizer and a base model again from nothing (minutes)."""
    from adept_bench.lab.build import build

    build(seed, output, kind.value)
    say(output)
