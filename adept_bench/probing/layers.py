"""Stage 1's question: how much does each layer matter for the probe corpus (arXiv 2510.10071, section 3, Table 9)?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from adept_bench.distributed.sharing import mine, united
from adept_bench.errors import InputError, unknown_name
from adept_bench.probing.decoder import decoder
from adept_bench.probing.gradients import gradient_sums, squared, weighted
from adept_bench.probing.loss import by_length, check_documents, check_finite, corpus_loss, make_batch
from adept_bench.probing.prefix import SharedForward, plain_masked_losses
from adept_bench.probing.undisturbed import first_device, undisturbed
from adept_bench.progress import reporter

METRICS = ("masking", "gradient", "rank", "fisher")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LayerImportance:
    """Layers numbered from 0. `base_loss` is the model's probe loss in nats. For masking, `importance` is the masked
    loss minus the base loss in nats; the other metrics have no unit and only order the layers.

    `per_document`, for masking only: [layers][documents], each document's masked loss minus its base loss in nats, in
    the order of the documents given. A layer's importance is the mean of its row, up to rounding.
    """

    metric: str
    base_loss: float
    importance: list[float]
    per_document: list[list[float]] | None = None

    def lowest(self, k: int | None = None) -> list[int]:
        """The k layers of lowest importance (all of them by default), the lowest first; the earlier layer of equals."""
        order = sorted(range(len(self.importance)), key=lambda index: (self.importance[index], index))
        if k is not None and not 0 <= k <= len(order):
            raise InputError(f"k: {k} layers of {len(order)} asked for")
        return order[:k]


def probe_layers(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    *,
    metric: str = "masking",
    batch_size: int = 8,
    on_progress: Progress | None = None,
) -> LayerImportance:
    """The importance of every decoder layer for `documents` (token ids, at least 2 a document).

    - masking: the layer's output is its input; importance is the masked probe loss minus the base loss, in nats.
    - gradient: sum over the layer's weights of |w| times the mean over batches of |dL/dw|.
    - rank: each module (q_proj, down_proj, a norm, ...) ranks the layers by its own `gradient` sum, 1 the least;
      a layer's importance is the mean of its modules' ranks. Equals share the mean of their ranks.
    - fisher: sum over the layer's weights of the mean over batches of (dL/dw)^2, L the batch's probe loss.

    Masking does not depend on `batch_size`; the others do, as contract.md defines them. `on_progress(done, total)`
    counts layers of all batches for masking (total = layers x batches), and batches otherwise.
    Raises InputError for an unknown metric, an unusable corpus, or a model whose layers cannot be discovered.
    """
    if metric not in METRICS:
        raise unknown_name("--metric", "metric", metric, METRICS)
    check_documents(documents)
    found = decoder(model)
    if metric == "masking":
        return _masking(model, found.layers, documents, batch_size, on_progress)
    layer_of = found.by_layer([name for name, _ in model.named_parameters()])
    statistic = squared if metric == "fisher" else weighted
    sums = gradient_sums(model, documents, layer_of, statistic, batch_size=batch_size, on_progress=on_progress)
    if metric == "rank":
        modules = {
            name: name.removeprefix(f"{found.path}.{layer}.").rpartition(".")[0] for name, layer in layer_of.items()
        }
        importance = _mean_ranks(sums, layer_of, modules, len(found.layers))
    else:
        importance = _totals(sums, layer_of, len(found.layers))
    return LayerImportance(metric, corpus_loss(model, documents, batch_size=batch_size), importance)


def _masking(
    model: nn.Module,
    layers: nn.ModuleList,
    documents: Sequence[Sequence[int]],
    batch_size: int,
    on_progress: Progress | None,
) -> LayerImportance:
    whole = list(by_length(documents, batch_size))
    batches = mine(whole)
    device = first_device(model)
    done, total = 0, len(layers) * len(batches)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(done, total)

    found: dict[int, list[float]] = {}  # by document: its loss with each layer masked and, last, with none
    with undisturbed(model), torch.no_grad():
        shared = _shared_forward(model, layers, [documents[index] for index in whole[-1][-2:]])
        for indices in batches:
            batch = make_batch([documents[index] for index in indices], device)
            if shared:
                measured = shared.masked_losses(batch, advance)
            else:
                measured = plain_masked_losses(model, layers, batch)
                advance(len(layers))
            found |= zip(indices, measured.T.tolist())
    found = united(found)
    given = [index for indices in whole for index in indices]
    losses = [list(row) for row in zip(*(found[index] for index in given))]
    *masked, base = [math.fsum(row) / len(row) for row in losses]
    check_finite(base, "the corpus")
    importance = [check_finite(value, f"the corpus with layer {i} masked") - base for i, value in enumerate(masked)]
    return LayerImportance("masking", base, importance, _differences(losses, given))


def _differences(losses: Sequence[Sequence[float]], given: Sequence[int]) -> list[list[float]]:
    """Each row of `losses` minus the last; place i, measured on document given[i], goes to that document's place."""
    *masked, base = losses
    order = sorted(range(len(given)), key=given.__getitem__)
    return [[row[place] - base[place] for place in order] for row in masked]


def _shared_forward(model: nn.Module, layers: nn.ModuleList, sample: Sequence[Sequence[int]]) -> SharedForward | None:
    """The way to share prefixes that reproduces this model's own passes on `sample`; None if there is none."""
    batch = make_batch(sample, first_device(model))
    for tokens_at_once in (None, 0):  # 0: one variant at a time, for layers that cannot take more rows than documents
        shared = SharedForward(model, layers, tokens_at_once=tokens_at_once)
        if shared.works(batch):
            return shared
    reporter().log(
        f"{type(model).__name__} does more between its layers than call them in turn: "
        f"masking by {len(layers) + 1} whole passes a batch"
    )
    return None


def _totals(values: Mapping[str, float], layer_of: Mapping[str, int], layers: int) -> list[float]:
    """The sum over each layer's parameters."""
    return [math.fsum(value for name, value in values.items() if layer_of[name] == layer) for layer in range(layers)]


def _mean_ranks(
    values: Mapping[str, float], layer_of: Mapping[str, int], module_of: Mapping[str, str], layers: int
) -> list[float]:
    """Rank aggregation (Table 9): the mean over a layer's modules of the module's rank among the layers."""
    from scipy.stats import rankdata

    modules: dict[str, dict[int, float]] = {}
    for name, value in values.items():
        by_layer = modules.setdefault(module_of[name], {})
        by_layer[layer_of[name]] = by_layer.get(layer_of[name], 0.0) + value
    ranks: list[list[float]] = [[] for _ in range(layers)]
    for by_layer in modules.values():
        for layer, rank in zip(by_layer, rankdata(list(by_layer.values()))):
            ranks[layer].append(float(rank))
    return [math.fsum(of_layer) / len(of_layer) for of_layer in ranks]
