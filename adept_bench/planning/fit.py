"""Whether a training fits a device's memory, and with which change of settings if not as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from adept_bench.config.schema import TrainingConfig
from adept_bench.distributed.strategy import DDP, ZERO
from adept_bench.errors import InputError
from adept_bench.planning.devices import GIB, Device
from adept_bench.planning.memory import Memory, Settings, accumulates

SHARDS = (2, 4, 8, 16)
A_MACHINE = 8  # devices of one machine, at most (ours)
NAMED = 64 * GIB  # of main memory: what a machine needs beyond it is said beside what fits (ours)


@dataclass(frozen=True)
class Fit:
    """`how`: "yes", what to change, or "no", and main memory where that is much. `bytes`: the peak then, of the last
    try where nothing fits.

    main: bytes of main memory that a machine needs for the model, 0 where the devices hold it.
    """

    how: str
    bytes: int
    settings: Settings | None
    main: int = 0


def as_configured(training: TrainingConfig, devices: int = 1) -> Settings:
    """What the configuration says, on so many devices. Raises InputError where `run` would refuse it."""
    eight_bit = training.optimizer.endswith("8bit")
    strategy = training.distributed if devices > 1 else DDP
    if strategy != DDP and training.optimizer != "adamw":
        raise InputError(
            f"training.optimizer: {training.optimizer} with {strategy}; expected adamw with {strategy}, or ddp"
        )
    spread = {"replicas" if strategy == DDP else "shards": devices}
    return Settings(
        training.batch_size, training.gradient_checkpointing, eight_bit, **spread, zero=ZERO.get(strategy, 0)
    )


def ladder(training: TrainingConfig, devices: int) -> Iterator[tuple[str, Settings]]:
    """Settings to try, in this order: as they are, then what changes no number, then what changes rounding, then more
    devices that share the weights (FSDP2, which has no 8-bit optimizer)."""
    start = as_configured(training, devices)
    yield "yes", start
    tried = {start}
    changes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("", {}),
        ("checkpointing", {"checkpointing": True}),
        ("checkpointing, batch 1", {"checkpointing": True, "batch_size": 1}),
        ("checkpointing, batch 1, 8-bit optimizer", {"checkpointing": True, "batch_size": 1, "eight_bit": True}),
    )
    for spread in (start, *_shared(start, devices)):
        for words, change in changes:
            settings = replace(spread, **change)
            if settings in tried or (settings.eight_bit and settings.shards > 1):
                continue
            tried.add(settings)
            parts = [words] if words else []
            if settings.shards > 1 and training.optimizer != "adamw":
                parts.append("plain adamw")
            if settings.shards > 1:
                parts.append(f"{settings.shards} devices, {f'ZeRO {settings.zero}' if settings.zero else 'FSDP'}")
            yield "with " + ", ".join(parts), settings


def _shared(start: Settings, devices: int) -> list[Settings]:
    """The same over devices that share the weights: those that there are, else more and more."""
    if start.shards > 1:
        return []
    counts = [devices] if devices > 1 else SHARDS
    return [replace(start, eight_bit=False, replicas=1, shards=count) for count in counts]


def fit(device: Device, training: TrainingConfig, devices: int, memory: Callable[[Settings], Memory]) -> Fit:
    """The first rung of the ladder that fits each of `devices` devices."""
    least = 0
    for how, settings in ladder(training, devices):
        if settings.shards > 1 and device.cpu and how != "yes":
            continue
        found = memory(settings)
        needed = found.peak(accumulates(training, settings))
        if needed <= device.usable:
            main = found.main * min(settings.shards, A_MACHINE)
            return Fit(how + _named(main), needed, settings, main)
        least = min(needed, least) if least else needed
    return Fit("no", least, None)


def _named(main: int) -> str:
    return f", {main / GIB:.0f}G of main memory" if main > NAMED else ""
