"""Progress of long work: bars on a terminal, plain lines elsewhere, nothing with --quiet. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
            line = f"{self.description}: {self.unit} {self.done}{of}  {_show(fields)}{left}"
            print(line.rstrip(), file=sys.stderr, flush=True)


class Plain(Silent):
    """One line now and then, for logs and pipes."""

    def log(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        yield _PlainTask(description, total, unit)


class _BarTask(Task):
    def __init__(self, progress: Any, description: str, total: int | None, unit: str) -> None:
        super().__init__(description, total)
        self.progress, self.unit = progress, unit
        self.handle = progress.add_task(description, total=total, fields=unit)

    def update(self, advance: int = 1, **fields: Any) -> None:
        super().update(advance, **fields)
        self.progress.update(self.handle, advance=advance, fields=_show(fields) or self.unit)


class Bars(Silent):
    """rich bars on a terminal: description, bar, count, fields, time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.live: Any = None

    def log(self, message: str) -> None:
        self.console.print(message, markup=False, highlight=False)

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[Task]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        outer = self.live is None
        if outer:
            columns = [
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[fields]}", markup=False),
                TimeRemainingColumn(),
            ]
            self.live = Progress(*columns, console=self.console, transient=True)
            self.live.start()
        task = _BarTask(self.live, description, total, unit)
        try:
            yield task
        finally:
            self.live.remove_task(task.handle)
            if outer:
                self.live.stop()
                self.live = None


_current: Silent = Silent()


def reporter() -> Silent:
    """The reporter in force; silent unless a command chose another."""
    return _current


def use(chosen: Silent) -> None:
    """Make `chosen` the reporter of this process."""
    global _current
    _current = chosen


def for_terminal(quiet: bool = False) -> Silent:
    """The reporter that suits stderr: silent when `quiet`, bars on a terminal, plain lines elsewhere."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Plain()
