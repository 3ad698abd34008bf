"""Measures of whole paths: who keeps more for the same learned, who learns more for the same kept.

They take the cells of all rates (docs/acquisition.md). What differs is in points, or in nats of which more is better.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from adept_bench.analysis.acquisition import Comparison, Difference, at_equal_acquisition, at_equal_retention
from adept_bench.analysis.paths import ACCURACY, LOSS, STATEMENT, Path, path_of
from adept_bench.analysis.paths import Measure as Coordinates
from adept_bench.claims.finding import Beside, Finding, Span, UndecidableError
from adept_bench.claims.ledger import Measure
from adept_bench.claims.sides import ONE_CLUSTER, ONE_SEED, Sides, Whole
from adept_bench.errors import InputError

BASE, FULL = "vanilla", "full"
COORDINATES: Mapping[str, Coordinates] = {"accuracy": ACCURACY, "statement": STATEMENT, "loss": LOSS}
Compare = Callable[[Path, Path, Coordinates, Path | None], Comparison]


def kept(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Attained retention of the method minus the reference's, mean over the levels of acquisition that both attain."""
    return _compared(at_equal_acquisition, sides, measure)


def learned(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Attained acquisition of the method minus the reference's, mean over the levels of retention on both paths."""
    return _compared(at_equal_retention, sides, measure)


def _compared(compare: Compare, sides: Sides, measure: Measure) -> Finding:
    if BASE not in sides:
        raise InputError(f"no cell of {BASE}, where all paths begin")
    reference = measure.reference or ""
    mine, other = _path(sides, measure.method), _path(sides, reference)
    found = compare(mine, other, COORDINATES[measure.by or "accuracy"], _full(sides))
    if found.mean is None:
        raise UndecidableError(found.range.reason)
    return _finding(found, found.mean, mine, other, measure)


def _path(sides: Sides, method: str) -> Path:
    made = sides.paths if isinstance(sides, Whole) else {}
    if method not in made:
        made[method] = path_of([*sides[BASE], *sides[method]], method)
    return made[method]


def _full(sides: Sides) -> Path | None:
    """Full CPT's path, which sets the levels shown beside; the difference does not need it."""
    try:
        return _path(sides, FULL) if FULL in sides else None
    except InputError:
        return None


def _finding(found: Comparison, mean: Difference, mine: Path, other: Path, measure: Measure) -> Finding:
    factor = 1.0 if measure.unit == "nats" else 100.0
    # both paths begin at the same base
    cells = {id(cell): cell for path in (mine, other) for cell in path.of_seeds(found.seeds)}
    items = bool(mean.estimate.items)
    several = len(found.seeds) > 1
    spread = mean.spread and replace(
        mean.spread,
        mean=factor * mean.spread.mean,
        seed_error=factor * mean.spread.seed_error,
        item_error=factor * mean.spread.item_error,
    )
    words = found.measure.in_words
    return Finding(
        measure.unit,
        factor * mean.estimate.value,
        tuple(cells.values()),
        found.seeds,
        "items and seeds" if items else "seeds",
        spread,
        mean.estimate.items,
        untestable=("" if mean.spread else ONE_CLUSTER) if several else ONE_SEED,
        left_out="; ".join((*mine.notes, *other.notes)),
        beside=tuple(
            _level(level.share, difference, factor) for level, difference in found.levels if difference is not None
        ),
        span=Span(found.held, words(found.range.low), words(found.range.high), found.range.ends),
    )


def _level(share: float, difference: Difference, factor: float) -> Beside:
    low, high = (None if one is None else factor * one for one in (difference.estimate.low, difference.estimate.high))
    return Beside(f"at {100 * share:.0f}% of full CPT's way", factor * difference.estimate.value, low, high)
