"""Holm's correction for testing several hypotheses (Holm 1979, Scand. J. Statist. 6)."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """The adjusted p-values, in the order given.

    Rejecting where one is below 0.05 makes any false rejection happen in at most 5% of cases, whatever the tests
    have in common; here they share cells.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = highest
    return adjusted
