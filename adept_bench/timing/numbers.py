"""Numbers that follow from a stored timing; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np

from adept_bench.results.timing import Timing


@dataclass(frozen=True)
class Numbers:
    """Seconds. low, high: quartiles of the steps. share_of_peak: of the stated one, None where none is known."""

    step: float
    low: float
    high: float
    tokens_per_second: float
    share_of_peak: float | None
    refresh: float | None


def numbers(timing: Timing) -> Numbers:
    """Of the median step."""
    step = median(timing.step_seconds)
    low, high = np.quantile(timing.step_seconds, [0.25, 0.75])
    share = timing.flops_per_step / step / timing.peak_flops if timing.peak_flops else None
    refresh = median(timing.refresh_seconds) if timing.refresh_seconds else None
    return Numbers(step, float(low), float(high), timing.tokens_per_step / step, share, refresh)
