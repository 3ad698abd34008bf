"""Two methods compared along their whole paths: retention at equal acquisition, and the reverse (docs/acquisition.md).

adept, full = path_of(cells, "adept"), path_of(cells, "full")
found = at_equal_acquisition(adept, full, ACCURACY, full)
found.mean.estimate.value  # of the difference in retention, over found.range
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adept_bench.analysis.clusters import alone
from adept_bench.analysis.envelope import attained_or_best
from adept_bench.analysis.levels import Held, Level, Range, kept_at_best, levels_of, range_of
from adept_bench.analysis.paired import Estimate, estimate_of
from adept_bench.analysis.paths import Aligned, Measure, Path, aligned
from adept_bench.analysis.resampled import added, freedom_of, redrawn, spread_of
from adept_bench.analysis.spread import Array, Spread
from adept_bench.errors import InputError


@dataclass(frozen=True)
class Difference:
    """The method's value minus the reference's: shares, or nats of which more is better."""

    estimate: Estimate
    spread: Spread | None
    """For intervals of other levels of confidence; None where nothing is known of it: losses of one seed, items of
    one cluster."""
    by_seed: dict[int, float]


@dataclass(frozen=True)
class Best:
    """Where a method learned most."""

    acquisition: Estimate
    kept: float
    """Retention there, mean over seeds."""
    rates: dict[int, float | None]
    """By seed, at which rate; None at the base."""


@dataclass(frozen=True)
class Comparison:
    """`method` minus `reference` in what is not held equal; more is better."""

    method: str
    reference: str
    measure: Measure
    held: Held
    seeds: tuple[int, ...]
    range: Range
    mean: Difference | None
    """Over the range; None where it is empty."""
    levels: list[tuple[Level, Difference | None]]
    """At full CPT's levels; without a difference where a level's reason says why."""
    best: dict[str, Best]
    reasons: list[str]
    """What is missing or was left out, and why."""


def at_equal_acquisition(method: Path, reference: Path, measure: Measure, full: Path | None = None) -> Comparison:
    """The difference in attained retention at levels of acquisition.

    `full`: full CPT's path, which sets the levels beside the mean; without it there are none. Raises InputError where
    the paths have no seed in common, different numbers of rates, or cells that may not be compared.
    """
    return _compared("acquisition", method, reference, measure, full)


def at_equal_retention(method: Path, reference: Path, measure: Measure, full: Path | None = None) -> Comparison:
    """The difference in attained acquisition at levels of retention; otherwise as `at_equal_acquisition`."""
    return _compared("retention", method, reference, measure, full)


def _compared(held: Held, method: Path, reference: Path, measure: Measure, full: Path | None) -> Comparison:
    seeds = common_seeds(method, reference)
    paths = aligned((method, reference), seeds, measure)
    span = range_of(held, paths)
    levels, reasons = _levels(held, paths, (method, reference), full)
    cells = len({id(cell) for path in (method, reference) for cell in path.of_seeds(seeds)})
    told = [level for level in levels if not level.reason]
    mean, *at_levels = mean_differences(held, paths, [span.grid(), *(np.array([one.value]) for one in told)], cells)
    by_level = dict(zip((level.share for level in told), at_levels, strict=True))
    return Comparison(
        *(method.method, reference.method, measure, held, seeds, span, mean),
        levels=[(level, by_level.get(level.share)) for level in levels],
        best=_bests((method, reference), paths),
        reasons=list(dict.fromkeys(filter(None, [span.reason, *reasons, *method.notes, *reference.notes]))),
    )


def mean_differences(held: Held, paths: Aligned, levels: Sequence[Array], cells: int = 0) -> list[Difference | None]:
    """For each array of levels the difference of the two paths, averaged over them; None for an array of none."""
    at = np.concatenate(levels)
    values = _differences(held, [(across.values, up.values) for across, up in paths.sides], at)
    again = redrawn(paths)
    drawn = None if again is None else _differences(held, again, at)
    axis = 1 if held == "acquisition" else 0
    found: list[Difference | None] = []
    end = 0
    for some in levels:
        start, end = end, end + len(some)
        mine = values[:, start:end].mean(axis=-1) if len(some) else None
        replicates = None if drawn is None or mine is None else drawn[..., start:end].mean(axis=-1)
        found.append(None if mine is None else _difference(mine, replicates, axis, paths, cells, floor=-1.0))
    return found


def _levels(held: Held, paths: Aligned, both: Sequence[Path], full: Path | None) -> tuple[list[Level], list[str]]:
    """Full CPT's levels and why there is none; over the seeds that it has too."""
    if full is None:
        return [], ["no path of full CPT, which sets the levels"]
    shared = [seed for seed in paths.seeds if seed in full.cells]
    if not shared:
        return [], ["full CPT has no seed in common with the two methods: no levels"]
    aligned((*both, full), shared, paths.measure)  # the same items
    found = levels_of(held, paths, aligned((full,), shared, paths.measure))
    verb = "learns" if held == "acquisition" else "loses"
    return found, [] if found else [f"full CPT {verb} nothing, so it sets no levels"]


