"""Many figures at once, on all cores: what can be rendered is, and what cannot says why."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from adept_bench.errors import InputError, unknown_name
from adept_bench.figures.base import FigureKind
from adept_bench.figures.collect import Pair
from adept_bench.figures.export import Exported, export
from adept_bench.figures.registry import FIGURES
from adept_bench.progress import reporter

MANY = 6
"""Figures from which further processes are worth their start."""
MOST = 8
"""Processes at most: each holds matplotlib and the cells."""


@dataclass(frozen=True)
class Outcome:
    """One figure of one pair: its files, or why there are none. `trace`: of an error that is a fault of ours."""

    place: str
    name: str
    exported: Exported | None = None
    reason: str = ""
    trace: str = ""


def chosen(names: Sequence[str] | None) -> list[FigureKind]:
    """The figures of these names, in the order of the registry; all for None. InputError names --only."""
    if names is None:
        return list(FIGURES.values())
    for name in names:
        if name not in FIGURES:
            raise unknown_name("--only", "figure", name, FIGURES)
    if not names:
        raise InputError(f"--only: no figure given; expected some of: {', '.join(FIGURES)}")
    return [kind for kind in FIGURES.values() if kind.name in names]


def render(pairs: Sequence[Pair], kinds: Sequence[FigureKind], formats: tuple[str, ...]) -> list[Outcome]:
    """Every figure of every pair, by pair and in the order of `kinds`."""
    jobs = [(pair, kind.name) for pair in pairs for kind in kinds]
    if len(jobs) < MANY:  # done before a bar would show
        return list(_outcomes(jobs, formats))
    outcomes = []
    with reporter().task("figures", len(jobs), "figure") as task:
        for outcome in _outcomes(jobs, formats):
            outcomes.append(outcome)
            task.update()
    return outcomes


def _outcomes(jobs: list[tuple[Pair, str]], formats: tuple[str, ...]) -> Iterator[Outcome]:
    workers = min(_cores(), MOST, len(jobs))
    # elsewhere a fork is unsafe, and a fresh process would read everything again
    if workers < 2 or len(jobs) < MANY or sys.platform != "linux":
        yield from (_outcome(pair, name, formats) for pair, name in jobs)
        return
    global _jobs, _formats
    _jobs, _formats = jobs, formats
    try:
        # pictures are many objects and few cycles: collecting would take a tenth of the time
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=gc.disable) as pool:
            yield from pool.map(_numbered, range(len(jobs)))
    finally:
        _jobs, _formats = [], ()


# what the forked processes find instead of having it sent
_jobs: list[tuple[Pair, str]] = []
_formats: tuple[str, ...] = ()


def _numbered(index: int) -> Outcome:
    return _outcome(*_jobs[index], _formats)


def _outcome(pair: Pair, name: str, formats: tuple[str, ...]) -> Outcome:
    try:
        return Outcome(pair.place, name, export(FIGURES[name], pair, formats))
    except InputError as reason:
        return Outcome(pair.place, name, reason=str(reason))
    except Exception as error:  # a fault in one figure is no reason to lose the others
        fault = f"unexpected {type(error).__name__}: {error}"
        return Outcome(pair.place, name, reason=fault, trace=traceback.format_exc())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
