"""The processes that work on one cell together: who is who, and what they tell each other.

Every process runs the same code. What is read or decided from files is read or decided by the main process alone and
told to the others (`from_main`), so that all of them always do the same.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from adept_bench.errors import InputError

T = TypeVar("T")
# a process that dies ends the launcher and with it all others, so no wait needs to give up early:
# the others wait for as long as the main process waits for a lock or answers generative tasks
WAIT = timedelta(days=7)


@dataclass(frozen=True)
class Group:
    """This process's place: `rank` of `size`, and `local_rank` among those of its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def main(self) -> bool:
        """Whether this process reads, decides, writes and reports for all."""
        return self.rank == 0


ALONE = Group()
_current = ALONE
_control: Any = None  # a gloo group for what is told in words; NCCL would have it go through the GPUs


def launched() -> Group:
    """What the launcher says in the environment (RANK, WORLD_SIZE, LOCAL_RANK); imports nothing."""
    numbers = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if not (numbers["RANK"].isdigit() and numbers["WORLD_SIZE"].isdigit()):
        return ALONE
    local = numbers["LOCAL_RANK"]
    return Group(int(numbers["RANK"]), int(numbers["WORLD_SIZE"]), int(local) if local.isdigit() else 0)


def start() -> Group:
    """Join the processes that the launcher started; nothing to do in a process that was started alone.

    Raises InputError where a machine has fewer GPUs than processes.
    """
    global _current, _control
    asked = launched()
    if asked.size <= 1 or _current.size > 1:
        return _current
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns that it looks for unused parameters (strategy)
    import torch
    from torch import distributed

    # transformers would leave the weights out on all processes but the first, and ours measure before they shard
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    backend = "gloo"
    if torch.cuda.is_available():
        if asked.local_rank >= torch.cuda.device_count():
            raise InputError(
                f"--nproc_per_node: process {asked.local_rank} of this machine has no GPU of its own; "
                f"expected at most {torch.cuda.device_count()} processes a machine"
            )
        torch.cuda.set_device(asked.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    distributed.init_process_group(backend, timeout=timedelta(hours=1))
    _control = distributed.new_group(backend="gloo", timeout=WAIT)
    _current = asked
    return asked


def _end_with(launcher: int) -> None:
    """A launcher that is killed ends nothing itself, and its processes would wait for one another for ever."""
    while os.getppid() == launcher:
        time.sleep(2)
    os._exit(1)


def stop() -> None:
    """Leave the group, after the work."""
    global _current, _control
    if _current.size > 1:
        from torch import distributed

        distributed.destroy_process_group()
    _current, _control = ALONE, None


def group() -> Group:
    """The processes that are at this piece of work together; `ALONE` where this one does it by itself."""
    return _current


@contextmanager
def alone() -> Iterator[None]:
    """Within it nothing is shared with the other processes, who do something else or nothing."""
    global _current
    before, _current = _current, ALONE
    try:
        yield
    finally:
        _current = before


@contextmanager
def unlaunched() -> Iterator[None]:
    """Within it the environment says nothing of the launcher: programs that are started are no part of its group.

    torch would have a group of their own meet at the launcher's store, where nobody else comes.
    """
    names = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"}
    said = {name: os.environ.pop(name) for name in list(os.environ) if name in names or "TORCHELASTIC_" in name}
    try:
        yield
    finally:
        os.environ.update(said)


def from_main(function: Callable[[], T]) -> T:
    """What `function()` returns in the main process, in all processes; an error there is raised in all of them.

    The value must pickle. In the other processes the error carries `told`: it was reported already.
    """
    here = group()
    if here.size == 1:
        return function()
    from torch import distributed

    box: list[Any] = [None]
    if here.main:
        try:
            with alone():
                box = [("value", function())]
        except Exception as error:
            distributed.broadcast_object_list([("error", _portable(error))], src=0, group=_control)
            raise
    distributed.broadcast_object_list(box, src=0, group=_control)
    kind, value = box[0]
    if kind == "error":
        value.told = True
        raise value
    return value


def _portable(error: Exception) -> Exception:
    """The error as one that pickles."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def gathered(value: T) -> list[T]:
    """Every process's `value` (it must pickle), in the order of their ranks, in all processes."""
    here = group()
    if here.size == 1:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * here.size
    distributed.all_gather_object(values, value, group=_control)
    return values


def mean(value: float) -> float:
    """The mean of a number over the processes, added up in the order of their ranks."""
    here = group()
    if here.size == 1:
        return value
    import torch
    from torch import distributed

    values = [torch.zeros(1, dtype=torch.float64) for _ in range(here.size)]
    distributed.all_gather(values, torch.tensor([value], dtype=torch.float64), group=_control)
    return sum(one.item() for one in values) / here.size


@contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through the block before the others, who then find the files that it made."""
    here = group()
    try:
        if not here.main:
            gathered(None)
        yield
    finally:
        if here.main:
            gathered(None)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """`files.locked` for all processes at once: the main process has the lock while they are in the block."""
    from adept_bench.files import locked

    here = group()
    lock = locked(path)
    from_main(lambda: lock.__enter__())
    try:
        yield
    finally:
        if here.main:
            lock.__exit__(None, None, None)
