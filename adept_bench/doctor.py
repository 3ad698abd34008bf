"""What a machine has, beside what the presets need."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.config.schema import Preset

GIB = 2**30
HUB = "https://huggingface.co"  # unless $HF_ENDPOINT names a mirror, as for the Hub's own client


@dataclass(frozen=True)
class Machine:
    """What `examine` found. Sizes in GiB."""

    versions: dict[str, str | None]  # library to version, None where it is missing
    cores: int
    memory: float
    memory_free: float
    disk_free: float  # where the current folder is
    gpus: tuple[tuple[str, float], ...]  # name and memory of each
    lab_files: tuple[str, ...]  # the lab's shipped weights
    hub: bool | None  # whether the Hub answers, None where it was not asked


def examine(*, online: bool = False) -> Machine:
    """Look at this machine; with `online`, ask the Hugging Face Hub for a sign of life too."""
    import psutil

    from adept_bench import lab
    from adept_bench.suite.machine import cores, library_versions

    memory = psutil.virtual_memory()
    folder = Path(lab.__file__).parent
    return Machine(
        versions=library_versions(),
        cores=cores(),
        memory=memory.total / GIB,
        memory_free=memory.available / GIB,
        disk_free=shutil.disk_usage(".").free / GIB,
        gpus=_gpus(),
        lab_files=tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.safetensors"))),
        hub=_hub_answers() if online else None,
    )


def describe(machine: Machine) -> Iterator[tuple[str, str]]:
    """Name and value of each line to print."""
    from adept_bench import __version__

    yield "adept-bench", __version__
    yield "python", platform.python_version()
    for name, found in machine.versions.items():
        yield name, found or "missing"
    yield "cores", str(machine.cores)
    yield "memory", f"{machine.memory:.1f} GiB, {machine.memory_free:.1f} GiB free"
    yield "disk", f"{machine.disk_free:.1f} GiB free here"
    yield "GPU", ", ".join(f"{name} ({memory:.0f} GiB)" for name, memory in machine.gpus) or "none"
    count = len(machine.lab_files)
    yield "lab", f"{count} base models shipped" if count else "no base models shipped; they are built on first use"
    answers = {None: "not asked (--online asks)", True: "answers", False: "does not answer"}
    yield "Hub", answers[machine.hub]


@dataclass(frozen=True)
class Verdict:
    """On one preset: what stands against running it here, nothing where it can run, and what it asks of a GPU."""

    problems: list[str]
    gpu: str = ""


def verdicts(machine: Machine, preset: str | None = None) -> dict[str, Verdict]:
    """For each shipped preset, or for `preset` alone (a name or a file), whether it can run here.

    Raises InputError for a preset that does not exist.
    """
    from adept_bench.config.experiments import list_presets, load_preset

    loaded = [load_preset(name) for name in ([preset] if preset is not None else list_presets())]
    return {one.name: _verdict(machine, one) for one in loaded}


def _verdict(machine: Machine, preset: Preset) -> Verdict:
    needs = preset.needs
    problems = [f"{name} is missing" for name, found in machine.versions.items() if found is None]
    if needs.memory > machine.memory:
        problems.append(f"needs {needs.memory:g} GiB of memory, has {machine.memory:.1f}")
    if needs.disk > machine.disk_free:
        problems.append(f"needs {needs.disk:g} GiB of disk, has {machine.disk_free:.1f}")
    gpu = ""
    if needs.gpu:
        found, gpu = _on_gpus(machine, preset)
        problems += found
    if needs.network and machine.hub is False:
        problems.append("needs the Hugging Face Hub, or local copies")
    return Verdict(problems, gpu)


def _on_gpus(machine: Machine, preset: Preset) -> tuple[list[str], str]:
    """What stands against it on the GPUs there are, and a line on the memory that it needs there, as `plan` has it."""
    problems = [] if machine.gpus else ["needs a GPU, there is none"]
    if machine.versions.get("torch") is None or machine.versions.get("transformers") is None:
        return problems, ""  # nothing can be planned without them
    from adept_bench.planning.needs import gpu_needs

    try:
        needs = gpu_needs(preset, [memory for _, memory in machine.gpus])
    except InputError as reason:
        return problems, f"GPU memory is not known: {reason}"
    count = len(machine.gpus)
    if count and not any(need.fits(count, machine.memory) for need in needs):
        problems.append(f"{' and '.join(need.method for need in needs)} do not fit the GPU, or main memory beside it")
    shown = [
        f"{need.method} {need.peak / GIB:.1f} GiB" + (f" (fits: {need.fit.how})" if need.fit else "") for need in needs
    ]
    return problems, f"GPU memory, by plan: {', '.join(shown)}; plan has the other methods"


def _gpus() -> tuple[tuple[str, float], ...]:
    try:
        import torch
    except ImportError:  # `versions` says so
        return ()
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return tuple((gpu.name, gpu.total_memory / GIB) for gpu in found)


def _hub_answers() -> bool:
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        urlopen(Request(os.environ.get("HF_ENDPOINT", HUB), method="HEAD"), timeout=5).close()
    except HTTPError:
        return True  # it answered, if only to refuse
    except (URLError, OSError, ValueError):
        return False
    return True
