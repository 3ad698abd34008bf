"""Cells of whole paths with invented numbers, for the tests of paths and of what is computed of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adept_bench.results.schema import Cell, LearningRateChoice, LossPair

Maker = Callable[..., Cell]


def scored(share: float, items: int = 20) -> list[int]:
    """The first answers right, the others wrong."""
    return [int(place < round(share * items)) for place in range(items)]


def point(
    cell: Maker,
    method: str,
    seed: int,
    rate: float | None,
    place: tuple[float, float],
    *,
    chosen: bool = False,
    documents: int = 0,
    **settings: Any,
) -> Cell:
    """One cell at (domain, general): accuracies, and losses of 3 less three times as much."""
    items = {"domain": scored(place[0]), "general": scored(place[1]), "general_statement": scored(place[1] ** 2)}
    made = cell(method, seed, items, **settings)
    losses = {}
    for corpus, value in zip(("domain", "general"), place, strict=True):
        after = 3 - 3 * value
        spread = [after + 0.01 * (number - (documents - 1) / 2) for number in range(documents)]
        losses[corpus] = LossPair(before=3.0, after=after, documents=spread)
    choice = LearningRateChoice(value=rate, source="grid", chosen=chosen, grid=[]) if rate else None
    return made.model_copy(update={"losses": losses, "learning_rate": choice})


def path_cells(
    cell: Maker, method: str, places: Sequence[tuple[float, float]], seeds: Sequence[int] = (0, 1, 2), **settings: Any
) -> list[Cell]:
    """A cell at each place, at rates 0.001, 0.002, 0.004..., the same in every seed; the second is the chosen one."""
    return [
        point(cell, method, seed, 0.001 * 2**index, place, chosen=index == 1, **settings)
        for seed in seeds
        for index, place in enumerate(places)
    ]


def bases(cell: Maker, place: tuple[float, float], seeds: Sequence[int] = (0, 1, 2), **settings: Any) -> list[Cell]:
    """The untrained models."""
    return [point(cell, "vanilla", seed, None, place, **settings) for seed in seeds]


def world(cell: Maker, paths: Mapping[str, Sequence[tuple[float, float]]], **settings: Any) -> list[Cell]:
    """Bases at (0.1, 0.9), and every method's path."""
    made = bases(cell, (0.1, 0.9), **settings)
    return made + [one for method, places in paths.items() for one in path_cells(cell, method, places, **settings)]
