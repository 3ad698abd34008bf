"""The probe loss: the mean over documents of each document's mean next-token cross entropy, in nats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from adept_bench.distributed.sharing import mine, united
from adept_bench.errors import InputError
from adept_bench.models.head import instead_of_head, linear_head, vocabulary
from adept_bench.probing.blockwise import is_large, summed_loss, token_losses
from adept_bench.probing.padding import Padded
from adept_bench.probing.rowwise import mean_cross_entropy, row_losses
from adept_bench.probing.undisturbed import first_device, undisturbed

HELD = 1 << 28  # bytes of log-probabilities, in float32, that a backward pass may find kept


@dataclass(frozen=True)
class Batch:
    """Documents side by side: `ids` LongTensor[B, T], of which row i holds `lengths[i]` tokens and then padding.

    `mask` LongTensor[B, T]: 1 where attention may look; None where nothing keeps it from looking back.
    """

    ids: Tensor
    lengths: tuple[int, ...]
    mask: Tensor | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """What a model is called with."""
        found = {"input_ids": self.ids, "use_cache": False}
        return found if self.mask is None else {**found, "attention_mask": self.mask}

    def split(self, rows: int) -> list[Batch]:
        """The same documents, at most `rows` a batch, padded as they were."""
        masks = [None] * len(self.lengths) if self.mask is None else self.mask.split(rows)
        starts = range(0, len(self.lengths), rows)
        return [Batch(i, self.lengths[s : s + rows], m) for s, i, m in zip(starts, self.ids.split(rows), masks)]

    def means(self, hidden: Tensor, losses: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Each document's mean, float64 [B] on the CPU, of `losses(rows [N, d], targets [N])` [N] over the positions of
        hidden [B, T, d] that have a target."""
        lengths = torch.tensor(self.lengths)
        row, position = torch.nonzero(torch.arange(hidden.shape[1] - 1) < (lengths - 1)[:, None], as_tuple=True)
        chosen = hidden[row.to(hidden.device), position.to(hidden.device)]
        found = losses(chosen, self.ids[row, position + 1])
        sums = torch.zeros(len(lengths), dtype=torch.float64).index_add_(0, row, found.double().cpu())
        return sums / (lengths - 1)


def check_documents(documents: Sequence[Sequence[int]]) -> None:
    """Raises InputError unless there is a document and each has a token to predict."""
    if not documents:
        raise InputError("probing: there is no document to measure the loss on")
    for number, document in enumerate(documents):
        if len(document) < 2:
            raise InputError(f"probing: document {number} has {len(document)} tokens; expected at least 2")


