"""The ledger as it stands on one preset: what the preset declared before its first cell is then its primary family."""

from __future__ import annotations

from functools import lru_cache

from adept_bench.claims.ledger import Assumed, Claim, Ledger, Measure
from adept_bench.config.experiments import load_preset, preset_names
from adept_bench.config.schema import Declared

ABOUT = "declared by the preset"
_KEPT = {
    "accuracy": "more general accuracy",
    "statement": "more recall of general facts",
    "loss": "general text better",
}
_LEARNED = {"accuracy": "accuracy", "statement": "accuracy", "loss": "loss"}


@lru_cache
def declared_by(preset: str) -> Declared | None:
    """What the shipped preset of that name declared; None where there is none, or it did not."""
    return load_preset(preset).declared if preset in preset_names() else None


def on_preset(ledger: Ledger, preset: str) -> Ledger:
    """The ledger, with the preset's own claims for primary ones in place of its own, which are then secondary."""
    declared = declared_by(preset)
    if declared is None:
        return ledger
    others = [
        one.model_copy(update={"family": "secondary"}) if one.family == "primary" else one for one in ledger.claims
    ]
    claims = [_claim(declared, reference) for reference in declared.references]
    unit = claims[0].measure.unit
    assumed = {**ledger.assumed, unit: Assumed(**declared.assumed.model_dump())}
    return ledger.model_copy(update={"claims": [*claims, *others], "assumed": assumed})


def in_words(preset: str) -> str:
    """What the preset declared, a sentence; empty where it did not."""
    declared = declared_by(preset)
    if declared is None:
        return ""
    by = {"accuracy": "accuracy", "statement": "recall of facts", "loss": "loss, document by document"}[declared.by]
    assumed, unit = declared.assumed, "nats" if declared.by == "loss" else "points"
    return (
        f"declared in the preset before its first cell: {_shown(declared.method)} against "
        f"{', '.join(declared.references)} in general {by}, where both have learned {100 * declared.level:g}% of what "
        f"full CPT learns at its best (suite {declared.suite}); all other claims are secondary. Spread assumed then: "
        f"{assumed.seed_sd:g} {unit} between seeds, {assumed.item_error:g} of {assumed.items} items"
    )


def _claim(declared: Declared, reference: str) -> Claim:
    share = f"{100 * declared.level:g}%"
    return Claim(
        id=f"declared-kept-over-{reference}",
        about=ABOUT,
        statement=f"where both have learned {share} of what full CPT learns at its best ({declared.suite}, "
        f"{_LEARNED[declared.by]}), {_shown(declared.method)} keeps {_KEPT[declared.by]} than {reference}",
        where="Table 1",
        suites=[declared.suite],
        measure=Measure(name="kept", method=declared.method, reference=reference, by=declared.by, level=declared.level),
        direction="greater",
        family="primary",
        also=declared.also,
    )


def _shown(method: str) -> str:
    return "ADEPT" if method == "adept" else method
