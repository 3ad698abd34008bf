"""What the figures of training and of variants share: cells by method, settings that vary, differences in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adept_bench.analysis.paired import Estimate, paired_difference
from adept_bench.analysis.protocol import pair_seeds
from adept_bench.analysis.table import methods_in_order
from adept_bench.errors import InputError
from adept_bench.figures.base import MissingError, Value
from adept_bench.figures.style import colour, label, linestyle, marker
from adept_bench.results.schema import Cell

POINTS = 100.0
"""Shares are stored, percent and points are shown."""
ESTIMATE = ["value", "low", "high", "seeds", "items"]
"""Columns of `numbers`."""

ABOUTS = ("selection", "k", "refresh", "probe corpus")
"""What variants vary, in the order of the figures; a suite's own words follow by name."""


@dataclass(frozen=True)
class Look:
    """How a line of a method is drawn."""

    colour: Any
    line: Any
    marker: str


def by_method(cells: Sequence[Cell], figure: str) -> dict[str, list[Cell]]:
    """Cells of each method by seed, methods in the order of the tables, then variants by what they vary.

    Raises MissingError where there is no cell, InputError where presets or suites are mixed.
    """
    if not cells:
        raise MissingError(f"{figure}: no cell; expected cells of one preset and suite")
    if len(pairs := {f"{cell.preset}/{cell.suite}" for cell in cells}) > 1:
        raise InputError(f"{figure}: cells of {', '.join(sorted(pairs))}; expected those of one preset and suite")
    found = {
        name: sorted((cell for cell in cells if cell.method == name), key=lambda cell: cell.seed)
        for name in methods_in_order(cell.method for cell in cells)
    }
    variants = {name: mine[0].variant for name, mine in found.items()}
    abouts = abouts_in_order(variant.about for variant in variants.values() if variant)
    # sorting keeps the order of equals
    places = {name: abouts.index(variant.about) + 1 if variant else 0 for name, variant in variants.items()}
    return {name: found[name] for name in sorted(found, key=places.__getitem__)}


def abouts_in_order(names: Iterable[str]) -> list[str]:
    """The known ones as in `ABOUTS`, then others by name."""
    known = {name: place for place, name in enumerate(ABOUTS)}
    return sorted(set(names), key=lambda name: (known.get(name, len(known)), name))


def short(method: str, beside: Sequence[str]) -> str:
    """The method's display name, less the name of the first of `beside` where it only adds to that."""
    return label(method).removeprefix(f"{label(beside[0])}, ") if beside else label(method)


def setting(config: Mapping[str, Any], dotted: str) -> Any:
    """The value of a resolved configuration by dotted name ("options.k"); None where there is none."""
    found: Any = config
    for part in dotted.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def comparable_pairs(cells: Sequence[Cell], reference: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """`pair_seeds`; raises InputError also where no seed is in common."""
    pairs = pair_seeds(cells, reference)
    if not pairs:
        mine, others = sorted({cell.seed for cell in cells}), sorted({cell.seed for cell in reference})
        raise InputError(f"no seed in common: {mine} and {others}; expected cells of the same seeds")
    return pairs


def difference(cells: Sequence[Cell], reference: Sequence[Cell], group: str) -> Estimate:
    """`paired_difference` of `comparable_pairs`; raises InputError."""
    return paired_difference([cell for cell, _ in comparable_pairs(cells, reference)], reference, group)


def seed_differences(cells: Sequence[Cell], reference: Sequence[Cell], group: str) -> dict[int, float]:
    """The group's difference by seed, for the seeds both have; raises InputError where they cannot be compared."""
    return {cell.seed: cell.groups[group] - other.groups[group] for cell, other in comparable_pairs(cells, reference)}


def numbers(estimate: Estimate | None) -> list[Value]:
    """An estimate as cells of a table: value, low, high, number of seeds, items a seed; empty where there is none."""
    if estimate is None:
        return [None] * len(ESTIMATE)
    return [estimate.value, estimate.low, estimate.high, len(estimate.seeds), estimate.items]


def in_words(estimate: Estimate, factor: float = POINTS, digits: int = 1) -> str:
    """ "−3.2 [−10.1, +4.0]", times `factor`; the interval only where there is one."""
    text = signed(factor * estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{signed(factor * estimate.low, digits)}, {signed(factor * estimate.high, digits)}]"


def signed(value: float, digits: int = 1) -> str:
    """With its sign, a real minus, and no "−0.0"."""
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def interval_in_words(estimates: Sequence[Estimate], paired: bool = True) -> str:
    """What the intervals of a figure are, for its caption."""
    kind = "95% intervals, paired item by item and seed by seed," if paired else "95% intervals"
    if any(estimate.seeds_resampled for estimate in estimates):
        return f"{kind} over items and seeds (of one seed: over items only)"
    return f"{kind} over items only, since there is one seed"


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Lines of one panel: a method's own look; what shares a colour (variants) differs in shade, dashes and marker."""
    found: dict[str, Look] = {}
    for method in methods:
        twins = [name for name in found if colour(name) == colour(method)]
        if not twins:
            found[method] = Look(colour(method), linestyle(method), marker(method))
            continue
        at = (len(twins) - 1) % len(SHADES)
        shade, line, other = SHADES[at]
        found[method] = Look(_blend(colour(method), shade), line, other)
    return found


SHADES: list[tuple[float, Any, str]] = [
    (-0.55, "--", "v"),
    (0.45, "-.", "^"),
    (-0.8, ":", "s"),
    (0.25, (0, (6, 1.5, 1, 1.5, 1, 1.5)), "D"),
    (-0.3, (0, (3, 1)), "X"),
]
"""Towards black (negative) or white (positive), dashes, marker."""


def _blend(base: str, shade: float) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    target = 1.0 if shade > 0 else 0.0
    red, green, blue = ((1 - abs(shade)) * channel + abs(shade) * target for channel in to_rgb(base))
    return red, green, blue
