"""Measurements shared out over the processes, and put together so that the order of the parts never shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from adept_bench.distributed.group import gathered, group

T = TypeVar("T")


def mine(batches: Sequence[T]) -> list[T]:
    """This process's batches: every `size`-th, so that neighbours, alike in length, go to different processes."""
    here = group()
    return list(batches[here.rank :: here.size])


def united(part: Mapping[int, T], error: Exception | None = None) -> dict[int, T]:
    """All processes' parts of a mapping. An `error` that ended one process's part is raised in all of them."""
    parts = gathered((dict(part), error))
    errors = [error for _, error in parts if error is not None]
    if errors:
        raise errors[0]
    return {key: value for found, _ in parts for key, value in found.items()}
