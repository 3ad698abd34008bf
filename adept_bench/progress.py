"""Progress of long work: bars on a terminal, plain lines elsewhere, nothing with --quiet. Always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from adept_bench.distributed.group import launched
from adept_bench.escapes import line, rich_text, terminal

PLAIN_INTERVAL = 10.0  # seconds between two plain lines of one task


class Task:
    """One piece of long work. `update` adds steps done and the fields to show (loss, rate, tokens/s, ...)."""

    def __init__(self, description: str, total: int | None) -> None:
        self.description, self.total, self.done = description, total, 0

    def update(self, advance: int = 1, **fields: Any) -> None:
        self.done += advance


class Silent:
    """The reporter that says nothing; also the base of the others."""

    def log(self, message: str) -> None:
        """Say one line."""

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        """Show a piece of work of `total` units; yields the `Task` to update."""
        yield Task(description, total)


def counted(task: Task, layers: int | None = None) -> Callable[[int, int], None]:
    """What shows `on_progress(done, total)` of a probe on `task`, which takes its total from there.

    `layers`: where a step is one of this many layers in one batch, as in masking (total = layers x batches); steps are
    then shown as a layer of a batch.
    """

    def show(done: int, total: int) -> None:
        fields = {}
        if layers:
            batch, layer = divmod(done - 1, layers)
            fields = {"layer": f"{layer + 1} of {layers}", "batch": f"{batch + 1} of {total // layers}"}
        task.total = total
        task.update(done - task.done, **fields)

    return show


def _line(text: str) -> None:
    with suppress(OSError):  # work does not end because nobody takes its log
        sys.stderr.write(f"{terminal(text)}\n")  # one write: lines of several threads stay whole
        sys.stderr.flush()


def _show(fields: dict[str, Any]) -> str:
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in fields.items()
    )


class _PlainTask(Task):
    def __init__(self, description: str, total: int | None, unit: str) -> None:
        super().__init__(description, total)
        self.unit, self.started, self.last = unit, time.monotonic(), time.monotonic()

    def update(self, advance: int = 1, **fields: Any) -> None:
        super().update(advance, **fields)
        now = time.monotonic()
        finished = self.total is not None and self.done >= self.total
        if finished or now - self.last >= PLAIN_INTERVAL:
            self.last = now
            of = f"/{self.total}" if self.total else ""
            left = ""
            if self.total and self.done and not finished:
                left = f"  {(now - self.started) / self.done * (self.total - self.done):.0f}s left"
            said = f"{self.description}: {self.unit} {self.done}{of}  {_show(fields)}{left}"
            _line(said.rstrip())


class Plain(Silent):
    """One line now and then, for logs and pipes."""

    def log(self, message: str) -> None:
        _line(message)

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        yield _PlainTask(description, total, unit)


class _BarTask(Task):
    def __init__(self, progress: Any, description: str, total: int | None, unit: str) -> None:
        super().__init__(description, total)
        self.progress, self.unit = progress, unit
        self.handle = progress.add_task(line(description), total=total, fields=unit)

    def update(self, advance: int = 1, **fields: Any) -> None:
        super().update(advance, **fields)
        self.progress.update(self.handle, total=self.total, advance=advance, fields=line(_show(fields)) or self.unit)


class Bars(Silent):
    """rich bars on a terminal: description, bar, count, fields, time left. Tasks may overlap and end in any order."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.live: Any = None
        self.shown = 0  # tasks that have begun and not ended; the display lives while there are any
        self.lock = threading.Lock()  # tasks begin and end in several threads

    def log(self, message: str) -> None:
        self.console.print(rich_text(message), highlight=False)

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        with self.lock:
            if self.live is None:
                self.live = self._display()
                self.live.start()
            task = _BarTask(self.live, description, total, unit)
            self.shown += 1
        try:
            yield task
        finally:
            with self.lock:
                self.shown -= 1
                self.live.remove_task(task.handle)
                if not self.shown:
                    self.live.stop()
                    self.live = None

    def _display(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fields]}", markup=False),
            TimeRemainingColumn(),
        ]
        return Progress(*columns, console=self.console, transient=True)


_current: Silent = Silent()


def reporter() -> Silent:
    """The reporter in force; silent unless a command chose another."""
    return _current


def use(chosen: Silent) -> None:
    """Make `chosen` the reporter of this process."""
    global _current
    _current = chosen


def for_terminal(quiet: bool = False) -> Silent:
    """The reporter that suits stderr: silent when `quiet`, bars on a terminal, plain lines elsewhere.

    Of the processes of a launcher only the first says anything.
    """
    if quiet or launched().rank:
        return Silent()
    return Bars() if sys.stderr.isatty() else Plain()
