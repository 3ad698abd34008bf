"""What happens when one of the processes fails: all failed alike and go on, or all end."""

from __future__ import annotations

import os
import sys
import time

from adept_bench.distributed.group import group
from adept_bench.escapes import terminal

PATIENCE = 60.0  # seconds within which an error that all processes meet has been met by all
FAILED = 1
KEPT = "what is finished is kept, and the same command goes on from there"


def met_by_all(attempt: int) -> bool:
    """Whether the error that ended this process's `attempt` (a number alike in all) ended it in every process.

    Where it did, they are still in step and can go on with the next piece of work. Where it did not, some wait for
    this one in the middle of a computation, and nothing but its end frees them.
    """
    here = group()
    if here.size == 1:
        return True
    from torch.distributed.distributed_c10d import _get_default_store

    store, key = _get_default_store(), f"adept-bench/failed/{attempt}"
    failed, until = store.add(key, 1), time.monotonic() + PATIENCE
    while failed < here.size and time.monotonic() < until:
        time.sleep(0.1)
        failed = store.add(key, 0)
    if failed < here.size:
        store.add(f"{key}/ended", 1)  # the end of this process is an error to those that wait for it
        return False
    return store.add(f"{key}/ended", 0) == 0


def end(trace: str) -> None:
    """End this process with what went wrong on stderr; its launcher then ends the others. Never returns."""
    here = group()
    said = f"failed alone, which ends all of them; {KEPT}"
    sys.stderr.write(f"[process {here.rank} of {here.size}] {said}\n{terminal(trace)}")
    leave(FAILED)


def leave(code: int) -> None:
    """Exit at once: an orderly exit would wait for processes that wait for this one. Never returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
