"""What stored cells show for one measure: an estimate with its spread, and intervals and p-values from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adept_bench.analysis.protocol import label
from adept_bench.analysis.spread import Spread
from adept_bench.claims.ledger import Unit
from adept_bench.results.schema import Cell

LIMITS: dict[Unit, tuple[float, float]] = {
    "points": (-100.0, 100.0),
    "ratio": (0.0, math.inf),
    "share": (0.0, 1.0),
    "depth": (0.0, 1.0),
    "rho": (-1.0, 1.0),
}


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
    """How many pairs of cells it rests on, and why not on the others; empty where it rests on all."""
    timings: tuple[str, ...] = ()
    """Files of `bench` that it was made from, where it is not of cells."""
    shape: str = ""
    """Of the model that was timed."""

    @property
    def files(self) -> list[str]:
        """The result files, relative to the folder of results, in order."""
        return sorted({*self.timings, *(f"{label(cell)}.json" for cell in self.cells)})

    @property
    def models(self) -> list[str]:
        """The base models, as their cells name them, or the shape that was timed."""
        return [cell.model.source for cell in self.cells] + [self.shape] * bool(self.shape)

    def interval(self, level: float) -> tuple[float, float] | None:
        """The interval that covers the truth with probability `level`; a ratio's is exp of its logarithm's."""
        if self.exact is not None or self.spread is None:
            return self.exact
        half = self.spread.half_width(level)
        low, high = self.spread.mean - half, self.spread.mean + half
        if self.unit == "ratio":
            return math.exp(min(low, 700.0)), math.exp(min(high, 700.0))  # beyond, exp is no float
        least, most = LIMITS[self.unit]
        return max(low, least), min(high, most)

    def p_value(self, null: float) -> float | None:
        """Two-sided p-value of the true value being `null`; None where there is no spread."""
        if self.p is not None or self.spread is None:
            return self.p
        return self.spread.tail(abs(self.spread.mean - (math.log(null) if self.unit == "ratio" else null)))
