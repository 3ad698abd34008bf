"""The output head, where it is nothing but a linear map: what is wanted of its logits can be had from its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from adept_bench.models.anatomy import evaluating, probe_tokens

Found = TypeVar("Found")


def linear_head(model: Any) -> nn.Linear | None:
    """The output head of a model whose logits are that linear map of the head's input, to the bit; else None.

    Found by a pass over a few tokens, so that whatever a family does to its logits (a soft cap, a scale) shows. None
    too for a head that is held in shards, that is adapted, or that something else (hooks, accelerate) already wraps.
    """
    from adept_bench.distributed.sharding import is_sharded

    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or "forward" in vars(head) or is_sharded(head.weight):
        return None
    if head._forward_hooks or head._forward_pre_hooks:
        return None
    made: list[Tensor] = []
    handle = head.register_forward_hook(lambda _module, _args, output: made.append(output))
    try:
        with torch.no_grad(), evaluating(model):
            logits = model(input_ids=probe_tokens(model), use_cache=False).logits
    finally:
        handle.remove()
    same = len(made) == 1 and made[0].shape == logits.shape and torch.equal(made[0].float(), logits.float())
    return head if same else None


def vocabulary(model: Any) -> int:
    """The number of logits a position has, as its head or else its input embeddings have rows."""
    head = model.get_output_embeddings() or model.get_input_embeddings()
    return int(head.weight.shape[0])


@contextmanager
def head_answering(head: nn.Linear, answer: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The head's forward is `answer`, called with its input; its own comes back at the end."""
    head.forward = answer  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        del vars(head)["forward"]


def instead_of_head(model: Any, head: nn.Linear, inputs: dict[str, Any], compute: Callable[[Tensor], Found]) -> Found:
    """`compute` of the head's input [B, T, hidden] in a pass over `inputs` that makes no logits.

    It is called within the model's forward pass, where autocast is what it would be for the head.
    """
    found: list[Found] = []

    def answer(hidden: Tensor) -> Tensor:
        found.append(compute(hidden))
        return hidden

    with head_answering(head, answer):
        model(**inputs)
    return found[0]
