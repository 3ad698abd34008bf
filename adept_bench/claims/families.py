"""Two families of claims a preset: how their p-values are corrected, and the level of their intervals.

Primary: few, declared before the results; Holm, so that any false one among them happens in at most 5% of cases.
Secondary: all other claims; Benjamini-Hochberg, so that of those called found at most 5% are false on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adept_bench.claims.benjamini_hochberg import benjamini_hochberg
from adept_bench.claims.holm import holm
from adept_bench.claims.ledger import Family
from adept_bench.claims.verdicts import ALPHA, LEVEL

CORRECTIONS: dict[Family, str] = {"primary": "Holm", "secondary": "Benjamini-Hochberg", "exact": ""}


@dataclass(frozen=True)
class Corrected:
    """A family after correction. `adjusted` by claim; `level`: of the adjusted intervals."""

    family: Family
    adjusted: Mapping[str, float]
    level: float

    @property
    def tests(self) -> int:
        """How many claims were tested."""
        return len(self.adjusted)


def corrected(family: Family, p_values: Mapping[str, float]) -> Corrected:
    """The p-values (by claim) of a family, adjusted together.

    Adjusted intervals of the primary family hold all together (Bonferroni). Those of the secondary one have the level
    of the claims that were found (Benjamini and Yekutieli 2005): they exclude no effect exactly where a claim is found.
    """
    names, values = list(p_values), list(p_values.values())
    adjusted = holm(values) if family == "primary" else benjamini_hochberg(values)
    found = sum(p < ALPHA for p in adjusted) if family == "secondary" else 1
    level = family_level(family, len(values), found)
    return Corrected(family, dict(zip(names, adjusted, strict=True)), level)


def family_level(family: Family, tests: int, found: int = 1) -> float:
    """The level of adjusted intervals where so many claims of a family are tested, and so many found."""
    return LEVEL if family == "exact" else 1 - ALPHA * max(found, 1) / max(tests, 1)
