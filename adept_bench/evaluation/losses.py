"""Held-out losses: what a model has learned and forgotten, where there are no tasks to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from adept_bench.corpora.reading import Corpus
from adept_bench.corpora.tokens import tokenize_documents
from adept_bench.errors import InputError


def held_out_losses(
    model: torch.nn.Module, tokenizer: Any, corpora: Mapping[str, Corpus], max_length: int, batch_size: int
) -> dict[str, list[float]]:
    """Each document's mean next-token cross entropy in nats, by corpus; a corpus's loss is their mean.

    Documents are cut to `max_length` tokens. Raises InputError for a corpus with no document of two tokens.
    """
    from adept_bench.probing.loss import document_losses

    losses = {}
    for name, corpus in corpora.items():
        documents = tokenize_documents(tokenizer, corpus.texts, max_length=max_length)
        if not documents:
            raise InputError(f"{corpus.source}: no document has two tokens or more to take a loss of")
        losses[name] = document_losses(model, documents, batch_size=batch_size)
    return losses
