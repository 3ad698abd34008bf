"""Whether a training fits a device's memory, and with which change of settings if not as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from adept_bench.config.schema import TrainingConfig
from adept_bench.planning.devices import Device
from adept_bench.planning.memory import Memory, Settings, accumulates

SHARDS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Fit:
    """`how`: "yes", what to change, or "no". `bytes`: the peak then, of the last try where nothing fits."""

    how: str
    bytes: int
    settings: Settings | None


def as_configured(training: TrainingConfig, shards: int = 1) -> Settings:
    """What the configuration says."""
    eight_bit = training.optimizer.endswith("8bit")
    return Settings(training.batch_size, training.gradient_checkpointing, eight_bit, shards)


def ladder(training: TrainingConfig, devices: int) -> Iterator[tuple[str, Settings]]:
    """Settings to try, in this order: as they are, then what changes no number, then what changes rounding, then more
    devices that share the weights (FSDP)."""
    start = as_configured(training)
    yield "yes", start
    tried = {start}
    for shards in (1, *([devices] if devices > 1 else SHARDS)):
        for words, change in (
            ("", {}),
            ("checkpointing", {"checkpointing": True}),
            ("checkpointing, batch 1", {"checkpointing": True, "batch_size": 1}),
            ("checkpointing, batch 1, 8-bit optimizer", {"checkpointing": True, "batch_size": 1, "eight_bit": True}),
        ):
            settings = replace(start, shards=shards, **change)
            if settings in tried:
                continue
            tried.add(settings)
            parts = [words] if words else []
            if shards > 1:
                parts.append(f"{shards} devices, FSDP")
            yield "with " + ", ".join(parts), settings


def fit(device: Device, training: TrainingConfig, devices: int, memory: Callable[[Settings], Memory]) -> Fit:
    """The first rung of the ladder that fits each of `devices` devices."""
    least = 0
    for how, settings in ladder(training, devices):
        if settings.shards > 1 and device.cpu:
            continue
        needed = memory(settings).peak(accumulates(training, settings))
        if needed <= device.usable:
            return Fit(how, needed, settings)
        least = min(needed, least) if least else needed
    return Fit("no", least, None)
