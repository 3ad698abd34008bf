"""Fixed-length training sequences from documents, with an exact share of replayed general text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from adept_bench.corpora.store import Documents, as_documents, lengths_in
from adept_bench.errors import InputError

DOMAIN, GENERAL, PLACES = 0, 1, 2  # keep the three generators of one seed apart
UNPREDICTED = -100  # the label that transformers' losses leave out


class Stream:
    """An endless stream of tokens: the documents one after the other, in an order shuffled anew each epoch.

    Nothing is dropped: an epoch runs on into the next. What stands at a position depends only on the documents, the
    seed and the position.
    """

    def __init__(self, documents: Sequence[Sequence[int]] | Documents, seed: int, kind: int) -> None:
        self.documents = as_documents(documents)
        self.tokens_per_epoch = self.documents.total
        self.seed, self.kind = seed, kind
        self._orders: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The epoch's order of documents, and where each ends in the epoch."""
        if epoch not in self._orders:
            while len(self._orders) > 1:  # a sequence across the boundary needs two
                self._orders.popitem(last=False)
            order = np.random.default_rng((self.seed, self.kind, epoch)).permutation(len(self.documents))
            ends = np.empty(len(order), dtype=np.int64)
            filled = 0
            for lengths in lengths_in(self.documents, order):
                ends[filled : filled + len(lengths)] = lengths
                filled += len(lengths)
            self._orders[epoch] = (order, np.cumsum(ends, out=ends))
        return self._orders[epoch]

    def pieces(self, position: int, count: int) -> Iterator[np.ndarray]:
        """`count` tokens from `position` on, by document: what of each lies there."""
        read = 0
        while read < count:
            epoch, offset = divmod(position + read, self.tokens_per_epoch)
            order, ends = self._order(epoch)
            until = min(offset + count - read, self.tokens_per_epoch)
            read += until - offset
            first, last = np.searchsorted(ends, [offset, until - 1], side="right")
            starts, stops = self.documents.spans(order[first : last + 1])
            for start, stop, end in zip(starts.tolist(), stops.tolist(), ends[first : last + 1].tolist(), strict=True):
                # the document lies at [end - (stop - start), end) of the epoch; take its part of [offset, until)
                yield self.documents.tokens[start + max(0, offset - end + stop - start) : stop - max(0, end - until)]

    def count_pieces(self, blocks: int, length: int) -> int:
        """How many pieces the first `blocks` blocks of `length` tokens have together."""
        stop, found = blocks * length, blocks  # a block begins one, wherever it does
        for epoch in range(-(-stop // self.tokens_per_epoch) if stop else 0):
            ends = self._order(epoch)[1]
            first = epoch * self.tokens_per_epoch
            starts = first + np.unique(np.append(ends[ends < self.tokens_per_epoch], 0))  # empty documents: once
            found += int(np.count_nonzero(starts[starts < stop] % length))
        return found


def replay_places(total: int, replayed: int, seed: int) -> np.ndarray:
    """Which of `total` sequences are replayed: one at random in each of `replayed` equal windows, ascending."""
    edges = np.arange(replayed + 1, dtype=np.int64) * total // max(replayed, 1)
    return np.random.default_rng((seed, PLACES)).integers(edges[:-1], edges[1:])


class PackedDataset(torch.utils.data.Dataset):
    """`total` sequences of exactly `length` tokens; an item is {"input_ids": LongTensor[length], "labels": the same}.

    Documents are concatenated in an order shuffled anew each epoch and cut in blocks; a block may cross documents and
    epochs. With `replay_share`, exactly round(replay_share * total) sequences come from `general`, spread evenly.
    `apart`: the same sequences, with documents kept apart. An item then has "position_ids" too, that begin at 0 with
    each document and with the block, and no label where they do (-100: nothing is left to predict it from).
    Item i is a function of the arguments and i alone, so that a resumed run reads what an unbroken one would have.
    Memory: the order of documents of two epochs at most, 16 bytes a document each, and the tokens of lists, 4 bytes
    each; those of a `TokenStore` stay on the disk.
    """

    def __init__(
        self,
        domain: Sequence[Sequence[int]] | Documents,
        *,
        length: int,
        total: int,
        seed: int,
        general: Sequence[Sequence[int]] | Documents | None = None,
        replay_share: float = 0.0,
        apart: bool = False,
    ) -> None:
        """Raises InputError for a length, total, seed or share out of range, and for a needed corpus that is empty."""
        if length < 2 or total < 1 or seed < 0:
            raise InputError(
                f"packing: length {length} must be at least 2, total {total} at least 1, seed {seed} at least 0"
            )
        if not 0 <= replay_share <= 1:
            raise InputError(f"replay_share: {replay_share} is not a share; expected 0 to 1")
        self.length, self.total, self.apart = length, total, apart
        self.replayed = round(replay_share * total)
        self.places = replay_places(total, self.replayed, seed)
        self.domain = Stream(domain, seed, DOMAIN)
        self.general = Stream([] if general is None else general, seed, GENERAL) if self.replayed else None
        if self.replayed < total and not self.domain.tokens_per_epoch:
            raise InputError("packing: the domain corpus holds no tokens")
        if self.general is not None and not self.general.tokens_per_epoch:
            raise InputError(f"replay_share: {replay_share} asks for general text, and there is none")

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        index = range(self.total)[index]  # IndexError and negative indices as a list has them
        rank = int(np.searchsorted(self.places, index))
        if self.general is not None and rank < self.replayed and self.places[rank] == index:
            pieces = list(self.general.pieces(rank * self.length, self.length))
        else:
            pieces = list(self.domain.pieces((index - rank) * self.length, self.length))
        input_ids = torch.from_numpy(np.concatenate(pieces, dtype=np.int64))
        if not self.apart:
            return {"input_ids": input_ids, "labels": input_ids.clone()}
        positions = torch.from_numpy(np.concatenate([np.arange(len(piece)) for piece in pieces]))
        labels = input_ids.masked_fill(positions == 0, UNPREDICTED)
        return {"input_ids": input_ids, "position_ids": positions, "labels": labels}

    @cached_property
    def predictions(self) -> int:
        """Tokens that are predicted, in all sequences together."""
        if not self.apart:
            return self.total * (self.length - 1)
        pieces = self.domain.count_pieces(self.total - self.replayed, self.length)
        if self.general is not None:
            pieces += self.general.count_pieces(self.replayed, self.length)
        return self.total * self.length - pieces

    def describe(self) -> dict[str, Any]:
        """Sequences, tokens, how often each corpus is read, and the share of replay that really is in it.

        Of documents that are kept apart also that they are, and how many of the tokens are predicted.
        """
        own = (self.total - self.replayed) * self.length
        general = self.replayed * self.length
        return {
            "sequences": self.total,
            "length": self.length,
            "tokens": self.total * self.length,
            "domain_epochs": own / self.domain.tokens_per_epoch if own else 0.0,
            "replay_share": self.replayed / self.total,
            "general_epochs": general / self.general.tokens_per_epoch if self.general is not None else 0.0,
            **({"packing": "documents", "predictions": self.predictions} if self.apart else {}),
        }
