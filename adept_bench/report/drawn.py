"""The figures of the page, drawn on all cores; one that fails costs itself only, and says why."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from adept_bench.errors import InputError
from adept_bench.figures.base import Table
from adept_bench.figures.registry import FIGURES
from adept_bench.progress import reporter
from adept_bench.report.images import Image, encode
from adept_bench.results.schema import Cell

MANY = 6  # figures from which further processes are worth their start
MOST = 8  # processes at most


@dataclass(frozen=True)
class Shown:
    """A figure or table of one (preset, suite) as the page shows it."""

    name: str
    title: str
    paper: str
    caption: str
    notes: list[str]
    sources: list[tuple[str, int]]
    """(method, seed) of the cells it was made from."""
    image: Image | None
    table: Table | None


@dataclass(frozen=True)
class Lost:
    """Why a figure could not be shown. `fault`: by an error that is none of the results'."""

    reason: str
    fault: bool = False


Outcome = Shown | Lost


def draw_all(comparisons: Sequence[Sequence[Cell]]) -> list[list[Outcome]]:
    """For the cells of each (preset, suite) the outcome of every figure, in the order of the registry."""
    names = list(FIGURES)
    jobs = [(cells, name) for cells in comparisons for name in names]
    outcomes: list[Outcome] = []
    with _running(jobs) as results, reporter().task("figures", len(jobs), "figure") as task:
        for outcome in results:
            outcomes.append(outcome)
            task.update()
    return [outcomes[len(names) * index :][: len(names)] for index in range(len(comparisons))]


# what forked processes find in place of having it sent
_jobs: list[tuple[Sequence[Cell], str]] = []


@contextmanager
def _running(jobs: list[tuple[Sequence[Cell], str]]) -> Iterator[Iterator[Outcome]]:
    """The outcomes, in order, as they come; the processes start before any progress is shown from a thread."""
    workers = min(len(os.sched_getaffinity(0)), MOST, len(jobs)) if sys.platform == "linux" else 1
    if workers < 2 or len(jobs) < MANY:
        yield (_draw(cells, name) for cells, name in jobs)
        return
    global _jobs
    _jobs = jobs
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
            futures = [pool.submit(_numbered, index) for index in range(len(jobs))]
            yield map(_result, futures)
    finally:
        _jobs = []


def _numbered(index: int) -> Outcome:
    return _draw(*_jobs[index])


def _result(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the process itself was lost
        return Lost(f"unexpected {type(error).__name__}: {error}", fault=True)


def _draw(cells: Sequence[Cell], name: str) -> Outcome:
    kind = FIGURES[name]
    try:
        drawing = kind.draw(cells)
        return Shown(
            name,
            drawing.title or kind.title,
            kind.paper,
            drawing.caption,
            list(drawing.notes),
            [(cell.method, cell.seed) for cell in drawing.cells],
            encode(drawing.figure) if drawing.figure is not None else None,
            drawing.shown,
        )
    except InputError as reason:
        return Lost(str(reason).removeprefix(f"{name}: "))
    except Exception as error:
        return Lost(f"unexpected {type(error).__name__}: {error}", fault=True)
