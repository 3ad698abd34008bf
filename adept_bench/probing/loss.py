"""The probe loss: the mean over documents of each document's mean next-token cross entropy, in nats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adept_bench.distributed.sharing import mine, united
from adept_bench.errors import InputError
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


def upcast(values: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def batch_losses(model: nn.Module, batch: Batch) -> Tensor:
    """Each document's mean next-token cross entropy, [B], in nats, differentiable. One document at a time is upcast.

    Log-probabilities of more than `HELD` bytes are not kept for the backward pass but made again, a document at a time.
    """
    logits = model(**batch.inputs).logits
    if logits.requires_grad and 4 * logits.numel() > HELD:
        return row_losses(logits, batch.ids, batch.lengths)
    losses = [
        mean_cross_entropy(logits[row, : length - 1], batch.ids[row, 1:length].to(logits.device))
        for row, length in enumerate(batch.lengths)
    ]
    return torch.stack(losses)


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
        for indices in mine(list(by_length(documents, batch_size))):
            values = batch_losses(model, make_batch([documents[index] for index in indices], device)).tolist()
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
