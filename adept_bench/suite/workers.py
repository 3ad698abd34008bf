"""Worker processes: each takes jobs one after the other, shows its progress through the parent, and may die alone."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

from adept_bench.distributed.failures import end, met_by_all
from adept_bench.distributed.group import group, launched
from adept_bench.errors import InputError
from adept_bench.models.folders import NoRoom
from adept_bench.progress import Silent, Task, reporter, use
from adept_bench.signals import TERMINATED

GRACE = 10.0  # seconds that workers have to stop what they do
UPDATE_SECONDS = 0.5  # a worker tells the parent of its progress no more often than this
TRIES = 2  # of a job whose worker died under it
_attempts = itertools.count()  # the same in all processes of a launcher, which take the jobs in the same order


@dataclass(frozen=True)
class Job:
    """A call in a worker. `function` and its arguments must pickle; `title` names the job to people."""

    title: str
    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a value, or the error (one line) and its traceback.

    refused: it was an InputError. final: one that every other job would meet, too (`folders.NoRoom`).
    """

    job: Job
    value: Any = None
    error: str | None = None
    trace: str = ""
    refused: bool = False
    final: bool = False


def default_jobs(cells: int) -> int:
    """One worker a GPU, or one a core on the CPU, and never more than there are cells.

    One too where a launcher's processes work on each cell together.
    """
    from adept_bench.suite.machine import cores, device

    if launched().size > 1:
        return 1

    if device() == "cuda":
        import torch

        return max(1, min(cells, torch.cuda.device_count()))
    return max(1, min(cells, cores()))


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Run the jobs, `workers` at a time, and yield outcomes as they come.

    One worker: in this process. More: in processes of their own, started afresh, so that a crash of one (out of
    memory, say) takes only its own job with it; that job is tried once more in a fresh process. Leaving the iterator
    early, by Ctrl-C for instance, ends the workers, and so does the death of this process.
    """
    if workers <= 1 or len(jobs) <= 1:
        _limit_threads()
        for job in jobs:
            yield _attempt(job)
        return
    waiting = deque(jobs)
    with _slots(min(workers, len(jobs))) as free:
        running: dict[Future[Outcome], tuple[_Slot, Job, int]] = {}
        outcomes: list[Outcome] = []
        while waiting or running or outcomes:
            while waiting and free:
                slot, job = free.popleft(), waiting.popleft()
                running[slot.submit(job)] = slot, job, 1
            yield from outcomes  # the workers are busy meanwhile
            outcomes = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                slot, job, tries = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool) and tries < TRIES:
                    slot.close()
                    running[slot.submit(job)] = slot, job, tries + 1
                else:
                    free.append(slot)
                    outcomes.append(_outcome(future, job))


def _outcome(future: Future[Outcome], job: Job) -> Outcome:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        return Outcome(job, error="the worker process died twice (out of memory?)")
    return _failed(job, error)  # what could not be sent to the worker or back, or a sys.exit()


class _Slot:
    """The place of one worker process, which starts with its first job, and afresh where the last one died."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pool: ProcessPoolExecutor | None = None
        self.mirror: threading.Thread | None = None

    def submit(self, job: Job) -> Future[Outcome]:
        """Have the worker do `job`; it must be free."""
        if self.pool is not None:
            try:
                return self.pool.submit(_attempt, job)
            except BrokenProcessPool:  # it died with nothing to do
                self.close()
        context = multiprocessing.get_context("spawn")
        reader, writer = context.Pipe(duplex=False)  # one a worker: a death in the middle of a message harms no other
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_start, initargs=(writer, self.number))
        future = self.pool.submit(_attempt, job)
        writer.close()  # the worker has its own copy now, and its end is the end of the stream
        self.mirror = threading.Thread(target=_mirror, args=(reader,), daemon=True)
        self.mirror.start()
        return future

    def processes(self) -> list[BaseProcess]:
        """The worker, where it has started."""
        return list((self.pool._processes or {}).values()) if self.pool is not None else []

    def close(self) -> None:
        """Wait for the worker's end and for all it had to show; the next job starts another."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
        if self.mirror is not None:
            self.mirror.join(timeout=5)
        self.pool = self.mirror = None


@contextmanager
def _slots(count: int) -> Iterator[deque[_Slot]]:
    slots = [_Slot(number) for number in range(count)]
    try:
        yield deque(slots)
    except BaseException:
        _end([process for slot in slots for process in slot.processes()])
        raise
    finally:
        for slot in slots:
            slot.close()


def _end(workers: Sequence[BaseProcess]) -> None:
    """End workers in the middle of their jobs: each lets go of locks and temporary files, if it does so soon."""
    for process in workers:
        process.terminate()
    until = monotonic() + GRACE
    for process in workers:
        process.join(max(0.0, until - monotonic()))
        process.kill()


class _Asked(SystemExit):
    """The worker was asked to end; a job that catches errors lets it through."""


def _end_job(number: int, frame: FrameType | None) -> NoReturn:
    raise _Asked(TERMINATED)


def _start(events: Connection, number: int) -> None:
    """Set up the worker of slot `number`: its end, its GPU, its threads, and where its progress goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    signal.signal(signal.SIGTERM, _end_job)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        devices = [str(index) for index in range(sum(os.path.exists(f"/dev/nvidia{i}") for i in range(64)))]
    else:
        devices = [name.strip() for name in visible.split(",")]
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    _limit_threads()
    use(_Sender(events))


