"""With which of the paper's numbers a finding may be compared, and what of it."""

from __future__ import annotations

from adept_bench.claims.ledger import Ledger, Reported
from adept_bench.claims.measures import MEASURES
from adept_bench.claims.shown import Shown
from adept_bench.claims.verdicts import LEVEL, Target
from adept_bench.errors import InputError


def targets_of(shown: Shown, ledger: Ledger, level: float) -> list[Target | None]:
    """For each reported number, what it may be compared with here; None where it may not be.

    `level`: of the interval that a bound is held against.
    """
    return [_target(shown, reported, ledger, level) for reported in shown.claim.paper]


def without_target(shown: Shown, ledger: Ledger) -> str:
    """Why the size of an established effect is not judged."""
    models = shown.finding.models if shown.finding else []
    if all(shown.claim.size(one) is None for one in shown.claim.paper):
        return "the paper's size is not known"
    if any(_backbone(model, ledger) is None for model in models):
        return "size not judged: none of the paper's backbones"
    return "size not judged: reported of another backbone or task"


def _target(shown: Shown, reported: Reported, ledger: Ledger, level: float) -> Target | None:
    """A size or bound is comparable on the backbone it is reported of (any of the paper's, where none is named)."""
    claim, finding, size = shown.claim, shown.finding, shown.claim.size(reported)
    if finding is None or size is None or reported.kind == "maximum":
        return None
    backbones = {_backbone(model, ledger) for model in finding.models}
    if None in backbones or (reported.backbone and backbones != {reported.backbone}):
        return None
    if reported.task:
        try:
            finding = MEASURES[claim.measure.name](shown.sides, claim.measure, ledger.tasks[reported.task])
        except InputError:
            return None  # the preset does not ask this task
    bound = reported.kind == "bound"
    interval = finding.interval(level if bound else LEVEL)
    return Target(size, interval, bound, reported.rounding) if interval else None


def _backbone(model: str, ledger: Ledger) -> str | None:
    """The paper's backbone that a base model is, by the last part of its folder or Hub id, or its shape's name."""
    last = model.rstrip("/").rpartition("/")[2].lower()
    found = [name for name, aliases in ledger.backbones.items() if last in {name.lower(), *map(str.lower, aliases)}]
    return found[0] if found else None
