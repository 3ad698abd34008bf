"""What suite `pilot` stored, gathered for its figures: by seed, and refused where cells do not belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adept_bench.analysis.paired import Estimate
from adept_bench.analysis.protocol import check_budget, label
from adept_bench.analysis.table import groups_in_order, methods_in_order
from adept_bench.errors import InputError
from adept_bench.models.selection import lowest
from adept_bench.results.schema import Cell

METRICS = ("masking", "gradient", "rank", "fisher")


@dataclass(frozen=True)
class Profile:
    """One layer importance: a value a layer of the base model, on one corpus, under one seed."""

    cell: Cell
    corpus: str
    metric: str
    importance: list[float]
    base_loss: float | None
    """Nats a token."""
    k: int
    """How many layers the method copies."""
    seconds: float | None = None

    @property
    def seed(self) -> int:
        return self.cell.seed

    def chosen(self) -> list[int]:
        """The k lowest layers, ascending."""
        return lowest(self.importance, self.k)


def layer_profiles(cells: Sequence[Cell]) -> list[Profile]:
    """Every layer importance in the `analyses` of the cells, by corpus, metric and seed; empty where there is none."""
    found = [
        Profile(
            cell, one.corpus, one.metric, one.importance, one.base_loss, copied(cell, len(one.importance)), one.seconds
        )
        for cell in cells
        if cell.analyses is not None
        for one in cell.analyses.layers
    ]
    return _in_order(found)


def used_profiles(cells: Sequence[Cell]) -> list[Profile]:
    """The layer importances that methods chose their layers by (`probe` of a cell), for suites that store no analyses.

    One a seed, corpus and metric, of the methods in order; of the suite's variants only those that change the
    selection, since others may have probed with other documents.
    """
    order = {name: index for index, name in enumerate(methods_in_order(cell.method for cell in cells))}
    fit = [cell for cell in cells if cell.variant is None or cell.variant.about == "selection"]
    found: dict[tuple[int, str, str], Profile] = {}
    for cell in sorted(fit, key=lambda one: (one.variant is not None, order[one.method])):
        for corpus in ("general", "domain"):
            block = cell.probe.get(f"layers_{corpus}")
            if isinstance(block, dict) and block.get("importance"):
                importance, metric = list(block["importance"]), str(block.get("metric", "masking"))
                profile = Profile(
                    cell, corpus, metric, importance, block.get("base_loss"), copied(cell, len(importance))
                )
                found.setdefault((cell.seed, corpus, metric), profile)
    return _in_order(found.values())


def copied(cell: Cell, layers: int) -> int:
    """k, the number of layers that are chosen: the cell's option, else as many as it expanded; at most `layers`.

    Raises InputError where the cell says neither.
    """
    k = (cell.config.get("options") or {}).get("k") or len(cell.model.expanded_layers)
    if not k:
        raise InputError(f"{label(cell)}: no config.options.k; expected the number of layers that are chosen")
    return min(int(k), layers)


def together(cells: Iterable[Cell]) -> list[Cell]:
    """The cells once each, by method and seed, where they may be in one figure.

    Raises InputError where presets, suites, corpora or budgets differ, or cells of one seed have different bases. Seeds
    may have bases of their own, as in the lab.
    """
    once = list({(cell.method, cell.seed): cell for cell in cells}.values())
    order = methods_in_order(cell.method for cell in once)
    once.sort(key=lambda cell: (order.index(cell.method), cell.seed))
    first, bases = once[0], dict[int, Cell]()
    for cell in once:
        _same(first, cell, "preset and suite", (first.preset, first.suite), (cell.preset, cell.suite))
        _same(first, cell, "corpora", _corpora(first), _corpora(cell))
        reference = bases.setdefault(cell.seed, cell)
        _same(reference, cell, "base model", reference.model.hash, cell.model.hash)
    check_budget(once)
    return once


def made_from(cells: Sequence[Cell]) -> str:
    """The end of a caption: "3 seeds with a base model each, 12 cells." """
    seeds, bases = {cell.seed for cell in cells}, {cell.model.hash or cell.model.revision for cell in cells}
    count = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}."
    if len(seeds) == 1:
        return f"1 seed, {count}"
    base = "on one base model" if len(bases) == 1 else "with a base model each"
    return f"{len(seeds)} seeds {base}, {count}"


def corpora_in_order(names: Iterable[str]) -> list[str]:
    """General, domain, then others by name."""
    return groups_in_order(names)


def metrics_in_order(names: Iterable[str]) -> list[str]:
    """As the paper's Table 9 is discussed: masking first; others by name."""
    known = {name: index for index, name in enumerate(METRICS)}
    return sorted(set(names), key=lambda name: (known.get(name, len(known)), name))


def in_words(estimate: Estimate | None, digits: int = 2, factor: float = 1.0) -> str:
    """ "0.87 [0.71, 1.00]", times `factor`; without interval where there is one seed; "-" for None."""
    if estimate is None:
        return "-"
    value, low, high = (
        None if one is None else f"{factor * one:.{digits}f}" for one in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]" if low is not None else f"{value}"


def _in_order(profiles: Iterable[Profile]) -> list[Profile]:
    profiles = list(profiles)
    corpora = corpora_in_order(one.corpus for one in profiles)
    metrics = metrics_in_order(one.metric for one in profiles)
    return sorted(profiles, key=lambda one: (corpora.index(one.corpus), metrics.index(one.metric), one.seed))


def _corpora(cell: Cell) -> dict[str, Any]:
    return {name: value for name, value in (cell.config.get("identity") or {}).items() if name != "model"}


def _same(one: Cell, other: Cell, what: str, first: object, second: object) -> None:
    if first != second:
        raise InputError(
            f"{label(one)} and {label(other)} cannot be in one figure: {what} {first!r} and {second!r}; "
            "expected the same"
        )
