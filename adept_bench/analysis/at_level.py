"""Two methods compared at one level of acquisition that was settled before the runs (docs/acquisition.md).

adept, reference, full = (path_of(cells, name, parts=True) for name in ("adept", "replay", "full"))
found = at_level(adept, reference, full, LOSS, 0.7)
found.difference.estimate.value  # of the difference in retention
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adept_bench.analysis.acquisition import Difference, common_seeds, mean_differences
from adept_bench.analysis.levels import ROUNDING
from adept_bench.analysis.paths import Measure, Path, aligned
from adept_bench.analysis.spread import Array


@dataclass(frozen=True)
class AtLevel:
    """`method` minus `reference` in retention; more is better."""

    value: float | None
    """The level, in the unit of acquisition (losses negative)."""
    seeds: tuple[int, ...]
    """Those that count."""
    difference: Difference | None
    reason: str = ""
    """Why there is no difference."""
    notes: tuple[str, ...] = ()
    """Seeds that do not count, and why."""


def at_level(method: Path, reference: Path, full: Path, measure: Measure, share: float) -> AtLevel:
    """The difference in attained retention at `share` of the way from the base to full CPT's best acquisition.

    The level is that of full CPT's whole paths, mean over their seeds. A seed counts where both methods attain it; one
    of which a method has only some rates, where these are the two of its grid that the level lies between. Raises
    InputError where the paths have no seed in common, different numbers of rates, or cells that may not be compared.
    """
    seeds = common_seeds(method, reference)
    whole = [seed for seed in full.cells if seed not in full.had]
    across = aligned((full,), whole, measure).sides[0][0].values
    base, best = float(across[:, 0].mean()), float(across.max(axis=1).mean())
    if best <= base:
        return AtLevel(None, (), None, f"full CPT learns nothing of {measure.acquisition}, so it sets no level")
    level = base + share * (best - base)
    paths = aligned((method, reference), seeds, measure)
    short: dict[int, str] = {}
    for path, (learned, _) in zip((method, reference), paths.sides, strict=True):
        short = {**dict(_short(path, seeds, learned.values, level, measure)), **short}
    counted = tuple(seed for seed in seeds if seed not in short)
    notes = tuple(short.values())
    if not counted:
        return AtLevel(level, (), None, "; ".join(notes), notes)
    cells = len({id(cell) for path in (method, reference) for cell in path.of_seeds(counted)})
    (difference,) = mean_differences(
        "acquisition", aligned((method, reference), counted, measure), [np.array([level])], cells
    )
    return AtLevel(level, counted, difference, notes=notes)


def _short(
    path: Path, seeds: Sequence[int], learned: Array, level: float, measure: Measure
) -> Iterator[tuple[int, str]]:
    """The seeds of which the path says nothing at the level, each with the reason."""
    words = measure.in_words
    for seed, values in zip(seeds, learned, strict=True):
        if values.max() < level - ROUNDING:
            yield seed, f"{path.method} in seed {seed} attains {words(values.max())}, not {words(level)}"
        elif seed in path.had:
            place = int(np.argmax(values >= level - ROUNDING))  # of the points, the base first
            between = {path.rates[at - 1] for at in (place - 1, place) if at > 0}
            if lacking := sorted(between - set(path.had[seed])):
                rates = ", ".join(f"{rate:g}" for rate in lacking)
                yield seed, f"{path.method} in seed {seed} has no cell of rate {rates} next to the level"
