"""A method's path: its cells at every rate of its grid, seed by seed, beginning at the base (docs/acquisition.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from adept_bench.analysis.clusters import Numbers, clusters_of
from adept_bench.analysis.protocol import check_budget, group_tasks, label, pair_seeds
from adept_bench.analysis.spread import Array
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

BASE = "vanilla"


@dataclass(frozen=True)
class Measure:
    """What counts as acquisition and as retention: two groups of tasks, or two held-out corpora."""

    name: str
    kind: Literal["accuracy", "loss"]
    acquisition: str
    retention: str

    def in_words(self, value: float) -> str:
        """A coordinate as a reader expects it: percent, or the loss itself (stored with the other sign)."""
        return f"{100 * value:.1f}%" if self.kind == "accuracy" else f"{-value:.3f} nats"


ACCURACY = Measure("accuracy", "accuracy", "domain", "general")
STATEMENT = Measure("statement", "accuracy", "domain", "general_statement")
LOSS = Measure("loss", "loss", "domain", "general")
MEASURES = (ACCURACY, STATEMENT, LOSS)


@dataclass(frozen=True)
class Path:
    """One method's cells at the same rates in every seed."""

    method: str
    rates: tuple[float, ...]
    """Peak learning rates, ascending."""
    cells: dict[int, tuple[Cell, ...]]
    """By seed: the base's cell, then one a rate."""
    notes: tuple[str, ...] = ()
    """Seeds that are left out, and why."""
    had: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """By seed, the rates it really has, where that is not all (`parts`): another rate's place is taken by the point
    below it, which changes no line."""
    read: dict[tuple[object, ...], Coordinate] = field(default_factory=dict, compare=False, repr=False)
    """Its coordinates as far as they have been read: one path is compared with many others."""

    def of_seeds(self, seeds: Sequence[int]) -> list[Cell]:
        """All cells of these seeds."""
        return [cell for seed in seeds for cell in self.cells[seed]]


def path_of(cells: Sequence[Cell], method: str, *, parts: bool = False) -> Path:
    """The path of `method` among the cells of one (preset, suite), whose `vanilla` cells are the bases.

    Seeds without a base or without one of the rates are left out with a note; with `parts` those with some of the rates
    stay. Raises InputError where there are fewer than two rates, two cells of one seed and rate, no seed that is whole,
    or cells that may not be compared.
    """
    bases = {cell.seed: cell for cell in cells if cell.method == BASE}
    found = _by_seed_and_rate([cell for cell in cells if cell.method == method])
    rates = tuple(sorted({rate for mine in found.values() for rate in mine}))
    if len(rates) < 2:
        here = ", ".join(f"{rate:g}" for rate in rates) or "none"
        raise InputError(f"{method}: a path has two or more learning rates, here {here}; `run --rates all` makes them")
    lacking = {seed: _lacking(mine, rates, seed in bases) for seed, mine in sorted(found.items())}
    whole = [seed for seed, missing in lacking.items() if not missing]
    kept_in_part = {seed for seed in found if parts and seed in bases}
    notes = tuple(
        f"{method}: seed {seed} left out, no cell of {what}"
        for seed, what in lacking.items()
        if what and seed not in kept_in_part
    )
    if not whole:
        lacks = "; ".join(f"seed {seed} has no cell of {what}" for seed, what in lacking.items())
        raise InputError(f"{method}: no seed has the base and all {len(rates)} rates; {lacks}")
    points = {seed: (bases[seed], *(found[seed][rate] for rate in rates)) for seed in whole}
    had = {seed: tuple(sorted(found[seed])) for seed in kept_in_part - points.keys()}
    points |= {seed: _filled(bases[seed], found[seed], rates) for seed in had}
    path = Path(method, rates, dict(sorted(points.items())), notes, had)
    _check(path)
    return path


def _filled(base: Cell, found: dict[float, Cell], rates: Sequence[float]) -> tuple[Cell, ...]:
    """A point a rate; where there is none the one below it."""
    points = [base]
    for rate in rates:
        points.append(found.get(rate, points[-1]))
    return tuple(points)


def _by_seed_and_rate(cells: Sequence[Cell]) -> dict[int, dict[float, Cell]]:
    found: dict[int, dict[float, Cell]] = {}
    for cell in cells:
        if cell.rate is None:
            raise InputError(f"{label(cell)}: trains at no rate; expected a cell of a learning rate")
        mine = found.setdefault(cell.seed, {})
        if cell.rate in mine:
            raise InputError(f"{label(mine[cell.rate])} and {label(cell)}: two cells of one rate; expected one")
        mine[cell.rate] = cell
    return found


def _lacking(mine: dict[float, Cell], rates: Sequence[float], has_base: bool) -> str:
    missing = [] if has_base else ["the base (vanilla)"]
    return ", ".join(missing + [f"rate {rate:g}" for rate in rates if rate not in mine])


