"""Worker processes: each takes jobs one after the other, shows its progress through the parent, and may die alone."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from adept_bench.errors import InputError
from adept_bench.progress import Silent, Task, reporter, use

UPDATE_SECONDS = 0.5  # a worker tells the parent of its progress no more often than this
TRIES = 2  # of a job whose worker died under it


@dataclass(frozen=True)
class Job:
    """A call in a worker. `function` and its arguments must pickle; `title` names the job to people."""

    title: str
    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a value, or the error (one line) and its traceback."""

    job: Job
    value: Any = None
    error: str | None = None
    trace: str = ""


def default_jobs(cells: int) -> int:
    """One worker a GPU, or one a core on the CPU, and never more than there are cells."""
    from adept_bench.suite.machine import cores, device

    if device() == "cuda":
        import torch

        return max(1, min(cells, torch.cuda.device_count()))
    return max(1, min(cells, cores()))


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Run the jobs, `workers` at a time, and yield outcomes as they come.

    One worker: in this process. More: in processes of their own, started afresh, so that a crash of one (out of
    memory, say) takes only its own job with it; that job is tried once more. Leaving the iterator early, by Ctrl-C
    for instance, ends the workers.
    """
    if workers <= 1 or len(jobs) <= 1:
        _limit_threads()
        for job in jobs:
            yield _attempt(job)
        return
    tries = dict.fromkeys(range(len(jobs)), 0)
    waiting = list(range(len(jobs)))
    while waiting:
        with _pool(min(workers, len(waiting))) as pool:
            futures = {pool.submit(_attempt, jobs[index]): index for index in waiting}
            waiting = []
            for index, outcome in _as_they_come(futures):
                if outcome is not None:
                    yield outcome
                    continue
                tries[index] += 1
                if tries[index] < TRIES:
                    waiting.append(index)
                else:
                    yield Outcome(jobs[index], error="the worker process died twice (out of memory?)")


def _as_they_come(futures: dict[Future[Outcome], int]) -> Iterator[tuple[int, Outcome | None]]:
    """(index, outcome) of each future; None where the pool broke under it."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                yield futures[future], None


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    numbers = context.Value("i", 0)
    mirror = threading.Thread(target=_mirror, args=(events,), daemon=True)
    mirror.start()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(events, numbers))
    try:
        yield pool
    except BaseException:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        events.put(None)
        mirror.join(timeout=5)


def _start(events: Any, numbers: Any) -> None:
    """Set up a worker: its GPU where there are several, its threads, and where its progress goes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    with numbers.get_lock():
        number = numbers.value
        numbers.value += 1
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else None
    if devices is None and os.path.exists("/dev/nvidia0"):
        devices = [str(index) for index in range(sum(os.path.exists(f"/dev/nvidia{i}") for i in range(64)))]
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    _limit_threads()
    use(_Sender(events))


def _limit_threads() -> None:
    import torch

    from adept_bench.suite.machine import threads

    torch.set_num_threads(threads())


def _attempt(job: Job) -> Outcome:
    try:
        return Outcome(job, job.function(**job.arguments))
    except InputError as error:
        return Outcome(job, error=str(error))
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Outcome(job, error=f"{type(error).__name__}: {first_line}", trace=traceback.format_exc())


class _SentTask(Task):
    """A task whose progress is shown by the parent."""

    def __init__(self, events: Any, handle: tuple[int, int], description: str, total: int | None) -> None:
        super().__init__(description, total)
        self.events, self.handle = events, handle
        self.unsent, self.last = 0, monotonic()

    def update(self, advance: int = 1, **fields: Any) -> None:
        super().update(advance, **fields)
        self.unsent += advance
        now = monotonic()
        if now - self.last >= UPDATE_SECONDS or self.done == self.total:
            self.events.put(("update", self.handle, self.total, self.unsent, fields))
            self.unsent, self.last = 0, now


class _Sender(Silent):
    """The reporter of a worker."""

    def __init__(self, events: Any) -> None:
        self.events, self.numbers = events, itertools.count()

    def log(self, message: str) -> None:
        self.events.put(("log", message))

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        handle = (os.getpid(), next(self.numbers))
        self.events.put(("begin", handle, description, total, unit))
        try:
            yield _SentTask(self.events, handle, description, total)
        finally:
            self.events.put(("end", handle))


def _mirror(events: Any) -> None:
    """Show in the parent what the workers send."""
    shown: dict[tuple[int, int], tuple[Any, Task]] = {}
    while (event := events.get()) is not None:
        match event:
            case ("log", message):
                reporter().log(message)
            case ("begin", handle, description, total, unit):
                manager = reporter().task(description, total, unit)
                shown[handle] = (manager, manager.__enter__())
            case ("update", handle, total, advance, fields) if handle in shown:
                task = shown[handle][1]
                task.total = total
                task.update(advance, **fields)
            case ("end", handle) if handle in shown:
                shown.pop(handle)[0].__exit__(None, None, None)
    for manager, _ in shown.values():
        manager.__exit__(None, None, None)
