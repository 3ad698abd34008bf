r"""How far a mean over items and seeds may be from what other items and other seeds would give.

The value of item i under seed s is taken as mean + seed effect + item effect + rest; items are shared by the seeds, so
the two are crossed. Within one task, with S seeds and I items,

    Var(mean) = Var_seed / S + Var_item / I + Var_rest / (S I).

The first and the last term together show in the spread of the seeds' means: A = s^2 / S with S - 1 degrees of freedom.
The middle one is what the items' means vary by beyond the rest: B - C, from the usual mean squares (Searle, Casella,
McCulloch, "Variance Components", ch. 4). Tasks of a group are fixed, not sampled: their means are averaged and their
item variances summed.

The interval is mean +- h, h the 95% point of |sqrt(A) t(S-1) + sqrt(B-C) t(I-1)| with independent t variables
(Behrens-Fisher). Resampling seeds and items and taking percentiles is the same idea, but with S seeds it takes their
spread too small by (S-1)/S and ignores that it is itself estimated from few: in the simulation of
tests/analysis/test_coverage.py it covers the truth about 82% of the time at 3 seeds. A single t with Satterthwaite's
degrees of freedom covers 88 to 93% at 2 and 3 seeds where seeds matter; this one 95 to 98% at 2 to 5 seeds (more with
scores near 0 or 1, where the two added items below weigh).

With one seed there is no A: the interval holds for that seed alone, over other items.

Item variances are those of the items and two more, one at +1 and one at -1 (Bonett and Price 2012, for paired
proportions), so that a difference of no item in 300 does not pass for certainty.

Where items come in clusters (`clusters`), these are what is drawn: in B and C the residuals of a cluster are summed
before they are squared, and the items' degrees of freedom are those of the clusters. Clusters of one item each change
nothing. The two added items are clusters of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from adept_bench.analysis.clusters import Array, Numbers, alone, freedom, sums
from adept_bench.analysis.roots import root

# The part with more degrees of freedom is integrated over on a normal scale, the heavier tail of the other is exact:
# correcting many claims asks for levels of 0.001, where points of equal probability would cut the tail off.
NORMAL = np.linspace(-6.0, 6.0, 401)
WEIGHTS = np.exp(-(NORMAL**2) / 2) / np.sum(np.exp(-(NORMAL**2) / 2))


@dataclass(frozen=True)
class Spread:
    """A mean and the two independent parts of its uncertainty, as standard errors with degrees of freedom."""

    mean: float
    seed_error: float
    seed_df: float
    item_error: float
    item_df: float

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return float(np.hypot(self.seed_error, self.item_error))

    def tail(self, distance: float) -> float:
        """The probability of a deviation of at least `distance` from the mean, either way."""
        return self._tails()(distance)

    def _tails(self) -> Callable[[float], float]:
        (heavy_df, heavy), (light_df, light) = sorted(
            [(self.seed_df, self.seed_error), (self.item_df, self.item_error)]
        )
        if heavy == light == 0.0:
            return lambda distance: 0.0 if distance > 0 else 1.0
        if heavy == 0.0 or light == 0.0:
            df, error = (light_df, light) if heavy == 0.0 else (heavy_df, heavy)
            return lambda distance: min(2 * float(special.stdtr(df, -distance / error)), 1.0)
        points = _quantiles(light_df) * (light / heavy)
        # the sum is symmetric: twice one side
        return lambda distance: min(2 * float(special.stdtr(heavy_df, points - distance / heavy) @ WEIGHTS), 1.0)

    def half_width(self, level: float = 0.95) -> float:
        """Half the width of the interval that covers the true mean with probability `level`."""
        errors = [(self.seed_error, self.seed_df), (self.item_error, self.item_df)]
        beyond = 1 - level
        # where the sum goes beyond this, one of its parts goes beyond its own share, which each does with half the tail
        reach = sum(float(special.stdtrit(df, 1 - beyond / 4)) * error for error, df in errors)
        if reach == 0.0:
            return 0.0
        # and it varies no less than either part; with a margin for the steps that the points of `_tails` make
        least = max(float(special.stdtrit(df, 1 - beyond / 2)) * error for error, df in errors)
        tails = self._tails()
        return root(lambda width: math.log(tails(width) / beyond), 0.9 * least, 1.01 * reach)

    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true mean is 0."""
        return self.tail(abs(self.mean))


@lru_cache(maxsize=256)
def _quantiles(df: float) -> Array:
    """Student's t where a normal variable is at NORMAL."""
    return np.asarray(-np.sign(NORMAL) * special.stdtrit(df, special.ndtr(-np.abs(NORMAL))))


def of_items(tasks: Sequence[Array], clusters: Sequence[Numbers | None] | None = None) -> Spread | None:
    """The spread of the unweighted mean over tasks; each task an array [seeds, items] with values in -1..1.

    Rows are the same seeds in every task, columns the same items under every seed. `clusters`: of each task's items,
    where they have any. None where all items of a task are of one cluster, which says nothing of others.
    """
    clusters = clusters or [None] * len(tasks)
    if alone(clusters):
        return None
    by_seed = np.mean([task.mean(axis=1) for task in tasks], axis=0)
    seeds = len(by_seed)
    seed_variance = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    parts = np.array([_item_parts(*one) for one in zip(tasks, clusters, strict=True)])
    item, rest = parts[:, 0] / len(tasks) ** 2, parts[:, 1] / len(tasks) ** 2
    item_variance = max(float(item.sum() - rest.sum()), 0.0)
    # Satterthwaite over tasks
    item_df = float(item.sum() ** 2 / np.sum(item**2 / parts[:, 2]))
    return Spread(float(by_seed.mean()), seed_variance**0.5, max(seeds - 1, 1), item_variance**0.5, item_df)


def _item_parts(task: Array, clusters: Numbers | None) -> tuple[float, float, float]:
    """B and C of one task: the variance of its mean over items, and the part of it that is the rest's; and the degrees
    of freedom of B."""
    seeds, items = task.shape
    by_item = task.mean(axis=0)
    residuals = by_item - by_item.mean()
    summed = sums(residuals, clusters)
    # of a single item nothing is known beyond the two added ones
    units, free = len(summed), max(len(summed) - 1, 1)
    item = (float(np.sum(summed**2)) + 2.0) / free / items * (units / items)
    item_df = float(free) if clusters is None else freedom(clusters, residuals)
    if seeds == 1:
        return item, 0.0, item_df
    rest = sums(task - task.mean(axis=1, keepdims=True) - by_item + task.mean(), clusters)
    return item, float(np.sum(rest**2)) / ((seeds - 1) * free) / (seeds * items) * (units / items), item_df


def of_seeds(values: Sequence[float]) -> Spread:
    """The spread of a mean of one number a seed (a held-out loss, a ratio of times): Student's t. Two seeds or more."""
    array = np.asarray(values, dtype=np.float64)
    return Spread(float(array.mean()), float(array.std(ddof=1)) / len(array) ** 0.5, len(array) - 1, 0.0, 1.0)
