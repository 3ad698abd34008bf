"""The verdict on a claim, from numbers alone. docs/claims.md says the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adept_bench.claims.ledger import Direction
from adept_bench.claims.units import LARGE, Unit, largest_distance

ALPHA = 0.05
LEVEL = 1 - ALPHA

REPRODUCED = "reproduced"
DIRECTION = "direction reproduced"
NOT = "not reproduced"
INCONCLUSIVE = "inconclusive"
NO_DATA = "no data"
VERDICTS = (REPRODUCED, DIRECTION, NOT, INCONCLUSIVE, NO_DATA)

Kind = Literal["bounded", "underpowered", "undecidable"]
KINDS: tuple[Kind, ...] = ("bounded", "underpowered", "undecidable")
"""Of what is inconclusive."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """What the results show, in the claim's unit.

    `p_adjusted` None: there is no test, and `why` says so. `exact`: the numbers are known without error (a share of
    parameters) and need none; `adjusted` is then their range over cells.
    """

    estimate: float
    interval: Interval | None
    """95% interval of this claim alone."""
    adjusted: Interval | None
    """Interval at the level of the claim's family."""
    p_adjusted: float | None
    exact: bool = False
    why: str = ""
    undecidable: str = ""
    """Why the results cannot speak of the claim, whatever they are; empty where they can."""


@dataclass(frozen=True)
class Target:
    """A reported number that may be compared here: on the paper's backbone and, where it has one, its task."""

    value: float
    interval: Interval
    """95% interval of the same quantity here; for a bound the adjusted interval."""
    bound: bool = False
    slack: float = 0.0
    """Half of the last digit that a bound is given with."""


@dataclass(frozen=True)
class Ruling:
    """The verdict, the rule that gave it and, where it is inconclusive, of which kind."""

    verdict: str
    rule: str
    kind: Kind | None = None
    bound: float | None = None
    """Of `bounded`: no effect is larger, either way. A distance from no effect; of ratios a factor."""


def judge(
    direction: Direction,
    null: float,
    least: float,
    asserts: Literal["size", "direction"],
    evidence: Evidence,
    targets: Sequence[Target] = (),
    without_target: str = "no size is known",
    unit: Unit = "points",
    correction: str = "Holm",
) -> Ruling:
    """The verdict.

    `null`: the estimate should be on its `direction` side. `least`: the smallest effect worth speaking of. `asserts`:
    whether the paper claims a size or only the direction. `targets`: reported numbers that may be compared here, and
    `without_target` why there are none. `correction`: the name of the family's.
    """
    if evidence.undecidable:
        return Ruling(INCONCLUSIVE, evidence.undecidable, "undecidable")
    if evidence.exact and evidence.adjusted is not None:
        if not _beyond(direction, _near_end(direction, evidence.adjusted), null):
            return Ruling(NOT, "exact: not on the claimed side in every cell")
        return _sized(direction, asserts, targets, "exact: on the claimed side in every cell", without_target)
    if evidence.p_adjusted is None:
        return Ruling(INCONCLUSIVE, evidence.why or "no test", "underpowered")
    if evidence.p_adjusted < ALPHA and evidence.estimate != null:
        if not _beyond(direction, evidence.estimate, null):
            return Ruling(NOT, f"opposite direction, after {correction}")
        return _sized(direction, asserts, targets, f"claimed direction, after {correction}", without_target)
    if evidence.adjusted is not None and not _beyond(direction, _far_end(direction, evidence.adjusted), least):
        return Ruling(NOT, f"no effect worth speaking of: the adjusted interval does not reach {least:g}")
    return _open(null, evidence, unit)


def _open(null: float, evidence: Evidence, unit: Unit) -> Ruling:
    """Neither told apart from no effect nor shown to be without one: how large it may be at most, if that says much."""
    if evidence.adjusted is not None:
        bound = largest_distance(unit, *evidence.adjusted, null)
        if bound <= LARGE[unit]:
            return Ruling(INCONCLUSIVE, "not told apart from no effect, and no large one", "bounded", bound)
    return Ruling(INCONCLUSIVE, "not told apart from no effect, and a large one is not ruled out", "underpowered")


def _sized(direction: Direction, asserts: str, targets: Sequence[Target], established: str, none: str) -> Ruling:
    """The verdict where the direction is established."""
    if asserts == "direction":
        return Ruling(REPRODUCED, f"{established}; the claim is a direction")
    if not targets:
        return Ruling(DIRECTION, f"{established}; {none}")
    missed = [target for target in targets if not compatible(direction, target)]
    if missed:
        return Ruling(DIRECTION, f"{established}; short of the reported {', '.join(f'{t.value:g}' for t in missed)}")
    return Ruling(REPRODUCED, f"{established}; compatible with the reported {'bound' if targets[0].bound else 'size'}")


def compatible(direction: Direction, target: Target) -> bool:
    """A size: the interval holds it or lies beyond it. A bound: the whole interval lies on the claimed side."""
    if not target.bound:
        end = _far_end(direction, target.interval)
        return end == target.value or _beyond(direction, end, target.value)
    slack = target.slack if direction == "less" else -target.slack
    return _beyond(direction, _near_end(direction, target.interval), target.value + slack)


def _beyond(direction: Direction, value: float, other: float) -> bool:
    return value > other if direction == "greater" else value < other


def _far_end(direction: Direction, interval: Interval) -> float:
    return interval[1] if direction == "greater" else interval[0]


def _near_end(direction: Direction, interval: Interval) -> float:
    return interval[0] if direction == "greater" else interval[1]
