"""Sums over gradients that never hold more than one parameter's gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from adept_bench.distributed.group import gathered, group
from adept_bench.distributed.sharding import is_sharded, local
from adept_bench.distributed.sharing import mine, united
from adept_bench.probing.loss import (
    NotFiniteError,
    batch_losses,
    check_documents,
    check_finite,
    head_in_blocks,
    in_order,
    make_batch,
)
from adept_bench.probing.rowwise import upcast
from adept_bench.probing.undisturbed import first_device, undisturbed

# called with a parameter and its gradient, or a piece of each; returns a sum over the elements
Statistic = Callable[[Tensor, Tensor], Tensor]
CHUNK = 1 << 20  # elements reduced at once: temporaries stay small beside any large model's tensors


def gradient_sums(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    names: Collection[str],
    statistic: Statistic,
    *,
    batch_size: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """By parameter name: `statistic`, a sum over the parameter's elements, averaged over batches.

    Backward passes of the probe loss, batch by batch in the documents' order. Processes that work together
    (distributed.group) take turns at whole batches; where they hold the model in shards, they share out each batch's
    documents (`_sharded_sums`). All return the sums over all batches.

    Each gradient is reduced as it appears and freed at once. Gradients the model already holds, which parameters
    train, modes and generators are as before afterwards, also on an error.
    Raises InputError for an unusable corpus, NotFiniteError for a loss that is not finite.
    """
    check_documents(documents)
    chosen = {name: parameter for name, parameter in model.named_parameters() if name in names}
    batches = list(in_order(len(documents), batch_size))
    if any(is_sharded(parameter) for parameter in chosen.values()):
        sums = _sharded_sums(model, documents, batches, chosen, statistic, on_progress)
    else:
        sums = _shared_sums(model, documents, batches, chosen, statistic, on_progress)
    return {name: value / len(batches) for name, value in sums.items()}


def _shared_sums(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    batches: Sequence[Sequence[int]],
    chosen: dict[str, nn.Parameter],
    statistic: Statistic,
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, float]:
    """Sums over all batches, each of which one process takes whole: |dL/dw| is a batch's own."""
    totals = {name: torch.zeros((), dtype=_sum_dtype(p), device=p.device) for name, p in chosen.items()}
    device, own = first_device(model), mine(batches)
    failed: Exception | None = None
    with undisturbed(model), torch.enable_grad(), _reducing(model, chosen, totals, statistic):
        try:
            head = head_in_blocks(model, documents, max(map(len, batches)))
            for done, indices in enumerate(own, 1):
                loss = batch_losses(model, make_batch([documents[index] for index in indices], device), head).mean()
                check_finite(loss.item(), f"documents {indices[0]} to {indices[-1]}")
                loss.backward()
                del loss
                if on_progress:
                    on_progress(done, len(own))
        except NotFiniteError as error:  # the other processes wait for this one's part
            failed = error
    parts = united({group().rank: {name: value.item() for name, value in totals.items()}}, failed)
    if len(parts) == 1:
        return next(iter(parts.values()))
    return {name: math.fsum(part[name] for part in parts.values()) for name in chosen}


def _sharded_sums(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    batches: Sequence[Sequence[int]],
    chosen: dict[str, nn.Parameter],
    statistic: Statistic,
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, float]:
    """The same of a model in shards (FSDP2), whose backward pass leaves each process its shard of the gradient.

    That gradient is a mean over the processes, so they must be at the same batch: each takes every size-th of its
    documents, weighted so that the mean over processes is the batch's loss. A process without one goes along with a
    weight of 0, since each pass gathers weights from all. `statistic` must be a sum over elements.
    """
    here, device = group(), first_device(model)
    training = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if training != set(chosen):
        odd = sorted(training ^ set(chosen))
        raise ValueError(f"of a model in shards, exactly what trains can be measured; it differs in {odd[:3]}")
    sums, losses = dict.fromkeys(chosen, 0.0), []
    with undisturbed(model), torch.enable_grad():
        for done, indices in enumerate(batches, 1):
            own = list(indices[here.rank :: here.size])
            batch = make_batch([documents[index] for index in own or indices[:1]], device)
            loss = batch_losses(model, batch).sum() * (here.size / len(indices) if own else 0.0)
            losses.append(loss.item() / here.size)
            loss.backward()
            del loss
            for name, parameter in chosen.items():
                if parameter.grad is not None:
                    for value in _in_chunks(statistic, local(parameter.detach()), local(parameter.grad)):
                        sums[name] += value.item()
                parameter.grad = None
            if on_progress:
                on_progress(done, len(batches))
    parts: list[Any] = gathered((losses, sums))
    for place, indices in enumerate(batches):
        where = f"documents {indices[0]} to {indices[-1]}"
        check_finite(math.fsum(losses[place] for losses, _ in parts), where)
    return {name: math.fsum(part[name] for _, part in parts) for name in chosen}


@contextmanager
def _reducing(
    model: nn.Module, chosen: dict[str, nn.Parameter], sums: dict[str, Tensor], statistic: Statistic
) -> Iterator[None]:
    """Only the chosen parameters get gradients, which go into `sums` and are dropped."""
    everything = list(model.parameters())
    flags = [parameter.requires_grad for parameter in everything]
    kept = {name: parameter.grad for name, parameter in chosen.items()}
    handles = []

    def reduce_into(total: Tensor) -> Callable[[Tensor], None]:
        def hook(parameter: Tensor) -> None:
            assert parameter.grad is not None
            for value in _in_chunks(statistic, parameter.detach(), parameter.grad):
                total.add_(value)
            parameter.grad = None

        return hook

    try:
        for parameter in everything:
            parameter.requires_grad_(False)
        for name, parameter in chosen.items():
            parameter.grad = None
            parameter.requires_grad_(True)
            handles.append(parameter.register_post_accumulate_grad_hook(reduce_into(sums[name])))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for name, parameter in chosen.items():
            parameter.grad = kept[name]
        for parameter, flag in zip(everything, flags):
            parameter.requires_grad_(flag)


def weighted(weight: Tensor, gradient: Tensor) -> Tensor:
    """The sum of |w * dL/dw|. As |w| does not change, its mean over batches is the sum of |w| * mean |dL/dw|."""
    return torch.linalg.vector_norm(upcast(weight) * upcast(gradient), ord=1)


def squared(weight: Tensor, gradient: Tensor) -> Tensor:
    """The sum of (dL/dw)^2."""
    return torch.linalg.vector_norm(upcast(gradient)).square()


def _in_chunks(statistic: Statistic, weight: Tensor, gradient: Tensor) -> Iterator[Tensor]:
    if weight.numel() <= CHUNK:
        yield statistic(weight, gradient)
        return
    for w, g in zip(weight.reshape(-1).split(CHUNK), gradient.reshape(-1).split(CHUNK)):
        yield statistic(w, g)


def _sum_dtype(parameter: Tensor) -> torch.dtype:
    return torch.float32 if parameter.device.type == "mps" else torch.float64  # mps has no float64
