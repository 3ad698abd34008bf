"""The training loss in blocks of positions: a batch's logits and their gradients never exist whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adept_bench.models.anatomy import evaluating, probe_tokens
from adept_bench.models.head import head_answering, linear_head, vocabulary
from adept_bench.probing.blockwise import is_large, summed_loss

if TYPE_CHECKING:
    from adept_bench.config.schema import TrainingConfig

InBlocks = Callable[[], AbstractContextManager[None]]


def loss_in_blocks(model: Any, training: TrainingConfig) -> InBlocks:
    """A context in which `model(input_ids, labels=...).loss` is computed block by block; its logits are then no logits.

    Loss and gradients are the model's own, to rounding. The context does nothing where a batch's logits are few (so
    that small models train as they always did, bit for bit), where they are not a plain linear map of the last hidden
    states, or where the model's loss turns out to be another one on a few tokens.
    """
    if not is_large(training.batch_size * training.length, vocabulary(model)):
        return nullcontext
    kind = next(model.parameters()).device.type
    # as in training: 16-bit weights that are frozen would not go with float32 masters
    with torch.autocast(kind, torch.bfloat16, enabled=training.precision == "bf16"):
        head = linear_head(model)
        if head is None or not _reproduces(model, partial(_in_blocks, model, head)):
            return nullcontext
    return partial(_in_blocks, model, head)


@contextmanager
def _in_blocks(model: Any, head: nn.Linear) -> Iterator[None]:
    before = vars(model).get("_loss_function")
    model.loss_function = partial(_loss, head)
    try:
        with head_answering(head, lambda hidden: hidden):
            yield
    finally:
        del model._loss_function
        if before is not None:
            model.loss_function = before


def _loss(
    head: nn.Linear,
    logits: Tensor,
    labels: Tensor,
    vocab_size: int,
    num_items_in_batch: Any = None,
    ignore_index: int = -100,
    **_: Any,
) -> Tensor:
    """transformers' ForCausalLMLoss with the head's input [B, T, hidden] in the place of its logits."""
    wanted = functional.pad(labels, (0, 1), value=ignore_index)[..., 1:].to(logits.device)
    counts = wanted != ignore_index
    total = summed_loss(logits[counts], wanted[counts], head)
    return total / (counts.sum() if num_items_in_batch is None else num_items_in_batch)


def _reproduces(model: Any, in_blocks: InBlocks) -> bool:
    """Whether the model's loss on a few tokens is the same in blocks."""
    if not isinstance(getattr(type(model), "loss_function", None), property):
        return False
    ids = probe_tokens(model)
    with torch.no_grad(), evaluating(model):
        plain = model(input_ids=ids, labels=ids, use_cache=False).loss
        try:
            with in_blocks():
                ours = model(input_ids=ids, labels=ids, use_cache=False).loss
        except Exception:  # a family that does something else with its logits than hand them to its loss
            return False
    return bool((ours - plain).abs() <= 1e-5 * plain.abs().clamp(min=1.0))
