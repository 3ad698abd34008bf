"""Job arrays for Slurm: one cell a task, after what the cells share; each task is an ordinary `adept-bench run`.

Nothing here talks to Slurm. `submit.sh` does, and submitting it again does what is missing: a finished cell is kept by
`run` and an interrupted one goes on from its checkpoint.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError, unknown_name
from adept_bench.files import write_whole
from adept_bench.outputs import check_file, check_folder, starts_with

TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")  # minutes, hours:minutes:seconds, days-hours and the like (man sbatch)
NAME = re.compile(r"[\w.,@+-]+")
STAGES = ("base", "rates", "cells")
_SUBMITS = "# submits the arrays, each after the one before it has succeeded"
_OURS = {
    "tasks": starts_with("--methods "),
    "sbatch": starts_with("#SBATCH --job-name=adept-"),
    "submit": starts_with(_SUBMITS),
}


@dataclass(frozen=True)
class SlurmOptions:
    """What a task asks of the cluster. `gpus`: of each of `nodes` machines; 0 for the CPU.

    `processes`: that work on a cell together on each machine; by default one a GPU. `at_once`: tasks of an array that
    may run side by side. `setup`: a line of shell before the work, such as the activation of an environment.
    `select_lr`: learning rates are chosen before the cells, as `run --select-lr` does.
    """

    gpus: int = 1
    nodes: int = 1
    processes: int | None = None
    cpus: int = 8
    time: str = "24:00:00"
    partition: str | None = None
    account: str | None = None
    memory: str | None = None
    at_once: int | None = None
    setup: str | None = None
    select_lr: bool = False

    def check(self) -> None:
        """Raises InputError for a value that sbatch would refuse."""
        for name, least in (("gpus", 0), ("nodes", 1), ("processes", 1), ("cpus", 1), ("at_once", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"--slurm-set {name}: {value}; expected a whole number from {least}")
        if not TIME.fullmatch(self.time):
            raise InputError(f"--slurm-set time: {self.time!r}; expected minutes, HH:MM:SS or D-HH:MM:SS")
        for name in ("partition", "account", "memory"):
            value = getattr(self, name)
            if value is not None and not NAME.fullmatch(value):
                raise InputError(f"--slurm-set {name}: {value!r}; expected one word")
        if self.setup is not None and "\n" in self.setup:
            raise InputError("--slurm-set setup: several lines; expected one, such as 'source venv/bin/activate'")

    @property
    def together(self) -> int:
        """Processes on each machine."""
        return self.processes or max(1, self.gpus)


def options_from(pairs: Sequence[str], gpus: int) -> SlurmOptions:
    """`SlurmOptions` of KEY=VALUE texts, `gpus` where they say nothing of it. Raises InputError for any other text."""
    kinds = {field.name: str(field.type) for field in fields(SlurmOptions)}
    values: dict[str, Any] = {"gpus": gpus}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--slurm-set: {pair!r} is not valid; expected KEY=VALUE such as time=12:00:00")
        if name not in kinds:
            raise unknown_name("--slurm-set", "option", name, kinds)
        if kinds[name].startswith("int"):
            if not text.isdecimal():
                raise InputError(f"--slurm-set {name}: {text!r}; expected a whole number")
            values[name] = int(text)
        elif kinds[name] == "bool":
            if text not in ("true", "false"):
                raise InputError(f"--slurm-set {name}: {text!r}; expected true or false")
            values[name] = text == "true"
        else:
            values[name] = text
    found = SlurmOptions(**values)
    found.check()
    return found


@dataclass(frozen=True)
class Runs:
    """The runs that are spread over tasks: options of `adept-bench run`, as given there.

    `rates`: by method, the learning rates of its path; none for the chosen one alone.
    """

    suite: str
    methods: Sequence[str]
    seeds: Sequence[int]
    results: Path
    preset: str | None = None
    model: str | None = None
    settings: Sequence[str] = ()
    selection_seed: int = 0
    rates: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """A line of options a cell."""
        return [
            f"--methods {name} --seeds {seed}" + (f" --rates {rate:g}" if rate else "")
            for seed in self.seeds
            for name in self.methods
            for rate in self.rates.get(name) or [0.0]
        ]

    @property
    def options(self) -> list[str]:
        """What all tasks share."""
        suite = str(Path(self.suite).resolve()) if Path(self.suite).is_file() else self.suite
        named = {"--preset": self.preset, "--model": self.model}
        options = ["--suite", suite, "--results", str(self.results.resolve())]
        options += [part for name, value in named.items() if value is not None for part in (name, value)]
        return options + [part for setting in self.settings for part in ("--set", setting)]


def check_slurm(folder: Path, force: bool = False) -> None:
    """Raise InputError where job files could not be written to `folder`, or would replace others (unless `force`)."""
    check_folder(folder, option="--slurm")
    names = {f"{stage}.{kind}": _OURS[kind] for stage in STAGES for kind in ("tasks", "sbatch")}
    for name, ours in (names | {"submit.sh": _OURS["submit"]}).items():
        check_file(folder / name, ours, force=force, option="--slurm")
    check_folder(folder / "logs", option="--slurm")


def write_slurm(runs: Runs, folder: Path, options: SlurmOptions | None = None, force: bool = False) -> list[Path]:
    """Write task lists, job scripts and `submit.sh` to `folder`; returns their paths, `submit.sh` last.

    - base: an array of a task a seed, that measures what the seed's cells share (`run --prepare`).
    - rates, with `options.select_lr`: after it, an array of a task a method, that chooses the method's learning rate.
    - cells: after those, an array of a task a cell.
    Raises InputError for an option that sbatch would refuse, where there is no cell, and as `check_slurm` does.
    """
    options = options or SlurmOptions()
    options.check()
    if not runs.methods or not runs.seeds:
        raise InputError("--slurm: there is no cell to run; expected at least one method and one seed")
    folder = folder.resolve()
    check_slurm(folder, force)
    methods = ",".join(runs.methods)
    trained = [name for name in runs.methods if name != "vanilla"]
    stages = {"base": [f"--prepare --methods {methods} --seeds {seed}" for seed in runs.seeds]}
    if options.select_lr and trained:
        if runs.selection_seed not in runs.seeds:
            stages["base"].append(f"--prepare --methods {methods} --seeds {runs.selection_seed}")
        asked = f"--prepare --select-lr --seeds {runs.selection_seed}"
        stages["rates"] = [f"{asked} --methods {name}" for name in trained]
    stages["cells"] = runs.cells()
    written = []
    for stage, tasks in stages.items():
        for path, content in (
            (folder / f"{stage}.tasks", "\n".join(tasks) + "\n"),
            (folder / f"{stage}.sbatch", _script(stage, len(tasks), runs, folder, options)),
        ):
            write_whole(path, content)
            written.append(path)
    (folder / "logs").mkdir(exist_ok=True)
    submit = folder / "submit.sh"
    write_whole(submit, _submit(list(stages), folder))
    return [*written, submit]


def _script(stage: str, tasks: int, runs: Runs, folder: Path, options: SlurmOptions) -> str:
    """The sbatch script of one array. Run by hand, `SLURM_ARRAY_TASK_ID=0 bash cells.sbatch` does its first task."""
    at_once = f"%{options.at_once}" if options.at_once else ""
    asked = {
        "job-name": f"adept-{stage}",
        "array": f"0-{tasks - 1}{at_once}",
        "nodes": options.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": options.cpus,
        "gpus-per-node": options.gpus or None,
        "time": options.time,
        "partition": options.partition,
        "account": options.account,
        "mem": options.memory,
        "output": f"{folder}/logs/%x-%A_%a.log",
        "open-mode": "append",
    }
    header = [f"#SBATCH --{name}={value}" for name, value in asked.items() if value is not None]
    quoted = " ".join(map(shlex.quote, runs.options))
    lines = [
        "#!/usr/bin/env bash",
        *header,
        "#SBATCH --requeue",
        "set -euo pipefail",
        f"cd {shlex.quote(str(Path.cwd()))}",
        *([options.setup] if options.setup else []),
        f'task=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(folder / f"{stage}.tasks"))})',
        '[ -n "$task" ] || { echo "no task $SLURM_ARRAY_TASK_ID" >&2; exit 2; }',
        "# outside Slurm the same script runs its task here",
        'step() { if command -v srun > /dev/null; then srun "$@"; else "$@"; fi; }',
        *_launch(options),
        f'step "${{launch[@]}}" -m adept_bench run {quoted} $task',
    ]
    return "\n".join(lines) + "\n"


def _launch(options: SlurmOptions) -> list[str]:
    """Lines that set `launch`: python, or torchrun once a machine where several processes work on a cell."""
    python = shlex.quote(sys.executable)
    if options.nodes == 1 and options.together == 1:
        return [f"launch=({python})"]
    torchrun = f"{python} -m torch.distributed.run --nproc_per_node={options.together}"
    if options.nodes == 1:
        return [f"launch=({torchrun} --standalone)"]
    return [
        'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "meet=$head:$((20000 + SLURM_JOB_ID % 20000))",
        f"meeting=(--nnodes={options.nodes} --rdzv_id=$SLURM_JOB_ID --rdzv_backend=c10d --rdzv_endpoint=$meet)",
        f'launch=({torchrun} "${{meeting[@]}}")',
    ]


def _submit(stages: Sequence[str], folder: Path) -> str:
    lines = [
        "#!/usr/bin/env bash",
        _SUBMITS,
        "set -euo pipefail",
    ]
    after = ""
    for stage in stages:
        script = shlex.quote(str(folder / f"{stage}.sbatch"))
        lines.append(f"{stage}=$(sbatch --parsable {after}{script})")
        lines.append(f'echo "{stage}: job ${{{stage}%%;*}}"')
        after = f'--kill-on-invalid-dep=yes --dependency="afterok:${{{stage}%%;*}}" '
    return "\n".join(lines) + "\n"
