"""What a method costs: training time, computation, probing, parameters that train, memory, throughput."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adept_bench.analysis.clock import timed_with, unrecorded
from adept_bench.analysis.paired import Estimate, seed_mean
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import comparable, dot, method_rows, reference_line, row_height, seeds_differ, sources
from adept_bench.figures.style import GREY, INK, heading, label, new_figure
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINES = ("full", "adept")
"""What ratios are to: full CPT, or where a suite has none, ADEPT, which its variants are made from."""
HEADER = ["method", "quantity", "unit", "reference", "seed", "value", "low", "high", "seeds"]
ACROSS = 3
"""Panels side by side."""


@dataclass(frozen=True)
class Quantity:
    """A panel. `value` of (cell, the reference's cell of its seed); None where the cell has none."""

    name: str
    unit: str
    value: Callable[[Cell, Cell], float | None]
    digits: int
    timed: bool = False
    """Whether it is seconds against seconds: only cells measured together then."""
    ratio: bool = False


def _over(mine: float, other: float) -> float | None:
    return mine / other if other else None


QUANTITIES = (
    Quantity(
        "training time",
        "times that of {reference}",
        lambda cell, other: _over(cell.cost.train_seconds, other.cost.train_seconds),
        2,
        timed=True,
        ratio=True,
    ),
    Quantity(
        "training FLOPs",
        "times those of {reference}",
        lambda cell, other: _over(cell.cost.train_flops, other.cost.train_flops),
        2,
        ratio=True,
    ),
    Quantity("throughput", "tokens a second", lambda cell, _: cell.cost.tokens_per_second, 0, timed=True),
    Quantity(
        "probing time",
        "% of training time",
        lambda cell, _: _percent(cell.cost.probe_seconds, cell.cost.train_seconds),
        1,
    ),
    Quantity("parameters that train", "% of all", lambda cell, _: 100 * cell.model.trainable_fraction, 1),
    Quantity("peak memory", "MiB", lambda cell, _: cell.cost.peak_memory_bytes / 2**20, 0),
)


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


Costs = dict[tuple[str, str], tuple[Estimate, dict[int, float]]]
"""By (method, quantity): mean over seeds, and by seed."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """A panel a quantity, a row a method that trains.

    Raises MissingError where nothing trains, or there is neither full CPT nor ADEPT to compare with; InputError where
    presets, budgets or corpora are mixed.
    """
    training = [cell for cell in cells if cell.training.steps]
    if not training:
        raise MissingError("cost: no cell trains; expected results of methods other than vanilla")
    named = comparable(training, "cost")
    baseline = next((name for name in BASELINES if name in named), None)
    if baseline is None:
        raise MissingError("cost: no result of method 'full' or 'adept', which the others are compared with")
    timed, notes = timed_with(named, named[baseline])
    found = _costs(named, named[baseline], timed)
    notes = [*seeds_differ(named), *notes, *unrecorded(timed)]
    used = sources(training)
    return Drawing(
        data=Table(HEADER, _long(found, baseline)),
        caption=_caption(used, baseline, found),
        cells=used,
        figure=_picture(used, named, found, baseline),
        notes=notes,
    )


def _costs(named: Mapping[str, list[Cell]], baseline: Sequence[Cell], timed: Mapping[str, list[Cell]]) -> Costs:
    twins = {cell.seed: cell for cell in baseline}
    found: Costs = {}
    for quantity in QUANTITIES:
        for method, mine in (timed if quantity.timed else named).items():
            values = {
                cell.seed: value
                for cell in mine
                if cell.seed in twins or not (quantity.timed or quantity.ratio)
                if (value := quantity.value(cell, twins.get(cell.seed, cell))) is not None
            }
            if values:
                found[method, quantity.name] = seed_mean(list(values.values()), list(values), len(values)), values
    return found


def _picture(used: Sequence[Cell], named: Mapping[str, list[Cell]], found: Costs, baseline: str) -> Figure:
    bands = -(-len(QUANTITIES) // ACROSS)
    figure = new_figure(height=0.5 + bands * (0.75 + row_height(len(named)) * len(named)))
    grid = figure.subplots(bands, ACROSS, squeeze=False)
    for place, quantity in enumerate(QUANTITIES):
        axes = grid[place // ACROSS][place % ACROSS]
        method_rows(axes, list(named), names=place % ACROSS == 0)
        axes.set_title(quantity.name)
        axes.set_xlabel(quantity.unit.format(reference=label(baseline)))
        highest = 0.0
        for row, method in enumerate(named):
            if (method, quantity.name) not in found:
                _number(axes, row, "–", GREY)
                continue
            estimate, by_seed = found[method, quantity.name]
            dot(axes, row, method, _from_zero(estimate), list(by_seed.values()))
            highest = max(highest, estimate.value, estimate.high or 0.0, *by_seed.values())
            _number(axes, row, f"{estimate.value:,.{quantity.digits}f}", INK)
        # from 0, with room at the right for the numbers
        axes.set_xlim(-0.04 * (highest or 1), 1.45 * (highest or 1))
        axes.locator_params(axis="x", nbins=5)
        if quantity.ratio:
            reference_line(axes, 1, "")
    heading(figure, used)
    return figure


def _from_zero(estimate: Estimate) -> Estimate:
    """The estimate with an interval that ends at 0: no cost is below."""
    from dataclasses import replace

    return estimate if estimate.low is None else replace(estimate, low=max(estimate.low, 0.0))


def _number(axes: Axes, row: int, text: str, ink: str) -> None:
    axes.annotate(text, (0.99, row), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=8, color=ink)


def _long(found: Costs, baseline: str) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for quantity in QUANTITIES:
        start: list[Value] = [quantity.name, quantity.unit.format(reference=label(baseline))]
        against = baseline if quantity.timed or quantity.ratio else None
        for (method, name), (estimate, by_seed) in found.items():
            if name == quantity.name:
                one = _from_zero(estimate)
                rows.append([method, *start, against, None, one.value, one.low, one.high, len(by_seed)])
                rows += [[method, *start, against, seed, value, None, None, None] for seed, value in by_seed.items()]
    return rows


def _caption(used: Sequence[Cell], baseline: str, found: Costs) -> str:
    return (
        f"Cost on suite {used[0].suite}, preset {used[0].preset} ({len(used)} results), measured on "
        f"{machines(used)}. Marks and numbers: means over seeds; bars: {bars_in_words(found)}; small "
        "points: single seeds. Ratios are "
        f"to the result of {label(baseline)} of the same seed. Training time and throughput are shown only of results "
        "that were measured in one go with it on the same device, with the same share of the processor where that is "
        "recorded (a dash: of none); other work on the machine changes seconds, and no FLOPs. FLOPs are computed from "
        "the model's shape. Probing time is that of layers and units, refreshes included, in full for every method, "
        "although the base is probed once. Peak memory is of the accelerator, or on a CPU of the whole process, "
        "interpreter and libraries included."
    )


def bars_in_words(found: Mapping[Any, tuple[Estimate, Any]]) -> str:
    """What the bars of estimates over seeds are."""
    several = any(estimate.low is not None for estimate, _ in found.values())
    return "95% intervals over seeds (Student's t)" if several else "no interval, since there is one seed"


def machines(cells: Sequence[Cell]) -> str:
    """Devices, threads and processes of the cells, in words."""
    found = {(cell.provenance.device, cell.cost.threads, cell.provenance.processes) for cell in cells}
    return "; ".join(
        f"{device} ({'' if threads is None else f'{threads} thread{_s(threads)}, '}{processes} process{_es(processes)})"
        for device, threads, processes in sorted(found, key=str)
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _es(count: int) -> str:
    return "" if count == 1 else "es"


KIND = FigureKind("cost", "Cost", "Tables 6, 7", draw)
