"""How much the masking importances, and the layers chosen by them, owe to the probe documents that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adept_bench.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]
INTERVAL = (2.5, 97.5)  # percentiles: 95% of the samples lie between


def stability(
    per_document: Sequence[Sequence[float]],
    *,
    k: int,
    samples: int = 500,
    sizes: Sequence[int] = (4, 8, 16, 32),
    size_samples: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """The fields of `results.schema.Stability` but the corpus, from `LayerImportance.per_document`.

    per_document: [layers][documents], masked loss minus base loss in nats.
    Bootstrap: `samples` times, as many documents as there are, drawn with replacement; the percentiles of each layer's
    importance, the share of samples in which it is among the `k` lowest (ties: the earlier layer, as in
    `models.selection.lowest`), and Spearman's correlation of each sample's importances with those of all documents.
    Sizes: for each of `sizes` below the number of documents, `size_samples` random subsets of it, none with a document
    twice; larger sizes are left out. Equal importances share the mean of their ranks. Where all layers are equally
    important there is no order to agree with, and the correlation, which is undefined, counts as 0.
    The same seed draws the same documents, whatever else is asked for.
    Raises InputError for a table that is empty, ragged or not finite, or a k, size or number of samples out of range.
    """
    values = _table(per_document)
    layers, documents = values.shape
    _check_numbers(layers, k, samples, sizes, size_samples, seed)
    importance = values.mean(axis=1)
    drawn = np.random.default_rng((seed, 0)).integers(documents, size=(samples, documents))
    sampled = _sample_means(values, drawn)
    low, high = np.percentile(sampled, INTERVAL, axis=0)
    correlation = _spearman(sampled, importance)
    return {
        "documents": documents,
        "k": k,
        "samples": samples,
        "importance": importance.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "chosen": _among_lowest(sampled, k).mean(axis=0).tolist(),
        "rank_correlation": [float(correlation.mean()), *np.percentile(correlation, INTERVAL).tolist()],
        "sizes": [_of_size(values, importance, size, k, size_samples, seed) for size in sizes if size < documents],
    }


def _of_size(values: Array, importance: Array, size: int, k: int, samples: int, seed: int) -> dict[str, Any]:
    """The fields of `results.schema.ProbeSize`."""
    rng = np.random.default_rng((seed, size))
    # the places of the smallest of independent numbers are a subset without repetition, every subset alike
    drawn = rng.random((samples, values.shape[1])).argsort(axis=1)[:, :size]
    sampled = _sample_means(values, drawn)
    common = _among_lowest(sampled, k) & _among_lowest(importance[None], k)
    return {
        "documents": size,
        "samples": samples,
        "rank_correlation": _spearman(sampled, importance).tolist(),
        "overlap": (common.sum(axis=1) / k).tolist(),
    }


def _sample_means(values: Array, drawn: Array) -> Array:
    """Importances [samples, layers] of the documents `drawn`, [samples, n].

    Sums of the same order for every layer, where a matrix product would not promise it: equal layers stay equal.
    """
    return np.stack([row[drawn].mean(axis=1) for row in values], axis=1)


def _among_lowest(importance: Array, k: int) -> Array:
    """Whether each layer is among the k lowest: bool [samples, layers] for importances of that shape."""
    chosen = np.zeros(importance.shape, dtype=bool)
    np.put_along_axis(chosen, importance.argsort(axis=1, kind="stable")[:, :k], True, axis=1)
    return chosen


def _spearman(sampled: Array, importance: Array) -> Array:
    """Spearman's correlation of each row of [samples, layers] with one importance a layer; 0 where undefined."""
    ranks, reference = _ranks(sampled), _ranks(importance[None])[0]
    ranks -= ranks.mean(axis=1, keepdims=True)
    reference -= reference.mean()
    norms = np.sqrt((ranks**2).sum(axis=1) * (reference**2).sum())
    correlation = np.divide(ranks @ reference, norms, out=np.zeros(len(ranks)), where=norms > 0)
    return correlation.clip(-1.0, 1.0)


def _ranks(values: Array) -> Array:
    """Ranks within each row, 1 the lowest; equals share the mean of theirs."""
    below = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return below + (equal + 1) / 2


def _table(per_document: Sequence[Sequence[float]]) -> Array:
    lengths = {len(row) for row in per_document}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"stability: rows of {sorted(lengths)} documents; expected a row a layer, all of one length above 0"
        )
    values = np.array(per_document, dtype=np.float64)
    if len(bad := np.argwhere(~np.isfinite(values))):
        layer, document = bad[0]
        raise InputError(
            f"stability: layer {layer}, document {document}: {values[layer, document]}; expected a finite number"
        )
    return values


def _check_numbers(layers: int, k: int, samples: int, sizes: Sequence[int], size_samples: int, seed: int) -> None:
    if not 1 <= k <= layers:
        raise InputError(f"k: {k} layers; expected 1 to {layers}, the model's number of layers")
    if seed < 0:
        raise InputError(f"seed: {seed}; expected at least 0")
    for name, number in [("samples", samples), ("size_samples", size_samples), *(("sizes", size) for size in sizes)]:
        if number < 1:
            raise InputError(f"stability: {name}: {number}; expected at least 1")
