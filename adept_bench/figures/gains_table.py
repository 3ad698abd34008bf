"""The gains along paths as a table: a row a method, what it keeps and learns beyond full CPT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adept_bench.analysis.acquisition import Comparison, Difference
from adept_bench.analysis.paths import ACCURACY, LOSS, STATEMENT, Measure
from adept_bench.figures.base import Table, Value
from adept_bench.figures.style import label
from adept_bench.figures.variants import POINTS, in_words

Found = Mapping[tuple[Measure, str], Mapping[str, Comparison]]
NONE = "–"
LEVELS = (0.25, 0.5, 0.75)
HEADER = [
    "method",
    "general kept, points",
    *(f"at {100 * level:.0f}%" for level in LEVELS),
    "general statements kept, points",
    "general loss kept lower, nats",
    "domain learned at equal general, points",
    "best domain accuracy, %",
]


def gains_table(found: Found, methods: Sequence[str]) -> Table:
    """Means over the range with 95% intervals, and accuracy at full CPT's levels; a dash where not both get there."""
    return Table(HEADER, [_row(found, method) for method in methods])


def _row(found: Found, method: str) -> list[Value]:
    kept = {measure: found.get((measure, "acquisition"), {}).get(method) for measure in (ACCURACY, STATEMENT, LOSS)}
    learned = found.get((ACCURACY, "retention"), {}).get(method)
    accuracy = kept[ACCURACY]
    at = {level.share: difference for level, difference in accuracy.levels} if accuracy else {}
    best = accuracy.best[method].acquisition if accuracy else None
    return [
        label(method),
        _points(_mean(accuracy)),
        *(_points(at.get(level)) for level in LEVELS),
        _points(_mean(kept[STATEMENT])),
        _points(_mean(kept[LOSS]), 1.0, 2),
        _points(_mean(learned)),
        NONE if best is None else f"{POINTS * best.value:.1f}",
    ]


def _mean(one: Comparison | None) -> Difference | None:
    return one.mean if one else None


def _points(difference: Difference | None, factor: float = POINTS, digits: int = 1) -> str:
    return NONE if difference is None else in_words(difference.estimate, factor, digits)
