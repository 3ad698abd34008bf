"""Before a run: the smallest effect that each claim could see with 3, 5 and 10 seeds, and what that assumes.

Spreads are those of stored results where there are any, else the ledger's (`assumed`): the standard deviation over
seeds is taken as it is, and the error from items does not shrink with seeds. What is told is the effect found in 80% of
repetitions at the level a claim has at its hardest, alone in its family (0.05 over the number of claims), and at 5%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adept_bench.analysis.spread import Spread
from adept_bench.claims.declared import on_preset
from adept_bench.claims.families import CORRECTIONS, family_level
from adept_bench.claims.ledger import FAMILIES, Assumed, Claim, Family, Ledger
from adept_bench.claims.loading import load_ledger
from adept_bench.claims.power import POWER, smallest_effect
from adept_bench.claims.shown import Shown, shown_of
from adept_bench.claims.units import Unit, unscaled
from adept_bench.claims.verdicts import LEVEL
from adept_bench.config.names import RESERVED_METHODS
from adept_bench.results.schema import Cell

SEEDS = (3, 5, 10)
MANY = 10_000.0
"""Degrees of freedom of an error whose items are many."""


@dataclass(frozen=True)
class Basis:
    """What a calculation rests on; in the claim's unit, of ratios in logarithms."""

    source: str
    """Stored results in words, or "assumed"."""
    seed_sd: float
    item_error: float
    items: int


@dataclass(frozen=True)
class Detectable:
    """The smallest effects seen with so many seeds: distances from no effect, of ratios factors."""

    seeds: int
    adjusted: float
    """At the level of a claim that is alone found in its family."""
    single: float
    """At 5%."""


@dataclass(frozen=True)
class Planned:
    """What one claim could see on one preset."""

    preset: str
    id: str
    about: str
    statement: str
    unit: Unit
    family: Family
    correction: str
    tests: int
    level: float
    basis: Basis
    detectable: tuple[Detectable, ...]

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def plan_power(cells: Sequence[Cell], presets: Sequence[str], ledger: Ledger | None = None) -> list[Planned]:
    """One for each preset and claim that would be tested; a preset without cells is calculated with assumptions."""
    ledger = ledger or load_ledger()
    return [
        planned
        for preset in presets
        for planned in _preset(preset, [c for c in cells if c.preset == preset], on_preset(ledger, preset))
    ]


def _preset(preset: str, cells: Sequence[Cell], ledger: Ledger) -> list[Planned]:
    shown = [one for one in shown_of(cells, ledger) if _would_be_tested(one)]
    tests = {family: sum(one.claim.family == family for one in shown) for family in FAMILIES}
    return [_planned(preset, one, tests, ledger.assumed) for one in shown]


def _would_be_tested(shown: Shown) -> bool:
    """Not what is exact, undecidable there, or of a method or measure that no results can come of."""
    claim = shown.claim
    unheard = claim.measure.name == "merged" or set(claim.measure.methods) & set(RESERVED_METHODS)
    return claim.family != "exact" and not shown.undecidable and not unheard


def _planned(preset: str, shown: Shown, tests: Mapping[Family, int], assumed: Mapping[Unit, Assumed]) -> Planned:
    claim = shown.claim
    level = family_level(claim.family, tests[claim.family])
    basis, item_df = _basis(shown, assumed[claim.measure.unit])
    return Planned(
        preset,
        claim.id,
        claim.about,
        claim.statement,
        claim.measure.unit,
        claim.family,
        CORRECTIONS[claim.family],
        tests[claim.family],
        level,
        basis,
        tuple(_detectable(claim, basis, item_df, seeds, level) for seeds in SEEDS),
    )


def _basis(shown: Shown, assumed: Assumed) -> tuple[Basis, float]:
    """The spread that was seen, and the degrees of freedom of its items; else the assumed one."""
    finding = shown.finding
    spread = finding.spread if finding else None
    if finding is None or spread is None or len(finding.seeds) < 2:
        return Basis("assumed", assumed.seed_sd, assumed.item_error, assumed.items), MANY
    seeds = len(finding.seeds)
    seed_sd = spread.seed_error * seeds**0.5
    return Basis(f"{seeds} seeds of {shown.suite}", seed_sd, spread.item_error, finding.items), spread.item_df


def _detectable(claim: Claim, basis: Basis, item_df: float, seeds: int, level: float) -> Detectable:
    spread = Spread(0.0, basis.seed_sd / seeds**0.5, seeds - 1, basis.item_error, item_df)
    adjusted, single = (unscaled(claim.measure.unit, smallest_effect(spread, one, POWER)) for one in (level, LEVEL))
    return Detectable(seeds, adjusted, single)
