"""Devices by name: what their makers state, and what of it training is assumed to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adept_bench.errors import InputError, unknown_name

GIB = 2**30
MFU = 0.40  # of the peak, ours: plain PyTorch with fused attention on dense decoders; --mfu sets another
SCALING = 0.90  # of perfect scaling, over several devices (ours)
REACHED_BANDWIDTH = 0.70  # of the stated one, by element-wise kernels (ours)
RESERVED = 1.0 * GIB  # for the driver's context, cuBLAS workspaces and NCCL (ours)
FRAGMENTED = 0.05  # of the memory, lost between blocks of the caching allocator (ours)


@dataclass(frozen=True)
class Device:
    """One accelerator, or this machine's processor.

    bf16, fp32: peak dense operations a second (no sparsity; fp32 without TF32, which PyTorch leaves off).
    memory: bytes. bandwidth: of its memory, bytes a second. source: where the numbers are from.
    """

    name: str
    title: str
    bf16: float
    fp32: float
    memory: float
    bandwidth: float
    source: str

    @property
    def cpu(self) -> bool:
        """Whether it is a processor, whose rate is measured and not stated."""
        return self.name == "cpu"

    @property
    def usable(self) -> float:
        """Bytes that a training can have."""
        return self.memory if self.cpu else self.memory * (1 - FRAGMENTED) - RESERVED

    def peak(self, precision: str) -> float:
        """Operations a second in training precision "bf16" or "fp32"."""
        return self.bf16 if precision == "bf16" else self.fp32


DEVICES = {
    one.name: one
    for one in (
        Device("a100-40", "A100 40 GB", 312e12, 19.5e12, 40 * GIB, 1555e9, "NVIDIA A100 data sheet"),
        Device("a100-80", "A100 80 GB", 312e12, 19.5e12, 80 * GIB, 2039e9, "NVIDIA A100 data sheet (SXM)"),
        Device("h100", "H100 80 GB", 989e12, 67e12, 80 * GIB, 3350e9, "NVIDIA H100 data sheet (SXM)"),
        Device("h200", "H200 141 GB", 989e12, 67e12, 141e9, 4800e9, "NVIDIA H200 data sheet (SXM)"),
        Device("l40s", "L40S 48 GB", 362e12, 91.6e12, 48e9, 864e9, "NVIDIA L40S data sheet"),
        Device("rtx4090", "RTX 4090 24 GB", 165e12, 82.6e12, 24 * GIB, 1008e9, "NVIDIA Ada architecture paper"),
        Device("a6000", "RTX A6000 48 GB", 155e12, 38.7e12, 48e9, 768e9, "NVIDIA Ampere GA102 architecture paper"),
        Device("mi300x", "MI300X 192 GB", 1307e12, 163e12, 192e9, 5300e9, "AMD MI300X data sheet"),
    )
}
CPU_RATE = 44e9  # operations a second of one thread in float32: full CPT of lab/medical, seeds 0 to 2 (docs/plan.md)
CPU_BANDWIDTH = 5.7e9  # bytes a second of one thread, small kernels: lora of lab/medical, seed 0 (docs/plan.md)
PAPER = ("a100-40", "a100-80", "h100", "h200", "l40s", "rtx4090", "a6000", "mi300x")


def device(name: str, option: str = "--device") -> Device:
    """The device of that name; "cpu" is this machine's. Raises InputError for an unknown name."""
    if name == "cpu":
        return this_cpu()
    if name.lower() not in DEVICES:
        raise unknown_name(option, "device", name, [*DEVICES, "cpu"])
    return DEVICES[name.lower()]


def this_cpu() -> Device:
    """This machine's processor as a cell uses it, with as many threads as a worker has."""
    import psutil

    from adept_bench.suite.machine import device_name, threads

    count = threads()
    title = f"cpu, {count} thread{'' if count == 1 else 's'}"
    source = f"{device_name()}; rate of the lab's machine unless measured"
    memory = float(psutil.virtual_memory().total)
    return Device("cpu", title, CPU_RATE * count, CPU_RATE * count, memory, CPU_BANDWIDTH * count, source)


def chosen(names: Sequence[str] | None, lab: bool) -> list[Device]:
    """The devices named; by default this processor for the lab's presets, else all accelerators of the table."""
    if names is None:
        return [this_cpu()] if lab else [DEVICES[name] for name in PAPER]
    if not names:
        raise InputError(f"--device: no name given; expected some of: {', '.join([*DEVICES, 'cpu'])}")
    return [device(name) for name in dict.fromkeys(names)]


# parts of the name that a driver gives, most telling first
_DRIVER_NAMES = {
    "h200": "h200",
    "h100": "h100",
    "a100-sxm4-80": "a100-80",
    "a100 80": "a100-80",
    "a100": "a100-40",
    "l40s": "l40s",
    "4090": "rtx4090",
    "a6000": "a6000",
    "mi300x": "mi300x",
}


# parts of names of slower relatives, whose peaks are others
_RELATIVES = (" mig ", "h100 pcie", "h100 nvl", "h200 nvl", "4090 d", "4090 laptop")


def known_device(name: str) -> Device | None:
    """The device of the table that a driver's name (`torch.cuda.get_device_name`) stands for; None for others."""
    if any(part in f"{name.lower()} " for part in _RELATIVES):
        return None
    return next((DEVICES[known] for part, known in _DRIVER_NAMES.items() if part in name.lower()), None)
