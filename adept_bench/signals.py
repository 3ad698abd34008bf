"""SIGTERM as Ctrl-C is met: the work stops where it is, and whatever holds a lock or a temporary file lets go of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from adept_bench.distributed.group import launched

INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT, 128 + SIGTERM, as shells have it


class Terminated(KeyboardInterrupt):
    """The process was asked to end. No error of the work: nothing but cleaning up may catch it."""


class Received:
    """Which signal ended the work, as it turns out."""

    terminated = False

    @property
    def code(self) -> int:
        """The exit code that says so."""
        return TERMINATED if self.terminated else INTERRUPTED

    @property
    def name(self) -> str:
        """How people know it."""
        return "SIGTERM" if self.terminated else "Ctrl-C"


@contextmanager
def caught() -> Iterator[Received]:
    """Within it SIGTERM raises Terminated in the main thread.

    Not where another handler is in force, and not in the processes of a launcher: they may wait for each other in a
    computation that no exception reaches, and its SIGTERM ends them at once.
    """
    received = Received()

    def end(number: int, frame: FrameType | None) -> NoReturn:
        received.terminated = True
        raise Terminated

    ours = threading.current_thread() is threading.main_thread() and launched().size == 1
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield received
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