def make_batch(documents: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Pad on the right. Causal attention never looks there, so real tokens keep their positions and need no mask.

    The padding repeats a document's last token: always a valid id, also where the tokenizer has no padding token.
    Padding that a document brings along (`Padded`) is part of it, and kept from attention by a mask.
    """
    longest = max(map(len, documents))
    rows = [list(document) + [document[-1]] * (longest - len(document)) for document in documents]
    ids = torch.tensor(rows, dtype=torch.long, device=device)
    mask = None
    if any(isinstance(document, Padded) for document in documents):
        attended = [document.attended if isinstance(document, Padded) else longest for document in documents]
        mask = (torch.arange(longest) < torch.tensor(attended)[:, None]).long().to(device)
    return Batch(ids, tuple(map(len, documents)), mask)


def in_order(count: int, batch_size: int) -> Iterator[list[int]]:
    """The indices of documents 0..count-1 in batches of `batch_size`, in their own order."""
    if batch_size < 1:
        raise InputError(f"--batch-size: {batch_size}; expected at least 1")
    for start in range(0, count, batch_size):
        yield list(range(start, min(start + batch_size, count)))


def by_length(documents: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """The indices of documents in batches of neighbours in length, the longest first, so that little is padding.

    Only for sums over single documents; a batch's gradient depends on which documents share it.
    """
    order = sorted(range(len(documents)), key=lambda index: -len(documents[index]))
    for batch in in_order(len(documents), batch_size):
        yield [order[position] for position in batch]


def head_in_blocks(model: Any, documents: Sequence[Sequence[int]], batch_size: int) -> nn.Linear | None:
    """The output head that `batch_losses` may go through block by block; None where batches are small or it may not."""
    positions = batch_size * max(map(len, documents))
    return linear_head(model) if is_large(positions, vocabulary(model)) else None


def batch_losses(model: nn.Module, batch: Batch, head: nn.Linear | None = None) -> Tensor:
    """Each document's mean next-token cross entropy, [B], in nats, differentiable. One document at a time is upcast.

    `head`: from `head_in_blocks`; with it a large batch's logits are never held, unless the head's own gradient is
    wanted. Without it, log-probabilities of more than `HELD` bytes are not kept for the backward pass but made again, a
    document at a time.
    """
    trains = torch.is_grad_enabled() and head is not None and head.weight.requires_grad
    if head is not None and not trains and is_large(batch.ids.numel(), len(head.weight)):
        return instead_of_head(model, head, batch.inputs, partial(_losses_in_blocks, batch=batch, head=head))
    logits = model(**batch.inputs).logits
    if logits.requires_grad and 4 * logits.numel() > HELD:
        return row_losses(logits, batch.ids, batch.lengths)
    losses = [
        mean_cross_entropy(logits[row, : length - 1], batch.ids[row, 1:length].to(logits.device))
        for row, length in enumerate(batch.lengths)
    ]
    return torch.stack(losses)


def _losses_in_blocks(hidden: Tensor, batch: Batch, head: nn.Linear) -> Tensor:
    if not (torch.is_grad_enabled() and hidden.requires_grad):
        return batch.means(hidden, partial(token_losses, head=head))
    sums = [summed_loss(hidden[row, : n - 1], batch.ids[row, 1:n], head) for row, n in enumerate(batch.lengths)]
    return torch.stack([total / (length - 1) for total, length in zip(sums, batch.lengths)])


def document_losses(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    *,
    batch_size: int = 8,
    on_batch: Callable[[int], None] | None = None,
) -> list[float]:
    """Each document's mean next-token cross entropy in nats, in the order given.

    Documents are token ids, at least 2 each, never longer than the model's context. Padding counts only where a
    document brings it along (`Padded`).
    `on_batch` is called with the number of documents just measured. Processes that work together (distributed.group)
    take turns at the batches, and all return all losses; the model must be whole in each.
    Raises InputError for an empty corpus or a document of fewer than 2 tokens, NotFiniteError for a loss that is not
    finite.
    """
    check_documents(documents)
    measured: dict[int, float] = {}
    device = first_device(model)
    with undisturbed(model), torch.no_grad():
        head = head_in_blocks(model, documents, min(batch_size, len(documents)))
        for indices in mine(list(by_length(documents, batch_size))):
            values = batch_losses(model, make_batch([documents[index] for index in indices], device), head).tolist()
            measured |= zip(indices, values)
            if on_batch:
                on_batch(len(indices))
    losses = united(measured)
    return [check_finite(losses[index], f"document {index}") for index in range(len(documents))]


def corpus_loss(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    *,
    batch_size: int = 8,
    on_batch: Callable[[int], None] | None = None,
) -> float:
    """The probe loss in nats: the mean over documents of `document_losses`, each document counting alike."""
    losses = document_losses(model, documents, batch_size=batch_size, on_batch=on_batch)
    return math.fsum(losses) / len(losses)


class NotFiniteError(InputError):
    """A number measured on a model is NaN or infinite: its weights are broken, or their type is too narrow."""


def check_finite(value: float, where: str) -> float:
    """`value`, or NotFiniteError: a model whose loss is not a number cannot be probed."""
    if not math.isfinite(value):
        raise NotFiniteError(
            f"the model's loss on {where} is {value}; expected a finite number "
            "(its weights are broken, or their dtype is too narrow for it)"
        )
    return value
