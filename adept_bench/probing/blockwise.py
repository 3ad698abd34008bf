"""Cross entropy from last hidden states and a linear head, without ever holding all positions' logits.

Without gradients: tile by tile of the vocabulary, a tile being small enough for the cache, with a running maximum and
sum of exponentials. With gradients: block by block of positions; a block's part of the gradients is made as soon as its
logits are there, so that nothing of it is kept and no product is taken twice. Buffers are taken once and used again:
fresh ones of this size would be pages that the system maps and zeroes each time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from adept_bench.probing.rowwise import upcast

ROWS = 1024  # positions that share one reading of the head's weights
TILE = {"cpu": 1 << 23, "cuda": 1 << 28}  # bytes of logits, in float32, of a tile
BLOCK = {"cpu": 1 << 26, "cuda": 1 << 28}  # the same of a block with gradients; fewer rows would starve its products
LARGE = 5 << 23  # 40 MiB of logits, in float32: fewer are computed plainly


def is_large(positions: int, words: int) -> bool:
    """Whether so many logits are worth going through block by block."""
    return 4 * positions * words > LARGE


def token_losses(hidden: Tensor, targets: Tensor, head: nn.Linear) -> Tensor:
    """Each position's cross entropy in nats, [N], in at least float32, without gradients: hidden [N, d], targets [N].

    As `cross_entropy(upcast(head(hidden)), targets, reduction="none")`, to rounding.
    """
    with torch.no_grad():
        hidden, weight, bias = _operands(hidden, head.weight, head.bias)
        targets = targets.to(hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            if not is_large(len(hidden), len(weight)):
                logits = upcast(functional.linear(hidden, weight, bias))
                return functional.cross_entropy(logits, targets, reduction="none")
            pieces = zip(hidden.split(ROWS), targets.split(ROWS))
            return torch.cat([_tiled_losses(rows, weight, bias, wanted) for rows, wanted in pieces])


def summed_loss(hidden: Tensor, targets: Tensor, head: nn.Linear) -> Tensor:
    """The sum of `token_losses`, differentiable once: hidden [N, d], targets [N].

    The gradients are those of the plain computation, to rounding. Between forward and backward pass only they are
    held: [N, d], and as much as the head's weights where these train.
    """
    if not torch.is_grad_enabled():
        return token_losses(hidden, targets, head).sum()
    found: Tensor = _SummedLoss.apply(hidden, head.weight, head.bias, targets.to(hidden.device))
    return found


def _tiled_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    rows, words = len(hidden), max(1, _bytes(TILE, hidden) // (4 * ROWS))
    tile = _Logits(hidden, min(words, len(weight)), rows)
    # not -inf: a tile of which every word is ruled out has that for its maximum
    top = torch.full((rows, 1), torch.finfo(tile.wide.dtype).min, dtype=tile.wide.dtype, device=hidden.device)
    total, reached = torch.zeros_like(top), torch.zeros_like(top)
    for start in range(0, len(weight), words):
        part = slice(start, start + words)
        logits = tile.of(hidden, weight[part], None if bias is None else bias[part])
        place = targets[:, None] - start
        here = (place >= 0) & (place < logits.shape[1])
        reached = torch.where(here, logits.gather(1, place.clamp(0, logits.shape[1] - 1)), reached)
        higher = torch.maximum(top, logits.amax(dim=1, keepdim=True))
        total = total * (top - higher).exp_() + logits.sub_(higher).exp_().sum(dim=1, keepdim=True)
        top = higher
    return (top + total.log() - reached)[:, 0]


class _Logits:
    """Logits of at most `rows` x `words`, in at least float32, made in the same memory each time."""

    def __init__(self, like: Tensor, words: int, rows: int) -> None:
        self.narrow = torch.empty(rows * words, dtype=like.dtype, device=like.device)
        self.wide = upcast(self.narrow)

    def of(self, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What the head makes of `hidden`: [its rows, the rows of `weight`], valid until the next call."""
        rows, words = len(hidden), len(weight)
        made = self.narrow[: rows * words].view(rows, words)
        if bias is None:
            torch.mm(hidden, weight.t(), out=made)
        else:
            torch.addmm(bias, hidden, weight.t(), out=made)
        if self.wide is self.narrow:
            return made
        return self.wide[: rows * words].view(rows, words).copy_(made)


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        rows, map_, shift = _operands(hidden, weight, bias)
        with torch.autocast(hidden.device.type, enabled=False):
            to_hidden = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
            to_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
            to_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
            size = _even(len(rows), max(1, _bytes(BLOCK, rows) // (4 * len(weight))))
            block = _Logits(rows, len(weight), size)
            losses = torch.empty(len(rows), 1, dtype=block.wide.dtype, device=rows.device)
            for start in range(0, len(rows), size):
                part = slice(start, start + size)
                logits, wanted = block.of(rows[part], map_, shift), targets[part, None]
                reached = logits.gather(1, wanted)
                top = logits.amax(dim=1, keepdim=True)
                total = logits.sub_(top).exp_().sum(dim=1, keepdim=True)
                losses[part] = top + total.log() - reached
                if not any(ctx.needs_input_grad):
                    continue
                # the loss's gradient to the logits: probabilities, less 1 at the target
                logits.div_(total).scatter_add_(1, wanted, torch.full_like(top, -1.0))
                slope = logits.to(rows.dtype)
                if to_hidden is not None:
                    torch.mm(slope, map_, out=to_hidden[part])
                if to_weight is not None:
                    _add_product(to_weight, slope, rows[part])
                if to_bias is not None:
                    to_bias += logits.sum(dim=0)
        ctx.gradients = None if to_hidden is None else to_hidden.to(hidden.dtype), to_weight, to_bias
        return losses.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the loss's gradients are handed out once; a second backward pass needs a new forward")
        return *(None if gradient is None else gradient.mul_(outputs[0]) for gradient in gradients), None


def _add_product(total: Tensor, slope: Tensor, hidden: Tensor) -> None:
    if total.dtype == slope.dtype:
        total.addmm_(slope.t(), hidden)
    else:
        total += slope.t() @ hidden


def _operands(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a linear map would multiply: the same, or as autocast narrows them."""
    kind = hidden.device.type
    narrowed = torch.is_autocast_enabled(kind) and hidden.dtype != torch.float64
    dtype = torch.get_autocast_dtype(kind) if narrowed else hidden.dtype
    return hidden.detach().to(dtype), weight.detach().to(dtype), None if bias is None else bias.detach().to(dtype)


def _even(count: int, most: int) -> int:
    """The size of the fewest blocks of at most `most` that hold `count`, all of about the same size."""
    return -(-count // -(-count // most)) if count else 1


def _bytes(by_device: dict[str, int], tensor: Tensor) -> int:
    return by_device.get(tensor.device.type, by_device["cpu"])
