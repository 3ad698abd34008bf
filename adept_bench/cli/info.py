"""`adept-bench list` and `adept-bench doctor`: what there is, and whether this machine can run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from adept_bench.cli.options import Debug, Quiet
from adept_bench.cli.saying import say
from adept_bench.errors import unknown_name


def list_command(
    what: Annotated[
        str | None,
        typer.Argument(help="suites, presets, methods, tasks or figures. Default: all of them.", show_default=False),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List what there is: suites, presets, methods, tasks, figures."""
    if what is not None and what not in _LISTS:
        raise unknown_name("list", "kind", what, _LISTS)
    for kind in [what] if what else _LISTS:
        entries = _LISTS[kind]()
        if what is None:
            say(f"{kind}:")
        width = max(map(len, entries), default=0)
        indent = "" if what else "  "
        for name, description in entries.items():
            say(f"{indent}{name:<{width}}  {description}".rstrip())


def _suites() -> dict[str, str]:
    from adept_bench.config.experiments import list_suites

    return list_suites()


def _presets() -> dict[str, str]:
    from adept_bench.config.experiments import list_presets

    return list_presets()


def _methods() -> dict[str, str]:
    from adept_bench.config.names import METHOD_NAMES
    from adept_bench.config.schema import MethodOptions
    from adept_bench.methods.registry import get

    return {name: get(name, MethodOptions()).summary for name in METHOD_NAMES}


def _tasks() -> dict[str, str]:
    from adept_bench.evaluation.tasks import names

    return dict.fromkeys(names(), "")


def _figures() -> dict[str, str]:
    from adept_bench.figures.registry import FIGURES

    cells = {name: f"{kind.title} ({kind.paper})" for name, kind in FIGURES.items()}
    return {**cells, "timing": "What bench measured, by device and shape (Tables 6, 7)"}


_LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "suites": _suites,
    "presets": _presets,
    "methods": _methods,
    "tasks": _tasks,
    "figures": _figures,
}


def doctor_command(
    preset: Annotated[
        str | None, typer.Option("--preset", help="Only this one: name or YAML file. Default: all that ship.")
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="Also ask whether the Hugging Face Hub answers.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what this machine has, and which presets it can run."""
    from adept_bench import doctor
    from adept_bench.config.experiments import load_preset

    if preset is not None:
        load_preset(preset)  # a wrong name is said before the machine is looked at
    machine = doctor.examine(online=online)
    for name, value in doctor.describe(machine):
        say(f"{name:<14}{value}")
    say("")
    for name, found in doctor.verdicts(machine, preset).items():
        say(f"preset {name}: {'cannot run here: ' + '; '.join(found.problems) if found.problems else 'can run here'}")
        if found.gpu:
            say(f"  {found.gpu}")
