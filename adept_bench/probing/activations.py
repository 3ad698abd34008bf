"""What a layer's output looks like on a corpus: its mean, a number a hidden dimension (arXiv 2510.10071, Figs 4, 6, 8).

The figures show the kernel density, over dimensions, of that mean for general and for domain text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adept_bench.errors import InputError
from adept_bench.probing.decoder import decoder
from adept_bench.probing.loss import NotFiniteError, by_length, check_documents, make_batch
from adept_bench.probing.undisturbed import first_device, undisturbed

Array = np.ndarray[Any, np.dtype[Any]]
FENCE = 3.0  # interquartile ranges beyond the quartiles: Tukey's bound for values that are "far out"
MARGIN = 3.0  # bandwidths, and grid steps, between the outermost value shown and the end of the grid
NORMAL_IQR = 1.349  # interquartile range of a normal distribution of standard deviation 1
FEWEST_POINTS = 16


class _Stop(Exception):
    """Leaves a forward pass whose rest is not needed."""


def mean_activations(
    model: nn.Module, layers: Sequence[int], documents: Sequence[Sequence[int]], *, batch_size: int
) -> dict[int, Tensor]:
    """By layer: the mean of its output over all tokens of all documents, float64 [hidden] on the CPU.

    layers: indices in this model, so an inserted copy has one of its own. documents: token ids, at least 2 each.
    Every token counts alike, the first of each document too; padding does not count. What follows the last of these
    layers, the output head among it, is not run. Modes and generators stay as they are.
    Raises InputError for a layer that is not there or an unusable corpus, NotFiniteError for a mean that is not finite.
    """
    found = decoder(model).layers
    for layer in layers:
        if not 0 <= layer < len(found):
            raise InputError(f"layers: {layer} is no layer of this model; expected 0 to {len(found) - 1}")
    check_documents(documents)
    if not layers:
        return {}
    sums: dict[int, Tensor] = {}
    device = first_device(model)
    with undisturbed(model), torch.no_grad():
        for indices in by_length(documents, batch_size):
            batch = make_batch([documents[index] for index in indices], device)
            with _summing({layer: found[layer] for layer in layers}, batch.lengths, sums), suppress(_Stop):
                model(input_ids=batch.ids, use_cache=False)
    tokens = sum(map(len, documents))
    means = {layer: sums[layer].double().cpu() / tokens for layer in dict.fromkeys(layers)}
    for layer, mean in means.items():
        if not mean.isfinite().all():
            raise NotFiniteError(f"layer {layer}: the mean of its output is not finite; expected finite numbers")
    return means


@contextmanager
def _summing(layers: Mapping[int, nn.Module], lengths: Sequence[int], sums: dict[int, Tensor]) -> Iterator[None]:
    """Adds each layer's output, summed over the first `lengths` tokens of the rows, to `sums`; stops after the last."""
    waiting = set(layers)

    def adding(layer: int) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            hidden = output if isinstance(output, Tensor) else output[0]
            wide = torch.float32 if hidden.device.type == "mps" else torch.float64  # mps has no float64
            for row, length in zip(hidden, lengths):
                total = row[:length].sum(dim=0, dtype=wide)
                sums[layer] = sums[layer] + total if layer in sums else total
            waiting.discard(layer)
            if not waiting:
                raise _Stop

        return hook

    handles = [module.register_forward_hook(adding(layer)) for layer, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def densities(means: Mapping[str, Sequence[float]], points: int = 101) -> tuple[float, float, dict[str, list[float]]]:
    """(low, high, density at `points` equally spaced points from low to high, by name), Gaussian kernels, one grid.

    Residual streams have a few dimensions of enormous value, which would stretch the grid and the kernels until
    nothing is seen. So the grid spans, over all inputs, the values within 3 interquartile ranges of their input's
    quartiles, and 3 bandwidths more; and the bandwidth is Scott's, n^(-1/5) of the scale, with the scale the lesser
    of standard deviation and interquartile range / 1.349. Every value counts in the density's height: what its area
    on the grid lacks to 1 is the share of dimensions outside. No kernel is narrower than a grid step, which also gives
    an input of equal values (a point mass) a peak of area 1.
    Raises InputError for no input, an empty one, a value that is not finite, or fewer than 16 points.
    """
    if points < FEWEST_POINTS:
        raise InputError(f"points: {points}; expected at least {FEWEST_POINTS}")
    if not means:
        raise InputError("densities: no values; expected at least one list of means")
    values = {name: _checked(name, mean) for name, mean in means.items()}
    widths = {name: _bandwidth(mean) for name, mean in values.items()}
    low, high = _span(list(values.values()), max(widths.values()), points)
    grid = np.linspace(low, high, points)
    step = (high - low) / (points - 1)
    return low, high, {name: _density(mean, max(widths[name], step), grid).tolist() for name, mean in values.items()}


def overlap(density_a: Sequence[float], density_b: Sequence[float], low: float, high: float) -> float:
    """The area under the lower of two densities at the same equally spaced points from low to high: 0 to 1.

    Each is first scaled to area 1 on the grid; 0 where one has no area. Raises InputError for unlike lengths, fewer
    than 2 points or an empty grid.
    """
    if len(density_a) != len(density_b) or len(density_a) < 2 or not low < high:
        raise InputError(
            f"overlap: densities at {len(density_a)} and {len(density_b)} points from {low} to {high}; "
            "expected as many of each, at least 2, and low below high"
        )
    step = (high - low) / (len(density_a) - 1)
    a, b = np.asarray(density_a, dtype=float), np.asarray(density_b, dtype=float)
    areas = _area(a, step), _area(b, step)
    if min(areas) <= 0:
        return 0.0
    return min(1.0, max(0.0, _area(np.minimum(a / areas[0], b / areas[1]), step)))


def _area(density: Array, step: float) -> float:
    """By the trapezoid rule."""
    return float(density.sum() - (density[0] + density[-1]) / 2) * step


def _density(values: Array, width: float, grid: Array) -> Array:
    kernels = np.exp(-0.5 * ((grid[:, None] - values[None, :]) / width) ** 2)
    return kernels.mean(axis=1) / (width * math.sqrt(2 * math.pi))


def _bandwidth(values: Array) -> float:
    quartile, upper = np.percentile(values, (25, 75))
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    scales = [scale for scale in (deviation, float(upper - quartile) / NORMAL_IQR) if scale > 0]
    return min(scales, default=0.0) * len(values) ** -0.2


def _span(inputs: Sequence[Array], width: float, points: int) -> tuple[float, float]:
    """The ends of the grid."""
    shown = np.concatenate([_near(values) for values in inputs])
    low, high = float(shown.min()), float(shown.max())
    middle, size = (low + high) / 2, max(abs(low), abs(high))
    if high - low <= 1e-9 * size or not high > low:  # all equal, up to rounding
        half = 0.5 * (size or 1.0)
        return middle - half, middle + half
    # MARGIN steps of the grid that comes out: margin = MARGIN * (high - low + 2 * margin) / (points - 1)
    margin = max(MARGIN * width, MARGIN * (high - low) / (points - 1 - 2 * MARGIN))
    return low - margin, high + margin


def _near(values: Array) -> Array:
    """The values that are not far out; all of them where half are equal, as there is no range to judge by."""
    quartile, upper = np.percentile(values, (25, 75))
    reach = FENCE * (upper - quartile)
    return values[(values >= quartile - reach) & (values <= upper + reach)] if reach > 0 else values


def _checked(name: str, mean: Sequence[float]) -> Array:
    values = np.asarray(mean, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"densities: {name}: {values.size} values; expected a list of finite numbers, at least one")
    return values
