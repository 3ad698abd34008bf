"""What one preset shows of each claim: the finding, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adept_bench.claims.conditions import undecidable
from adept_bench.claims.finding import Finding, UndecidableError
from adept_bench.claims.ledger import PATHS, Claim, Conditions, Ledger
from adept_bench.claims.measures import MEASURES
from adept_bench.claims.sides import Sides, Whole
from adept_bench.config.names import RESERVED_METHODS
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell


@dataclass(frozen=True)
class Shown:
    """What one preset shows of one claim. Without a finding, `undecidable`, `missing` or `reason` says why."""

    claim: Claim
    suite: str | None = None
    sides: Sides = field(default_factory=dict)
    """The suite's cells that the finding was made from, by method."""
    finding: Finding | None = None
    undecidable: str = ""
    """Why the results cannot speak of the claim, whatever they are."""
    missing: Mapping[str, list[str]] = field(default_factory=dict)
    reason: str = ""

    @property
    def testable(self) -> bool:
        """Whether it is tested, and so counted in its family."""
        finding = self.finding
        return finding is not None and not finding.untestable and not self.undecidable and self.claim.family != "exact"


@dataclass(frozen=True)
class Suite:
    """The cells of one (preset, suite) by method: those of the chosen rates, and those of all rates."""

    chosen: Sides
    every: Sides


def shown_of(cells: Sequence[Cell], ledger: Ledger) -> list[Shown]:
    """One for each claim of the ledger, and for each method it is also told for that has cells here."""
    suites = _suites(cells)
    claims = [told for claim in ledger.claims for told in (claim, *_also(claim, suites))]
    return [_show(claim, suites, ledger.conditions) for claim in claims]


def _suites(cells: Sequence[Cell]) -> dict[str, Suite]:
    found: dict[str, tuple[dict[str, list[Cell]], dict[str, list[Cell]]]] = {}
    for cell in cells:
        chosen, every = found.setdefault(cell.suite, ({}, {}))
        every.setdefault(cell.method, []).append(cell)
        if cell.chosen:
            chosen.setdefault(cell.method, []).append(cell)
    return {name: Suite(chosen, Whole(every)) for name, (chosen, every) in found.items()}


def _also(claim: Claim, suites: Mapping[str, Suite]) -> list[Claim]:
    return [
        claim.told_for(method)
        for method in claim.also
        if any(method in suites[suite].every for suite in claim.suites if suite in suites)
    ]


def _show(claim: Claim, suites: Mapping[str, Suite], conditions: Conditions) -> Shown:
    """The finding on the first of the claim's suites that gives one, or what is missing on all of them."""
    absent: list[str] = []
    methods: dict[str, None] = {}
    reasons: list[str] = []
    for name in claim.suites:
        suite = suites.get(name)
        if suite is None:
            absent.append(name)
            continue
        sides = suite.every if claim.measure.name in PATHS else suite.chosen
        lacking = [method for method in claim.measure.methods if method not in sides]
        if lacking:
            methods |= dict.fromkeys(lacking)
            reasons.append(f"suite {name} without {', '.join(map(_named, lacking))}")
            continue
        try:
            finding = MEASURES[claim.measure.name](sides, claim.measure, None)
        except UndecidableError as error:
            return Shown(claim, name, sides, undecidable=str(error))
        except InputError as error:
            reasons.append(str(error))
        else:
            return Shown(claim, name, sides, finding, undecidable(claim, suite.chosen, finding, conditions))
    if absent:
        reasons.append(f"no suite {' or '.join(absent)}")
    return Shown(claim, missing={"suites": absent, "methods": list(methods)}, reason="; ".join(dict.fromkeys(reasons)))


def _named(method: str) -> str:
    return f"{method} (not implemented)" if method in RESERVED_METHODS else method