def common_seeds(*paths: Path) -> tuple[int, ...]:
    """The seeds that all paths have. Raises InputError where there is none, or the numbers of rates differ."""
    first = paths[0]
    for path in paths[1:]:
        if len(path.rates) != len(first.rates):
            raise InputError(
                f"{first.method} and {path.method} cannot be compared: paths of {len(first.rates)} and "
                f"{len(path.rates)} learning rates; expected as many"
            )
    seeds = tuple(seed for seed in first.cells if all(seed in path.cells for path in paths))
    if not seeds:
        named = " and ".join(path.method for path in paths)
        raise InputError(f"{named}: no seed in common; expected paths of the same seeds")
    return seeds


def best_of(path: Path, measure: Measure, seeds: Sequence[int] | None = None) -> Best:
    """The most that the method learned, over these of its seeds (default: all). Raises InputError as `aligned`."""
    seeds = tuple(path.cells) if seeds is None else tuple(seeds)
    return _bests((path,), aligned((path,), seeds, measure))[path.method]


def _bests(of: Sequence[Path], paths: Aligned) -> dict[str, Best]:
    """`best_of` each of the paths, which are aligned already."""
    again = redrawn(paths)
    return {path.method: _best(path, paths, place, again) for place, path in enumerate(of)}


def _best(path: Path, paths: Aligned, place: int, again: Sequence[tuple[Array, Array]] | None) -> Best:
    across, up = paths.sides[place]
    drawn = None if again is None else again[place][0].max(axis=-1)
    cells = len(path.of_seeds(paths.seeds))
    found = _difference(across.values.max(axis=-1), drawn, 0, paths, cells, floor=0.0)
    rates = (None, *path.rates)
    places = across.values.argmax(axis=-1).tolist()
    at = {seed: rates[place] for seed, place in zip(paths.seeds, places, strict=True)}
    return Best(found.estimate, float(kept_at_best(across, up).mean()), at)


def _differences(held: Held, sides: Sequence[tuple[Array, Array]], levels: Array) -> Array:
    """[..., seeds, levels] of what the first path attains beyond the second."""
    first, second = (
        attained_or_best(*((across, up) if held == "acquisition" else (up, across)), levels) for across, up in sides
    )
    return first - second


def _difference(values: Array, drawn: Array | None, axis: int, paths: Aligned, cells: int, floor: float) -> Difference:
    """The mean over seeds of `values`, which are in the unit of the coordinate `axis`; scores are not below `floor`."""
    scores = paths.measure.kind == "accuracy"
    unit, clusters = paths.sides[0][axis], paths.clusters[axis]
    sizes = [task.shape[-1] for task in unit.items]
    by_seed = dict(zip(paths.seeds, values.tolist(), strict=True))
    more = added(unit, clusters) if scores else 0.0
    # where a task is read, of whichever coordinate, other clusters of it are unknown
    known = not any(map(alone, paths.clusters))
    spread = spread_of(values, drawn, more, freedom_of(unit, clusters)) if known else None
    items = 0 if drawn is None else sum(sizes)
    if spread is None:
        several = len(paths.seeds) > 1
        estimate = Estimate(float(values.mean()), None, None, None, None, cells, paths.seeds, items, several)
    else:
        ends = (floor, 1.0) if scores else (-np.inf, np.inf)
        estimate = estimate_of(spread, cells, paths.seeds, items, 0.95, *ends)
    return Difference(estimate, spread, by_seed)
