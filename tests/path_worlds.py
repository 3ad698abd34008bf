"""Invented worlds of two methods' paths, whose true differences are known: for the simulations of coverage.

An answer is right where strength + item + rest > 0. The strength is the method's at that rate, moved by the seed (a
base, shared by the methods), by seed and method, and by the training of each cell. Items have an effect that all cells
share and one a method. All effects are normal, so a path without item noise is in closed form, and the truth is a mean
over thousands of seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from adept_bench.analysis.acquisition import mean_differences
from adept_bench.analysis.envelope import attained_or_best
from adept_bench.analysis.levels import range_of
from adept_bench.analysis.paths import ACCURACY, Aligned, Coordinate

ITEM, ITEM_OF_METHOD, REST = 1.0, 0.5, 0.6
WITHIN = (ITEM**2 + ITEM_OF_METHOD**2 + REST**2) ** 0.5
POPULATION = 2000
BASE = (0.06, 0.93)


@dataclass(frozen=True)
class World:
    """True scores at six rates of the two methods (acquisition, retention), and how seeds differ (probit units)."""

    learned: tuple[tuple[float, ...], tuple[float, ...]]
    kept: tuple[tuple[float, ...], tuple[float, ...]]
    spread: float = 0.15
    training: float = 0.05
    bad: float = 0.0
    """Share of seeds in which the first method keeps far less, and learns a little less."""
    items: int = 640


TRADE = (0.10, 0.20, 0.40, 0.62, 0.80, 0.88)
LESS = (0.10, 0.18, 0.33, 0.55, 0.75, 0.84)
FALL = (0.92, 0.88, 0.80, 0.66, 0.45, 0.25)
WORLDS = {
    "equal": World((TRADE, TRADE), (FALL, FALL)),
    "apart": World((LESS, TRADE), ((0.92, 0.91, 0.88, 0.80, 0.66, 0.50), FALL)),
    "crossing": World((TRADE, LESS), (FALL, (0.90, 0.80, 0.72, 0.66, 0.60, 0.55))),
    "plateau": World(((0.30, 0.60, 0.80, 0.84, 0.85, 0.84), TRADE), ((0.85, 0.83, 0.83, 0.82, 0.83, 0.82), FALL)),
    "beyond its best": World(((0.2, 0.5, 0.75, 0.78, 0.6, 0.3), TRADE), ((0.9, 0.8, 0.6, 0.4, 0.2, 0.1), FALL)),
    "bimodal": World((LESS, TRADE), ((0.92, 0.91, 0.88, 0.80, 0.66, 0.50), FALL), bad=0.4),
    "items alone": World((LESS, TRADE), ((0.92, 0.91, 0.88, 0.80, 0.66, 0.50), FALL), spread=0.0, training=0.0),
    "plateau, items alone": World(
        ((0.30, 0.60, 0.80, 0.84, 0.85, 0.84), TRADE),
        ((0.85, 0.83, 0.83, 0.82, 0.83, 0.82), FALL),
        spread=0.0,
        training=0.0,
    ),
    "wide seeds": World((LESS, TRADE), ((0.92, 0.91, 0.88, 0.80, 0.66, 0.50), FALL), spread=0.4, training=0.15),
}


def strengths(world: World, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Of seeds drawn at random, [axis, method, seeds, points]: probits of scores times WITHIN."""
    scores = np.array(
        [[(BASE[axis], *path) for path in paths] for axis, paths in enumerate((world.learned, world.kept))]
    )
    typical = special.ndtri(scores)[:, :, None, :]
    base = rng.normal(0, world.spread, (2, 1, seeds, 1))
    own = rng.normal(0, world.spread, (2, 2, seeds, 1)) + rng.normal(0, world.training, (2, 2, seeds, 7))
    bad = np.array([0.3, 0.8]).reshape(2, 1, 1) * (rng.random((1, seeds, 1)) < world.bad)
    own[:, 0] -= bad
    own[..., 0] = 0.0  # the base is the same for both
    return (typical + base + own) * WITHIN


def experiment(world: World, seeds: int, rng: np.random.Generator) -> Aligned:
    """What an experiment of so many seeds stores."""
    strong = strengths(world, seeds, rng)
    sides: list[list[Coordinate]] = [[], []]
    for axis in (0, 1):
        common = rng.normal(0, ITEM, world.items)
        base = None
        for method in (0, 1):
            item = common + rng.normal(0, ITEM_OF_METHOD, world.items)
            right = strong[axis, method][..., None] + item + rng.normal(0, REST, (seeds, 7, world.items)) > 0
            base = right[:, 0] if base is None else base
            right[:, 0] = base
            sides[method].append(Coordinate(right.mean(axis=-1), [right.astype(float)]))
    return Aligned(ACCURACY, ("a", "b"), tuple(range(seeds)), [(one[0], one[1]) for one in sides])


@dataclass(frozen=True)
class Outcome:
    """Of one experiment: estimate, half width and truth of the mean over the range; None where it has no range."""

    value: float
    half: float
    truth: float


class Population:
    """Thousands of seeds of a world without item noise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.scores = special.ndtr(strengths(world, POPULATION, np.random.default_rng(1)) / WITHIN)

    def truth(self, held: str, levels: np.ndarray) -> float:
        """The mean over these levels of the mean difference of the seeds that attain the level.

        Item noise may put a range's end where hardly a seed gets to; there over all, as they are at their best.
        """
        one, other = (0, 1) if held == "acquisition" else (1, 0)
        sides = [(self.scores[one, method], self.scores[other, method]) for method in (0, 1)]
        first, second = (attained_or_best(*side, levels) for side in sides)
        attain = np.all([across.max(axis=-1)[:, None] >= levels for across, _ in sides], axis=0)
        counted = np.where(attain.mean(axis=0) > 0.02, attain, True)
        return float(np.mean(((first - second) * counted).sum(axis=0) / counted.sum(axis=0)))

    def run(self, held: str, seeds: int, experiments: int) -> list[Outcome]:
        """So many experiments."""
        rng = np.random.default_rng([seeds, experiments, held == "retention"])
        found = []
        for _ in range(experiments):
            paths = experiment(self.world, seeds, rng)
            span = range_of(held, paths)
            (mean,) = mean_differences(held, paths, [span.grid()])
            if mean is not None:
                coarse = np.linspace(span.low, span.high, 11)
                found.append(Outcome(mean.estimate.value, mean.spread.half_width(), self.truth(held, coarse)))
        return found
