"""Every claim of the ledger on every preset: estimate, intervals, p-values, verdict, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adept_bench.claims.finding import Finding
from adept_bench.claims.holm import holm
from adept_bench.claims.ledger import Claim, Ledger, Reported, load_ledger
from adept_bench.claims.measures import MEASURES
from adept_bench.claims.verdicts import ALPHA, LEVEL, NO_DATA, Evidence, Ruling, Target, judge
from adept_bench.config.names import RESERVED_METHODS
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

Suites = Mapping[str, Mapping[str, Sequence[Cell]]]


@dataclass(frozen=True)
class Shown:
    """What one preset shows of one claim. Without a finding, `missing` or `reason` says why."""

    claim: Claim
    suite: str | None = None
    sides: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    finding: Finding | None = None
    missing: dict[str, list[str]] = field(default_factory=dict)
    reason: str = ""


def evaluate(cells: Sequence[Cell], ledger: Ledger | None = None) -> list[dict[str, Any]]:
    """One dict a preset and claim: presets by name, claims in the ledger's order.

    Keys: "preset", "id", "about", "statement", "note", "suites", "measure", "unit", "direction", "null", "least",
    "asserts", "paper" (list of "value", "unit", "kind", "levels", "layers", "of", "backbone", "task", "source",
    "rounding", and "compared": the interval here that it was compared with, or None),
    "suite", "estimate" ("value", "low", "high", "level", "adjusted_low", "adjusted_high", "adjusted_level", "over") or
    None, "p", "p_adjusted", "tests" (hypotheses in the family), "cells", "seeds", "items", "sources" (result files),
    "left_out" (pairs of cells that do not count, in words, or ""), "verdict", "rule", "missing" ("suites", "methods").
    """
    ledger = ledger or load_ledger()
    presets = sorted({cell.preset for cell in cells})
    return [row for name in presets for row in _preset(name, [c for c in cells if c.preset == name], ledger)]


def _preset(preset: str, cells: Sequence[Cell], ledger: Ledger) -> list[dict[str, Any]]:
    suites: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        suites.setdefault(cell.suite, {}).setdefault(cell.method, []).append(cell)
    shown = [_show(claim, suites) for claim in ledger.claims]
    return rows_of(preset, shown, ledger)


def rows_of(preset: str, shown: Sequence[Shown], ledger: Ledger) -> list[dict[str, Any]]:
    """A row a claim (see `evaluate`), their p-values corrected together."""
    raw = [one.finding.p_value(one.claim.baseline) if one.finding else None for one in shown]
    family = [place for place, one in enumerate(shown) if _in_family(one) and raw[place] is not None]
    adjusted = dict(zip(family, holm([p for place in family if (p := raw[place]) is not None]), strict=True))
    return [_row(preset, one, raw[place], adjusted.get(place), len(family), ledger) for place, one in enumerate(shown)]


def _in_family(shown: Shown) -> bool:
    return shown.claim.family and shown.finding is not None and not shown.finding.untestable


def _show(claim: Claim, suites: Suites) -> Shown:
    """The finding on the first of the claim's suites that gives one, or what is missing on all of them."""
    absent: list[str] = []
    methods: dict[str, None] = {}
    reasons: list[str] = []
    for suite in claim.suites:
        sides = suites.get(suite)
        if sides is None:
            absent.append(suite)
            continue
        lacking = [method for method in claim.measure.methods if method not in sides]
        if lacking:
            methods |= dict.fromkeys(lacking)
            reasons.append(f"suite {suite} without {', '.join(map(_named, lacking))}")
            continue
        try:
            return Shown(claim, suite, sides, MEASURES[claim.measure.name](sides, claim.measure, None))
        except InputError as error:
            reasons.append(str(error))
    if absent:
        reasons.append(f"no suite {' or '.join(absent)}")
    return Shown(claim, missing={"suites": absent, "methods": list(methods)}, reason="; ".join(reasons))


def _named(method: str) -> str:
    return f"{method} (not implemented)" if method in RESERVED_METHODS else method


def _row(
    preset: str, shown: Shown, raw: float | None, adjusted: float | None, tests: int, ledger: Ledger
) -> dict[str, Any]:
    claim, finding = shown.claim, shown.finding
    level = 1 - ALPHA / max(tests, 1)
    targets = _targets(shown, ledger, level)
    if finding is None:
        ruling = Ruling(NO_DATA, shown.reason)
    else:
        evidence = Evidence(
            finding.estimate,
            finding.interval(LEVEL),
            finding.interval(level),
            adjusted,
            finding.exact is not None,
            finding.untestable,
        )
        ruling = judge(
            claim.direction,
            claim.baseline,
            claim.least,
            claim.asserts,
            evidence,
            [target for target in targets if target],
            _without_target(shown, ledger),
        )
    left_out = finding.left_out if finding else ""
    return {
        "preset": preset,
        "id": claim.id,
        "about": claim.about,
        "statement": claim.statement,
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
        "estimate": _estimate(finding, level) if finding else None,
        "p": raw,
        "p_adjusted": adjusted,
        "tests": tests,
        "cells": len(finding.cells) if finding else 0,
        "seeds": list(finding.seeds) if finding else [],
        "items": finding.items if finding else 0,
        "sources": finding.files if finding else [],
        "left_out": left_out,
        "verdict": ruling.verdict,
        "rule": f"{ruling.rule}; {left_out}" if left_out else ruling.rule,
        "missing": shown.missing,
    }


def _estimate(finding: Finding, level: float) -> dict[str, Any]:
    low, high = finding.interval(LEVEL) or (None, None)
    adjusted_low, adjusted_high = finding.interval(level) or (None, None)
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


def _targets(shown: Shown, ledger: Ledger, level: float) -> list[Target | None]:
    """For each reported number, what it may be compared with here; None where it may not be."""
    return [_target(shown, reported, ledger, level) for reported in shown.claim.paper]


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


def _without_target(shown: Shown, ledger: Ledger) -> str:
    """Why the size of an established effect is not judged."""
    models = shown.finding.models if shown.finding else []
    if all(shown.claim.size(one) is None for one in shown.claim.paper):
        return "the paper's size is not known"
    if any(_backbone(model, ledger) is None for model in models):
        return "size not judged: none of the paper's backbones"
    return "size not judged: reported of another backbone or task"
