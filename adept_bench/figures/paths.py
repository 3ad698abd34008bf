"""What the figures of whole paths share: which methods' paths go together, and each path as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adept_bench.analysis.envelope import attained
from adept_bench.analysis.levels import Range
from adept_bench.analysis.paths import ACCURACY, BASE, LOSS, MEASURES, STATEMENT, Measure, Path, aligned, path_of
from adept_bench.analysis.spread import Array
from adept_bench.errors import InputError
from adept_bench.figures.base import MissingError
from adept_bench.figures.style import COLOURS, INK
from adept_bench.figures.variants import POINTS, by_method
from adept_bench.results.schema import Cell

TEXT_PROBE = "adept-probe-text"
"""The other of ADEPT's two probes: shown beside the core methods."""
FULL = "full"
BASE_MARK: dict[str, Any] = {"color": INK, "marker": "x", "markersize": 7, "markeredgewidth": 1.6}
"""How a path's beginning is marked, in the picture and in its legend."""
TITLES = {
    ACCURACY: "accuracy",
    STATEMENT: "recall of general facts as statements",
    LOSS: "held-out loss",
}
ACROSS = {
    ACCURACY: "domain accuracy, %",
    STATEMENT: "domain accuracy, %",
    LOSS: "domain loss, nats a token (falls to the right)",
}
UP = {
    ACCURACY: "general accuracy, %",
    STATEMENT: "general statements, % right",
    LOSS: "general loss, nats a token (falls upwards)",
}


def is_core(method: str) -> bool:
    """Whether the method stands in the first pictures; other variants have one of their own."""
    return method in COLOURS or method == TEXT_PROBE


def shown(measure: Measure, values: Array | float) -> Array:
    """Coordinates as the axes have them: percent, or losses as they are."""
    return np.asarray(values) * (POINTS if measure.kind == "accuracy" else -1.0)


def paths_in(cells: Sequence[Cell], figure: str, wanted: Callable[[str], bool]) -> tuple[dict[str, Path], list[str]]:
    """The paths of the wanted methods that may stand in one picture, and a note for each that may not.

    Raises MissingError where there is none, InputError where presets or suites are mixed.
    """
    named = by_method(cells, figure)
    found: dict[str, Path] = {}
    notes: list[str] = []
    for method in (name for name in named if name != BASE and wanted(name)):
        try:
            found[method] = path_of(cells, method)
        except InputError as reason:
            notes.append(f"left out: {reason}")
    if not found:
        raise MissingError(f"{figure}: no path of a method: {_or_none(notes)}")
    rates = _usual(found)
    first = found.get(FULL) or next(path for path in found.values() if len(path.rates) == rates)
    for method, path in list(found.items()):
        if unlike := _unlike(path, first, rates):
            notes.append(f"left out: {unlike}")
            del found[method]
        else:
            notes += path.notes
    return found, notes


def _or_none(notes: Sequence[str]) -> str:
    return notes[0].removeprefix("left out: ") if notes else "no result of one that trains"


def _usual(paths: dict[str, Path]) -> int:
    """Full CPT's number of rates, or that of most methods."""
    if FULL in paths:
        return len(paths[FULL].rates)
    return Counter(len(path.rates) for path in paths.values()).most_common(1)[0][0]


def _unlike(path: Path, first: Path, rates: int) -> str:
    """Why the path may not stand beside the first one; empty where it may."""
    if len(path.rates) != rates:
        return f"{path.method}: a path of {len(path.rates)} learning rates beside those of {rates}"
    shared = [seed for seed in path.cells if seed in first.cells]
    measure = next((one for one in MEASURES if has((path, first), one)), None)
    if measure is None:
        return f"{path.method}: neither general and domain tasks nor held-out losses in every cell"
    try:
        if shared:
            aligned((path, first), shared, measure)
    except InputError as reason:
        return str(reason)
    return ""


def has(paths: Sequence[Path], measure: Measure) -> bool:
    """Whether all cells of the paths have the measure."""
    wanted = {measure.acquisition, measure.retention}
    return all(
        wanted <= (cell.groups if measure.kind == "accuracy" else cell.losses).keys()
        for path in paths
        for cell in path.of_seeds(tuple(path.cells))
    )


@dataclass(frozen=True)
class Curve:
    """One path in one measure, in the measure's coordinates (losses negative)."""

    path: Path
    across: Array
    """[seeds, points], the base first."""
    up: Array
    chosen: list[int]
    """Of each rate: in how many seeds it is the chosen one."""

    @property
    def mean(self) -> tuple[Array, Array]:
        """Means over seeds, [points] each."""
        return self.across.mean(axis=0), self.up.mean(axis=0)

    @property
    def ringed(self) -> int:
        """The point of the rate that is chosen in most seeds, the lowest of equals."""
        return 1 + int(np.argmax(self.chosen))

    def attained(self, count: int) -> tuple[Array, Array]:
        """So many levels that all seeds attain, and attained retention there, [seeds, levels]."""
        span = Range(float(self.across[:, 0].max()), float(self.across.max(axis=1).min()), "")
        levels = np.linspace(span.low, span.high, count) if span.low < span.high else np.zeros(0)
        return levels, attained(self.across, self.up, levels)


def curve(path: Path, measure: Measure) -> Curve:
    """The path's numbers. Raises InputError where its cells' items are not the same."""
    seeds = tuple(path.cells)
    ((across, up),) = aligned((path,), seeds, measure).sides
    chosen = [sum(path.cells[seed][place].chosen for seed in seeds) for place in range(1, len(path.rates) + 1)]
    return Curve(path, across.values, up.values, chosen)
