"""Cross entropy of a batch whose log-probabilities are too many to keep: one document at a time, forward and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def upcast(values: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over positions of the cross entropy, in at least float32: logits [T, V], targets [T]."""
    return functional.cross_entropy(upcast(logits), targets)


def row_losses(logits: Tensor, ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """Each row's mean next-token cross entropy, [B]: logits [B, T, V], ids [B, T], row i holds `lengths[i]` tokens.

    Beside the logits and their gradient only one row's log-probabilities exist at a time: the backward pass makes them
    again. Values and gradients are those of `mean_cross_entropy` row by row.
    """
    found: Tensor = _RowByRow.apply(logits, ids.to(logits.device), tuple(lengths))
    return found


class _RowByRow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, ids: Tensor, lengths: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(logits, ids)
        ctx.lengths = lengths
        rows = enumerate(lengths)
        return torch.stack([mean_cross_entropy(logits[row, : n - 1], ids[row, 1:n]) for row, n in rows])

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        logits, ids = ctx.saved_tensors
        gradient = torch.zeros_like(logits)
        for row, length in enumerate(ctx.lengths):
            with torch.enable_grad():
                predicted = logits[row, : length - 1].detach().requires_grad_()
                loss = mean_cross_entropy(predicted, ids[row, 1:length])
            (gradient[row, : length - 1],) = torch.autograd.grad(loss, predicted, outputs[0][row])
        return gradient, None, None
