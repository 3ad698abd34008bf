"""Which layers to copy: pure functions from importances or depth to ascending layer indices.

Every function raises InputError unless 1 <= k <= number of layers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from adept_bench.errors import InputError


def lowest(importance: Sequence[float], k: int) -> list[int]:
    """The k layers of smallest importance (ADEPT's S_k, arXiv 2510.10071 stage 1); ties go to the lower index."""
    return sorted(_ranked(importance, k)[:k])


def highest(importance: Sequence[float], k: int) -> list[int]:
    """The k layers of largest importance, a control for `lowest`; ties go to the higher index."""
    return sorted(_ranked(importance, k)[-k:])


def uniform(layers: int, k: int) -> list[int]:
    """A copy after every L/k-th layer (LLaMA-Pro), for any k: round((i + 1) * L / k) - 1, halves rounded up."""
    _check(layers, k)
    return [(2 * (i + 1) * layers + k) // (2 * k) - 1 for i in range(k)]


def last(layers: int, k: int) -> list[int]:
    """The k layers nearest to the output."""
    _check(layers, k)
    return list(range(layers - k, layers))


def first(layers: int, k: int) -> list[int]:
    """The k layers nearest to the input."""
    _check(layers, k)
    return list(range(k))


def random_layers(layers: int, k: int, seed: int) -> list[int]:
    """k layers drawn without replacement, the same for the same seed on every machine."""
    _check(layers, k)
    return sorted(random.Random(seed).sample(range(layers), k))


def _ranked(importance: Sequence[float], k: int) -> list[int]:
    _check(len(importance), k)
    if bad := [i for i, value in enumerate(importance) if math.isnan(value)]:
        raise InputError(f"layer importance: layer {bad[0]} is not a number; expected a number for every layer")
    return sorted(range(len(importance)), key=lambda i: (importance[i], i))


def _check(layers: int, k: int) -> None:
    if not 1 <= k <= layers:
        raise InputError(f"k: {k} layers asked for; expected 1 to {layers}, the model's number of layers")
