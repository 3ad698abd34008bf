"""What stored cells show for one measure: an estimate with its spread, and intervals and p-values from it."""

from __future__ import annotations

from dataclasses import dataclass

from adept_bench.analysis.protocol import label
from adept_bench.analysis.spread import Spread
from adept_bench.claims.units import LIMITS, Unit, scaled, unscaled
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell


class UndecidableError(InputError):
    """The cells are there and may be compared, but there is nothing in them to compare by; the message says why."""


@dataclass(frozen=True)
class Beside:
    """The same quantity by another choice: shown, not judged."""

    what: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Span:
    """The levels that a mean is over."""

    held: str
    """What is held equal there: "acquisition" or "retention"."""
    low: str
    """In words, with the unit."""
    high: str
    ends: str
    """Which method in which seed ends it."""


@dataclass(frozen=True)
class Finding:
    """An estimate in `unit`. A ratio's `spread` is that of its logarithm; None where the results say nothing of it."""

    unit: Unit
    estimate: float
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    over: str
    """What the interval and the p-value take as random."""
    spread: Spread | None = None
    items: int = 0
    """Items a seed."""
    p: float | None = None
    """A p-value that does not come from `spread`."""
    exact: tuple[float, float] | None = None
    """Lowest and highest over cells, for numbers known without error."""
    untestable: str = ""
    """Why no verdict can rest on it; empty where one can."""
    left_out: str = ""
    """What it does not rest on, and why; empty where it rests on all."""
    beside: tuple[Beside, ...] = ()
    span: Span | None = None
    timings: tuple[str, ...] = ()
    """Files of `bench` that it was made from, where it is not of cells."""
    timed: tuple[str, int] | None = None
    """Name of the shape that was timed, and its parameters."""

    @property
    def files(self) -> list[str]:
        """The result files, relative to the folder of results, in order."""
        return sorted({*self.timings, *(f"{label(cell)}.json" for cell in self.cells)})

    @property
    def models(self) -> list[str]:
        """The base models, as their cells name them, or the shape that was timed."""
        return [cell.model.source for cell in self.cells] + ([self.timed[0]] if self.timed else [])

    @property
    def parameters(self) -> int:
        """Of the largest model that it is of."""
        return max([cell.model.total_parameters for cell in self.cells] + ([self.timed[1]] if self.timed else []))

    def interval(self, level: float) -> tuple[float, float] | None:
        """The interval that covers the truth with probability `level`; a ratio's is exp of its logarithm's."""
        if self.exact is not None or self.spread is None:
            return self.exact
        half = self.spread.half_width(level)
        least, most = LIMITS[self.unit]
        low, high = (unscaled(self.unit, self.spread.mean + side) for side in (-half, half))
        return max(low, least), min(high, most)

    def p_value(self, null: float) -> float | None:
        """Two-sided p-value of the true value being `null`; None where there is no spread."""
        if self.p is not None or self.spread is None:
            return self.p
        return self.spread.tail(abs(self.spread.mean - scaled(self.unit, null)))


def beside(what: str, finding: Finding) -> Beside:
    """The finding, to be shown beside another one."""
    low, high = finding.interval(0.95) or (None, None)
    return Beside(what, finding.estimate, low, high)
