"""The paper's claim on training time, judged by the timings of `bench`: one run a method, random weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from adept_bench.analysis.spread import of_seeds
from adept_bench.claims.conditions import undecidable
from adept_bench.claims.evaluation import rows_of
from adept_bench.claims.finding import Finding
from adept_bench.claims.ledger import Claim, Conditions, Ledger
from adept_bench.claims.loading import load_ledger
from adept_bench.claims.shown import Shown
from adept_bench.results.timing import Timing, conditions

TRAINING_TIME = "training-time"
"""The claim that timings speak of."""

Timed = Mapping[str, tuple[str, Timing]]
"""By method: place of the file, and its content."""


def evaluate_timings(timings: Mapping[str, Timing], ledger: Ledger | None = None) -> list[dict[str, Any]]:
    """A row (see `evaluation.evaluate`) for each device and shape, "preset" naming both.

    The estimate is the geometric mean of the ratios of step times, steps paired as they came, with Student's t over
    steps: it speaks of these two runs on this device, not of other devices. Steps alone, as the claim has it: probing
    and refreshes are stored apart. Each device and shape is a family of its own.
    """
    ledger = ledger or load_ledger()
    claim = next(claim for claim in ledger.claims if claim.id == TRAINING_TIME)
    found: dict[tuple[str, str], dict[str, tuple[str, Timing]]] = {}
    for place, timing in timings.items():
        found.setdefault((timing.shape, timing.device), {})[timing.method] = (place, timing)
    return [
        row
        for (shape, device), by_method in sorted(found.items())
        for row in rows_of(f"{shape} timed on {device}", [_shown(claim, by_method, ledger.conditions)], ledger)
    ]


def _shown(claim: Claim, by_method: Timed, limits: Conditions) -> Shown:
    lacking = [method for method in claim.measure.methods if method not in by_method]
    if lacking:
        missing = {"suites": [], "methods": lacking}
        return Shown(claim, missing=missing, reason=f"no timing of {' and '.join(lacking)}")
    (place, mine), (other_place, other) = (by_method[method] for method in claim.measure.methods)
    if conditions(mine) != conditions(other):
        differing = sorted(key for key, value in conditions(mine).items() if other.settings.get(key) != value)
        return Shown(claim, reason=f"timings of different settings: {', '.join(differing)}")
    # as many steps as both have: those directly after a refresh are left out of a timing
    logs = [math.log(one / two) for one, two in zip(mine.step_seconds, other.step_seconds)]
    several = len(logs) > 1
    finding = Finding(
        "ratio",
        math.exp(sum(logs) / len(logs)),
        (),
        (),
        "steps of one run",
        of_seeds(logs) if several else None,
        untestable="" if several else "one step: nothing is known of the spread over steps",
        timings=(place, other_place),
        timed=(mine.shape, mine.total_parameters),
    )
    return Shown(claim, finding=finding, undecidable=undecidable(claim, {}, finding, limits))
