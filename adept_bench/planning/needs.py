"""What of a GPU's memory a preset asks, as `plan` counts it, for `doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.planning.devices import GIB, Device
from adept_bench.planning.estimate import Estimate, Workbench
from adept_bench.planning.fit import Fit

if TYPE_CHECKING:
    from adept_bench.config.schema import Preset

SHOWN = ("adept", "full")
"""A method that trains a part, and the one that trains everything; `plan` has the others."""


@dataclass(frozen=True)
class GpuNeed:
    """The peak of a step in bytes as configured, and whether it fits: None where there is no GPU."""

    method: str
    peak: int
    fit: Fit | None = None

    def fits(self, gpus: int, memory: float) -> bool:
        """Whether so many GPUs and GiB of main memory are enough, if need be with other settings."""
        if self.fit is None or self.fit.settings is None:
            return False
        return self.fit.settings.shards <= gpus and self.fit.main <= memory * GIB


def gpu_needs(preset: Preset, gpus: Sequence[float]) -> list[GpuNeed]:
    """What each of `SHOWN` needs, in the domain of the preset where it needs most. gpus: the memory of each in GiB.

    Several GPUs count as so many of the smallest. Raises InputError where the model's configuration cannot be read.
    """
    from adept_bench.config.loading import resolve
    from adept_bench.config.schema import Suite
    from adept_bench.methods.registry import get
    from adept_bench.planning.architectures import config_of
    from adept_bench.planning.plan import assumed_layers

    architecture, _ = config_of(preset.model)
    bench = Workbench(architecture, preset.model.dtype, preset.model.trust_remote_code)
    device = Device("here", "here", 0, 0, min(gpus) * GIB, 0, "this machine") if gpus else None
    configs = [resolve(Suite(name="doctor", domain=domain), preset) for domain in preset.data.domains]
    found = []
    for method in SHOWN:
        estimates = []
        for config in configs:
            layers, _ = assumed_layers(config, bench.depth)
            estimates.append(Estimate(bench, get(method, config.options), config, config.selection.seed, layers))
        most = max(estimates, key=lambda one: one.peak)
        peak = most.peak_on(max(1, len(gpus)))
        found.append(GpuNeed(method, peak, most.fit(device, len(gpus)) if device else None))
    return found