def _end_with_parent() -> None:
    """A parent that is killed ends nothing itself, and the pool's worker would wait for it for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _limit_threads() -> None:
    import torch

    from adept_bench.suite.machine import threads

    torch.set_num_threads(threads())


def _attempt(job: Job) -> Outcome:
    number = next(_attempts) if group().size > 1 else 0
    try:
        return Outcome(job, job.function(**job.arguments))
    except InputError as error:
        outcome = Outcome(job, error=str(error), refused=True, final=isinstance(error, NoRoom))
    except Exception as error:
        outcome = _failed(job, error)
    except _Asked:  # all that the job held is let go of; the pool would make an outcome of this and keep the process
        os._exit(TERMINATED)
    finally:
        release()
    if not met_by_all(number):
        end(outcome.trace or f"{outcome.error}\n")
    return outcome


def release() -> None:
    """Let go of a finished job's models, which are in reference cycles, before the next job's are made."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _failed(job: Job, error: BaseException) -> Outcome:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    trace = "".join(traceback.format_exception(error))
    return Outcome(job, error=f"{type(error).__name__}: {first_line}", trace=trace)


class _SentTask(Task):
    """A task whose progress is shown by the parent."""

    def __init__(self, sender: _Sender, handle: int, description: str, total: int | None) -> None:
        super().__init__(description, total)
        self.sender, self.handle = sender, handle
        self.unsent, self.last = 0, monotonic()

    def update(self, advance: int = 1, **fields: Any) -> None:
        super().update(advance, **fields)
        self.unsent += advance
        now = monotonic()
        if now - self.last >= UPDATE_SECONDS or self.done == self.total:
            self.sender.send("update", self.handle, self.total, self.unsent, fields)
            self.unsent, self.last = 0, now


class _Sender(Silent):
    """The reporter of a worker."""

    def __init__(self, events: Connection) -> None:
        self.events, self.numbers, self.lock = events, itertools.count(), threading.Lock()

    def send(self, *event: Any) -> None:
        """Tell the parent. An event that cannot be sent is dropped: it must not end the job."""
        with self.lock, suppress(Exception):
            self.events.send(event)

    def log(self, message: str) -> None:
        self.send("log", message)

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        handle = next(self.numbers)
        self.send("begin", handle, description, total, unit)
        try:
            yield _SentTask(self, handle, description, total)
        finally:
            self.send("end", handle)


def _mirror(events: Connection) -> None:
    """Show in the parent what a worker sends, until its end. An event that cannot be shown is dropped."""
    shown: dict[int, tuple[Any, Task]] = {}
    with events:
        while True:
            try:
                event = events.recv()
            except (EOFError, OSError):  # the worker ended, or died in the middle of a message
                break
            except Exception:
                continue
            with suppress(Exception):
                _show(event, shown)
    for manager, _ in shown.values():
        with suppress(Exception):
            manager.__exit__(None, None, None)


def _show(event: tuple[Any, ...], shown: dict[int, tuple[Any, Task]]) -> None:
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
