"""Every claim of the ledger on every preset: estimate, intervals, p-values, verdict, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adept_bench.claims.comparing import targets_of, without_target
from adept_bench.claims.declared import on_preset
from adept_bench.claims.families import CORRECTIONS, Corrected, corrected
from adept_bench.claims.finding import Finding
from adept_bench.claims.ledger import FAMILIES, Claim, Family, Ledger, Reported
from adept_bench.claims.loading import load_ledger
from adept_bench.claims.power import POWER, smallest_effect
from adept_bench.claims.shown import Shown, shown_of
from adept_bench.claims.units import unscaled
from adept_bench.claims.verdicts import INCONCLUSIVE, LEVEL, NO_DATA, Evidence, Interval, Ruling, Target, judge
from adept_bench.results.schema import Cell


def evaluate(cells: Sequence[Cell], ledger: Ledger | None = None) -> list[dict[str, Any]]:
    """One dict a preset and claim: presets by name, claims in the ledger's order. `cells`: of all rates.

    Keys: "preset", "id", "variant_of", "about", "statement", "where", "note", "suites", "measure", "unit", "direction",
    "null", "least", "asserts", "paper" (list of "value", "unit", "kind", "levels", "layers", "of", "backbone", "task",
    "source", "rounding", and "compared": the interval here that it was compared with, or None),
    "suite", "estimate" ("value", "low", "high", "level", "adjusted_low", "adjusted_high", "adjusted_level", "over") or
    None, "beside" (list of "what", "value", "low", "high": other choices, not judged), "span" ("held", "low", "high",
    "ends") or None, "family", "correction", "p", "p_adjusted", "tests" (hypotheses in the family), "cells", "seeds",
    "items", "sources" (result files), "left_out" (what does not count, in words, or ""), "verdict", "kind" (of what is
    inconclusive: bounded, underpowered, undecidable, else None), "bound" (bounded: no effect is larger), "detectable"
    (inconclusive: the smallest effect that would be found in 80% of cases, or None), "rule", "missing" ("suites",
    "methods").
    """
    ledger = ledger or load_ledger()
    presets = sorted({cell.preset for cell in cells})
    rows: list[dict[str, Any]] = []
    for name in presets:
        mine = on_preset(ledger, name)
        rows += rows_of(name, shown_of([cell for cell in cells if cell.preset == name], mine), mine)
    return rows


def rows_of(preset: str, shown: Sequence[Shown], ledger: Ledger) -> list[dict[str, Any]]:
    """A row a claim (see `evaluate`), the p-values of each family corrected together."""
    families = corrected_families(shown)
    return [_row(preset, one, families[one.claim.family], ledger) for one in shown]


def corrected_families(shown: Sequence[Shown]) -> Mapping[Family, Corrected]:
    """Each family with the p-values of its claims that can be tested."""
    p_values: dict[Family, dict[str, float]] = {family: {} for family in FAMILIES}
    for one in shown:
        if one.testable and (p := p_of(one)) is not None:
            p_values[one.claim.family][one.claim.id] = p
    return {family: corrected(family, values) for family, values in p_values.items()}


def p_of(shown: Shown) -> float | None:
    """The raw p-value; None where there is none."""
    return shown.finding.p_value(shown.claim.baseline) if shown.finding else None


@dataclass(frozen=True)
class _Intervals:
    """Of one claim: by itself, and at the level of its family."""

    own: Interval | None
    adjusted: Interval | None

    @classmethod
    def of(cls, finding: Finding | None, level: float) -> _Intervals:
        """Those of the finding; none without one."""
        return cls(finding.interval(LEVEL), finding.interval(level)) if finding else cls(None, None)


def _row(preset: str, shown: Shown, family: Corrected, ledger: Ledger) -> dict[str, Any]:
    claim, finding = shown.claim, shown.finding
    targets = targets_of(shown, ledger, family.level)
    intervals = _Intervals.of(finding, family.level)
    ruling = _ruling(shown, family, intervals, [target for target in targets if target], ledger)
    left_out = finding.left_out if finding else ""
    return {
        "preset": preset,
        "id": claim.id,
        "variant_of": claim.variant_of,
        "about": claim.about,
        "statement": claim.statement,
        "where": claim.where,
        "note": claim.note,
        "suites": list(claim.suites),
        "measure": claim.measure.model_dump(exclude_none=True),
        "unit": claim.measure.unit,
        "direction": claim.direction,
        "null": claim.baseline,
        "least": claim.least,
        "asserts": claim.asserts,
        "paper": [_reported(claim, one, target) for one, target in zip(claim.paper, targets, strict=True)],
        "suite": shown.suite,
        "estimate": _estimate(finding, intervals, family.level) if finding else None,
        "beside": [asdict(one) for one in finding.beside] if finding else [],
        "span": asdict(finding.span) if finding and finding.span else None,
        "family": family.family,
        "correction": CORRECTIONS[family.family],
        "p": p_of(shown),
        "p_adjusted": family.adjusted.get(claim.id),
        "tests": family.tests,
        "cells": len(finding.cells) if finding else 0,
        "seeds": list(finding.seeds) if finding else [],
        "items": finding.items if finding else 0,
        "sources": finding.files if finding else [],
        "left_out": left_out,
        "verdict": ruling.verdict,
        "kind": ruling.kind,
        "bound": ruling.bound,
        "detectable": _detectable(claim, finding, family.level) if ruling.verdict == INCONCLUSIVE else None,
        "rule": f"{ruling.rule}; {left_out}" if left_out else ruling.rule,
        "missing": dict(shown.missing),
    }


def _ruling(
    shown: Shown, family: Corrected, intervals: _Intervals, targets: Sequence[Target], ledger: Ledger
) -> Ruling:
    claim, finding = shown.claim, shown.finding
    if finding is None and not shown.undecidable:
        return Ruling(NO_DATA, shown.reason)
    if finding is None:
        return Ruling(INCONCLUSIVE, shown.undecidable, "undecidable")
    evidence = Evidence(
        finding.estimate,
        intervals.own,
        intervals.adjusted,
        family.adjusted.get(claim.id),
        finding.exact is not None,
        finding.untestable,
        shown.undecidable,
    )
    return judge(
        claim.direction,
        claim.baseline,
        claim.least,
        claim.asserts,
        evidence,
        targets,
        without_target(shown, ledger),
        claim.measure.unit,
        CORRECTIONS[family.family],
    )


def _detectable(claim: Claim, finding: Finding | None, level: float) -> float | None:
    """The smallest effect found in 80% of repetitions of what was seen: a distance, of ratios a factor."""
    if finding is None or finding.spread is None or finding.untestable:
        return None
    return unscaled(claim.measure.unit, smallest_effect(finding.spread, level, POWER))


def _estimate(finding: Finding, intervals: _Intervals, level: float) -> dict[str, Any]:
    low, high = intervals.own or (None, None)
    adjusted_low, adjusted_high = intervals.adjusted or (None, None)
    return {
        "value": finding.estimate,
        "low": low,
        "high": high,
        "level": LEVEL,
        "adjusted_low": adjusted_low,
        "adjusted_high": adjusted_high,
        "adjusted_level": level,
        "over": finding.over,
    }


def _reported(claim: Claim, reported: Reported, target: Target | None) -> dict[str, Any]:
    compared = {"low": target.interval[0], "high": target.interval[1]} if target else None
    return {
        "value": claim.size(reported),
        "unit": claim.measure.unit,
        **reported.model_dump(exclude={"value"}),
        "compared": compared,
    }