def _check(path: Path) -> None:
    """Raise InputError unless all cells are of one preset and suite, and those of a seed of one base and protocol."""
    columns = list(zip(*path.cells.values(), strict=True))
    places = sorted({f"{cell.preset}/{cell.suite}" for column in columns for cell in column})
    if len(places) > 1:
        raise InputError(f"{path.method}: cells of {', '.join(places)}; expected those of one preset and suite")
    for column in columns[1:]:
        pair_seeds(column, columns[0])
    check_budget([cell for column in columns for cell in column])


@dataclass(frozen=True)
class Coordinate:
    """One coordinate of a path: acquisition or retention, more is better."""

    values: Array
    """[seeds, points]."""
    items: list[Array]
    """Of each task (corpus) [seeds, points, items]; their means over items average to `values`. Empty where the cells
    do not have single documents."""
    drawn: dict[tuple[object, ...], Array] = field(default_factory=dict, compare=False, repr=False)
    """Of replicates over items, as far as they have been made (`resampled`)."""


@dataclass(frozen=True)
class Aligned:
    """Paths as numbers, over the same seeds and items."""

    measure: Measure
    names: tuple[str, ...]
    """The paths' methods."""
    seeds: tuple[int, ...]
    sides: list[tuple[Coordinate, Coordinate]]
    """Of each path: acquisition and retention."""
    clusters: tuple[list[Numbers | None], list[Numbers | None]] = ([], [])
    """Of acquisition and of retention: each task's clusters of items; empty where no task has any."""

    def where(self, ends: Array, place: int) -> str:
        """Method and seed of a flat place of an array [paths, seeds], in words."""
        row, column = divmod(place, ends.shape[1])
        return f"{self.names[row]} in seed {self.seeds[column]}"


def aligned(paths: Sequence[Path], seeds: Sequence[int], measure: Measure) -> Aligned:
    """The paths' coordinates over `seeds`. Raises InputError where the items are not the same, or a cell lacks them."""
    together = [cell for path in paths for cell in path.of_seeds(seeds)]
    check_budget(together)
    read = _scores if measure.kind == "accuracy" else _losses
    (across, ours), (up, theirs) = (
        read(paths, seeds, name, together) for name in (measure.acquisition, measure.retention)
    )
    names = tuple(path.method for path in paths)
    return Aligned(measure, names, tuple(seeds), list(zip(across, up, strict=True)), (ours, theirs))


Read = tuple[list[Coordinate], list[Numbers | None]]
"""A coordinate of each path, and the clusters of its tasks' items."""


def _scores(paths: Sequence[Path], seeds: Sequence[int], group: str, together: Sequence[Cell]) -> Read:
    names = group_tasks(together, group)
    if not names:
        raise InputError(f"{label(together[0])}: no task of group {group!r}; there are {sorted(together[0].groups)}")
    clusters = clusters_of(together, names)
    return [_read(path, ("scores", *names, *seeds), partial(_score, path, seeds, names)) for path in paths], clusters


def _score(path: Path, seeds: Sequence[int], names: Sequence[str]) -> Coordinate:
    tasks = [
        np.array([[cell.tasks[name].items for cell in path.cells[seed]] for seed in seeds], dtype=np.float64)
        for name in names
    ]
    return Coordinate(np.mean([task.mean(axis=-1) for task in tasks], axis=0), tasks)


def _losses(paths: Sequence[Path], seeds: Sequence[int], corpus: str, together: Sequence[Cell]) -> Read:
    if without := [cell for cell in together if corpus not in cell.losses]:
        raise InputError(f"{label(without[0])}: no held-out loss on {corpus!r}; expected one in every cell of a path")
    sizes = {len(cell.losses[corpus].documents) for cell in together}
    if len(sizes - {0}) > 1:
        raise InputError(
            f"{together[0].preset}/{together[0].suite}: held-out losses on {corpus!r} of {min(sizes - {0})} and "
            f"{max(sizes)} documents; expected the same ones"
        )
    by_document = 0 not in sizes
    key = ("losses", corpus, by_document, *seeds)
    return [_read(path, key, partial(_loss, path, seeds, corpus, by_document)) for path in paths], []


def _loss(path: Path, seeds: Sequence[int], corpus: str, by_document: bool) -> Coordinate:
    rows = [[cell.losses[corpus] for cell in path.cells[seed]] for seed in seeds]
    values = -np.array([[pair.after for pair in row] for row in rows])
    return Coordinate(values, [-np.array([[pair.documents for pair in row] for row in rows])] if by_document else [])


def _read(path: Path, key: tuple[object, ...], make: Callable[[], Coordinate]) -> Coordinate:
    if key not in path.read:
        path.read[key] = make()
    return path.read[key]
