"""Measures of whole paths: who keeps more for the same learned, who learns more for the same kept.

They take the cells of all rates (docs/acquisition.md). What differs is in points, or in nats of which more is better.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from adept_bench.analysis.acquisition import Comparison, Difference, at_equal_acquisition, at_equal_retention
from adept_bench.analysis.at_level import at_level
from adept_bench.analysis.paths import ACCURACY, LOSS, STATEMENT, Path, path_of
from adept_bench.analysis.paths import Measure as Coordinates
from adept_bench.analysis.spread import Spread
from adept_bench.claims.finding import Beside, Finding, Span, UndecidableError
from adept_bench.claims.ledger import Measure
from adept_bench.claims.sides import ONE_CLUSTER, ONE_SEED, Sides, Whole
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

BASE, FULL = "vanilla", "full"
COORDINATES: Mapping[str, Coordinates] = {"accuracy": ACCURACY, "statement": STATEMENT, "loss": LOSS}
Compare = Callable[[Path, Path, Coordinates, Path | None], Comparison]


def kept(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Attained retention of the method minus the reference's, mean over the levels of acquisition that both attain; at
    one level, where the measure names it."""
    if measure.level is not None:
        return _at_level(sides, measure, measure.level)
    return _compared(at_equal_acquisition, sides, measure)


def learned(sides: Sides, measure: Measure, tasks: Collection[str] | None = None) -> Finding:
    """Attained acquisition of the method minus the reference's, mean over the levels of retention on both paths."""
    return _compared(at_equal_retention, sides, measure)


def _compared(compare: Compare, sides: Sides, measure: Measure) -> Finding:
    mine, other = _path(sides, measure.method), _path(sides, measure.reference or "")
    found = compare(mine, other, COORDINATES[measure.by or "accuracy"], _full(sides))
    if found.mean is None:
        raise UndecidableError(found.range.reason)
    return _finding(found, found.mean, mine, other, measure)


def _at_level(sides: Sides, measure: Measure, share: float) -> Finding:
    if FULL not in sides:
        raise InputError(f"no cell of {FULL}, which sets the level")
    mine, other, full = (_path(sides, name, parts=True) for name in (measure.method, measure.reference or "", FULL))
    coordinates = COORDINATES[measure.by or "accuracy"]
    found = at_level(mine, other, full, coordinates, share)
    if found.difference is None or found.value is None:
        raise UndecidableError(found.reason)
    factor = _factor(measure)
    level = coordinates.in_words(found.value)
    return Finding(
        measure.unit,
        factor * found.difference.estimate.value,
        _cells(mine, other, found.seeds),
        found.seeds,
        _random(found.difference, found.seeds),
        _scaled(found.difference.spread, factor),
        found.difference.estimate.items,
        untestable="" if found.difference.spread else ONE_CLUSTER if found.difference.estimate.items else ONE_SEED,
        left_out="; ".join(dict.fromkeys((*mine.notes, *other.notes, *found.notes))),
        span=Span("acquisition", level, level, "the level settled before the runs"),
    )


def _path(sides: Sides, method: str, *, parts: bool = False) -> Path:
    if BASE not in sides:
        raise InputError(f"no cell of {BASE}, where all paths begin")
    made = sides.paths if isinstance(sides, Whole) else {}
    if (method, parts) not in made:
        made[method, parts] = path_of([*sides[BASE], *sides[method]], method, parts=parts)
    return made[method, parts]


def _full(sides: Sides) -> Path | None:
    """Full CPT's path, which sets the levels shown beside; the difference does not need it."""
    try:
        return _path(sides, FULL) if FULL in sides else None
    except InputError:
        return None


def _finding(found: Comparison, mean: Difference, mine: Path, other: Path, measure: Measure) -> Finding:
    factor = _factor(measure)
    words = found.measure.in_words
    return Finding(
        measure.unit,
        factor * mean.estimate.value,
        _cells(mine, other, found.seeds),
        found.seeds,
        "items and seeds" if mean.estimate.items else "seeds",
        _scaled(mean.spread, factor),
        mean.estimate.items,
        untestable=("" if mean.spread else ONE_CLUSTER) if len(found.seeds) > 1 else ONE_SEED,
        left_out="; ".join((*mine.notes, *other.notes)),
        beside=tuple(
            _level(level.share, difference, factor) for level, difference in found.levels if difference is not None
        ),
        span=Span(found.held, words(found.range.low), words(found.range.high), found.range.ends),
    )


def _factor(measure: Measure) -> float:
    return 1.0 if measure.unit == "nats" else 100.0


def _cells(mine: Path, other: Path, seeds: Sequence[int]) -> tuple[Cell, ...]:
    """Of both paths, which begin at the same base."""
    return tuple({id(cell): cell for path in (mine, other) for cell in path.of_seeds(seeds)}.values())


def _random(difference: Difference, seeds: Sequence[int]) -> str:
    if not difference.estimate.items:
        return "seeds"
    return "items and seeds" if len(seeds) > 1 else "items"


def _scaled(spread: Spread | None, factor: float) -> Spread | None:
    return spread and replace(
        spread, mean=factor * spread.mean, seed_error=factor * spread.seed_error, item_error=factor * spread.item_error
    )


def _level(share: float, difference: Difference, factor: float) -> Beside:
    low, high = (None if one is None else factor * one for one in (difference.estimate.low, difference.estimate.high))
    return Beside(f"at {100 * share:.0f}% of full CPT's way", factor * difference.estimate.value, low, high)
