"""From operations to seconds on a device."""

from __future__ import annotations

from dataclasses import dataclass

from adept_bench.planning.devices import REACHED_BANDWIDTH, SCALING, Device
from adept_bench.planning.shapes import Shape


@dataclass(frozen=True)
class Rate:
    """What a device is assumed, or was measured, to reach: operations and bytes a second. `source`: why so much."""

    operations: float
    bandwidth: float
    source: str

    def over(self, devices: int) -> Rate:
        """The rate of several devices side by side."""
        if devices == 1:
            return self
        factor = devices * SCALING
        source = f"{self.source}; {devices} devices at {SCALING:.0%} of perfect scaling"
        return Rate(self.operations * factor, self.bandwidth * factor, source)


def rate_of(device: Device, precision: str, mfu: float, measured: Rate | None = None) -> Rate:
    """The rate of one device: the measured one for this machine's processor, else a share of the stated peak."""
    if device.cpu:
        return measured or Rate(
            device.peak(precision), device.bandwidth, "the rate of the lab's machine (docs/plan.md)"
        )
    source = f"{mfu:.0%} of the stated {precision} peak of {device.peak(precision) / 1e12:g} TFLOP/s"
    return Rate(device.peak(precision) * mfu, device.bandwidth * REACHED_BANDWIDTH, source)


def adapter_bytes(shape: Shape, tokens: int, precision: str) -> int:
    """Bytes that low-rank maps read and write beside their operations, in training on so many tokens.

    Beside a frozen map from n to m values a token, the two narrow maps, the scaling and the addition, forward and
    backward, read or write about 6 n + 10 m values whatever the rank; this bounds them where the rank is small.
    """
    size = 2 if precision == "bf16" else 4
    values = 0
    for name, module in shape.model.named_modules():
        if name.endswith((".lora_A.default", ".lora_B.default")):
            out_features, in_features = module.weight.shape
            values += 6 * in_features if ".lora_A." in name else 10 * out_features
    return values * size * tokens


def adapter_flops(shape: Shape, tokens: int) -> int:
    """The part of `train_flops` that is of low-rank maps: three passes of 2 N a token."""
    narrow = sum(p.numel() for name, p in shape.model.named_parameters() if ".lora_" in name)
    return 6 * narrow * tokens


def train_seconds(shape: Shape, flops: int, tokens: int, precision: str, rate: Rate) -> float:
    """Seconds of the updates: operations at the rate, low-rank maps at that or at the memory's, whichever is slower."""
    narrow = adapter_flops(shape, tokens)
    low_rank = max(narrow / rate.operations, adapter_bytes(shape, tokens, precision) / rate.bandwidth)
    return (flops - narrow) / rate.operations + low_rank
