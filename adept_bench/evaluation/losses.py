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


def answer_losses(
    model: torch.nn.Module, tokenizer: Any, corpora: Mapping[str, Corpus], max_length: int, batch_size: int
) -> dict[str, list[float]]:
    """Each document's mean cross entropy in nats over the tokens of its answer, asked in the tokenizer's chat template.

    A document's first line is the question, the rest the answer; the answer's tokens are those that follow the
    template's opening of the reply, its end mark among them. Documents are cut to `max_length` tokens; one whose
    question fills them is left out. Raises InputError for a corpus with none left, and for a template in which the
    conversation does not begin with the question.
    """
    from adept_bench.probing.loss import document_losses

    found = {}
    for name, corpus in corpora.items():
        pairs = [_conversation(tokenizer, text, corpus.source) for text in corpus.texts]
        pairs = [(asked, whole[:max_length]) for asked, whole in pairs if len(asked) < min(len(whole), max_length)]
        if not pairs:
            raise InputError(f"{corpus.source}: no answer begins within {max_length} tokens")
        # a causal model's loss on the question does not depend on what follows: the rest is the answer's
        sums = [
            [mean * (len(ids) - 1) for mean, ids in zip(means, documents, strict=True)]
            for documents in (tuple(asked for asked, _ in pairs), tuple(whole for _, whole in pairs))
            for means in [document_losses(model, documents, batch_size=batch_size)]
        ]
        found[name] = [
            (of_whole - of_asked) / (len(whole) - len(asked))
            for of_asked, of_whole, (asked, whole) in zip(*sums, pairs, strict=True)
        ]
    return found


def _conversation(tokenizer: Any, text: str, source: str) -> tuple[list[int], list[int]]:
    """Token ids of the question with the opening of a reply, and of the whole conversation."""
    question, _, answer = text.partition("\n")
    user = {"role": "user", "content": question.strip()}
    reply = {"role": "assistant", "content": answer.strip()}
    asked = _ids(tokenizer, [user], add_generation_prompt=True)
    whole = _ids(tokenizer, [user, reply])
    if whole[: len(asked)] != asked:
        raise InputError(
            f"{source}: in the tokenizer's chat template a conversation does not begin with its question and the "
            "opening of the reply; expected a template that does, or no measure of the form chat"
        )
    return asked, whole


def _ids(tokenizer: Any, messages: list[dict[str, str]], *, add_generation_prompt: bool = False) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
