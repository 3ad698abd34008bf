"""When a preset's results cannot speak of a claim, whatever they are; the ledger has the limits (`conditions`)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from adept_bench.analysis.rankings import spearman
from adept_bench.claims.finding import Finding
from adept_bench.claims.layers import by_chance, importance_of
from adept_bench.claims.ledger import Claim, Conditions, Reason
from adept_bench.claims.sides import Sides
from adept_bench.claims.verdicts import ALPHA


def undecidable(claim: Claim, sides: Sides, finding: Finding, conditions: Conditions) -> str:
    """The first reason that holds, in words; empty where the claim can be decided.

    `sides`: the suite's cells by method, of chosen rates.
    """
    found = (_REASONS[name](claim, sides, finding, conditions) for name in claim.undecidable)
    return next(filter(None, found), "")


def _base_at_chance(claim: Claim, sides: Sides, finding: Finding, conditions: Conditions) -> str:
    group, limit = claim.measure.group or "domain", conditions.base_at_chance.corrected_at_most
    scores = [
        score for cell in sides.get("vanilla", ()) if (score := cell.groups_chance_corrected.get(group)) is not None
    ]
    if not scores or (mean := float(np.mean(scores))) > limit:
        return ""
    return f"the base is at chance on {group}: {100 * mean:.1f}% of what can be had beyond it"


def _small_model(claim: Claim, sides: Sides, finding: Finding, conditions: Conditions) -> str:
    limit = conditions.small_model.parameters_below
    if finding.parameters >= limit:
        return ""
    return f"a model of {finding.parameters / 1e6:.1f}M parameters, below {limit / 1e6:.0f}M: no measure of larger ones"


def _flat_depth(claim: Claim, sides: Sides, finding: Finding, conditions: Conditions) -> str:
    limit = conditions.flat_depth
    profiles = [profile[1:] for cell in finding.cells if (profile := importance_of(cell))]
    if len(profiles) < limit.bases or len({len(one) for one in profiles}) > 1:
        return ""
    agreement = float(np.mean([spearman(one, other) or 0.0 for one, other in combinations(profiles, 2)]))
    chance = by_chance(claim.measure, finding.cells)
    if agreement > limit.agreement_at_most or chance < ALPHA:
        return ""
    return (
        f"no depth structure: without the first layer, orders of layers agree by {agreement:.2f} between bases; layers "
        f"in random order give such an estimate in {100 * chance:.0f}% of cases"
    )


def _rehearsed(claim: Claim, sides: Sides, finding: Finding, conditions: Conditions) -> str:
    for name in claim.measure.methods:
        for cell in sides.get(name, ()):
            corpus = (cell.config.get("data") or {}).get("general")
            if corpus in conditions.rehearsed.corpora and cell.training.mix.get("replay_share"):
                return f"{name} rehearses the facts that are asked: {corpus} states them"
    return ""


_REASONS: dict[Reason, Callable[[Claim, Sides, Finding, Conditions], str]] = {
    "base-at-chance": _base_at_chance,
    "small-model": _small_model,
    "flat-depth": _flat_depth,
    "rehearsed": _rehearsed,
}
