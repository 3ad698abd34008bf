"""The course of the learning rate, as a factor that multiplies every unit's own rate."""

from __future__ import annotations

import math
from typing import Any


def schedule_factor(step: int, steps: int, *, warmup: float, schedule: str, min_rate: float = 0.0) -> float:
    """The factor of the update after `step` updates, of `steps` in all.

    It rises linearly over the first ceil(warmup * steps) updates, the last of which is at 1, and then follows
    `schedule` ("cosine", "linear" or "constant") down to `min_rate`, reached when all updates are done.
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    done = min(1.0, (step - rising) / max(1, steps - rising))
    shape = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return min_rate + (1.0 - min_rate) * shape


def under(scheduler: Any) -> Any:
    """torch's own scheduler, without the wrapper that accelerate puts around it."""
    while hasattr(scheduler, "scheduler"):
        scheduler = scheduler.scheduler
    return scheduler


def set_base_rates(scheduler: Any, optimizer: Any, rates: list[float]) -> None:
    """Give each optimizer group a new rate that the schedule goes on multiplying, in force at once.

    A LambdaLR computes base_lrs * factor, so a rate written into the group alone would be lost at the next step.
    """
    inner = under(scheduler)
    if len(rates) != len(optimizer.param_groups):
        raise ValueError(f"{len(rates)} rates for {len(optimizer.param_groups)} optimizer groups")
    inner.base_lrs = list(rates)
    for group, rate, factor in zip(optimizer.param_groups, rates, inner.lr_lambdas):
        group["initial_lr"] = rate
        group["lr"] = rate * factor(inner.last_epoch)
    inner._last_lr = [group["lr"] for group in optimizer.param_groups]
