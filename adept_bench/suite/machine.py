"""The machine under a cell: device, threads, and what a result records of it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import adept_bench

LIBRARIES = ("torch", "transformers", "lm-eval", "datasets", "peft", "accelerate", "tokenizers", "numpy")
IF_INSTALLED = ("deepspeed", "bitsandbytes", "vllm", "flash-attn")  # what some settings need


@cache
def device() -> str:
    """The device cells run on: the first visible GPU, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name() -> str:
    """The device's name as a result records it."""
    import torch

    if device() == "cuda":
        return torch.cuda.get_device_name()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def threads() -> int:
    """Threads of a worker on the CPU: $OMP_NUM_THREADS (the first number of a list), else one.

    One by default whatever the machine: it keeps the numbers independent of --jobs, and two one-thread cells side by
    side are faster than two two-thread cells in turn.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, int(first)) if first.isdecimal() else 1


class CpuShare:
    """How much of its threads' time the process got within a `with` block: about 1 on a CPU that is free, less where
    other work slowed it (or a GPU did the work). Seconds of cells with different shares do not compare."""

    def __init__(self) -> None:
        self.value = 0.0

    def __enter__(self) -> CpuShare:
        self._started = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        self.value = min(1.0, cpu / (wall * threads())) if wall else 0.0


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def git_state() -> tuple[str | None, bool | None]:
    """(revision, dirty) of the checkout the package runs from; (None, None) for an installed wheel."""
    root = Path(adept_bench.__file__).parents[1]
    if not (root / ".git").exists():
        return None, None

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout

    try:
        # results are written while cells run: only changes to what runs make the tree dirty
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "adept_bench", "experiments")
        return git("rev-parse", "HEAD").strip(), bool(changed.strip())
    except (OSError, subprocess.CalledProcessError):
        return None, None


def library_versions() -> dict[str, str | None]:
    """The installed version of each library that a number may depend on; None where one that all need is missing."""
    found: dict[str, str | None] = {}
    for name in (*LIBRARIES, *IF_INSTALLED):
        try:
            found[name.replace("-", "_")] = version(name)
        except PackageNotFoundError:
            if name in LIBRARIES:
                found[name.replace("-", "_")] = None
    return found


def provenance(started: str) -> dict[str, Any]:
    """The provenance block of a result."""
    revision, dirty = git_state()
    return {
        "package_version": adept_bench.__version__,
        "git_revision": revision,
        "git_dirty": dirty,
        "versions": library_versions(),
        "python": platform.python_version(),
        "device": device_name(),
        "processes": 1,
        "started": started,
        "ended": now(),
    }
