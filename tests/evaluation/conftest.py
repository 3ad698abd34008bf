"""A small model that reads any text character by character, and scorers that know nothing of lm-eval."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from builders import qwen3
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def character_model(texts: Iterable[str], likely: str = "") -> tuple[Any, Any]:
    """(model, tokenizer): random weights, one token a character of `texts`; `likely` ones are written most often."""
    characters = sorted(set("".join(texts)) | set(likely) | set("\n ABCDEFGH0123456789"))
    vocabulary = {token: number for number, token in enumerate(["<unk>", "<eos>", *characters])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<eos>", clean_up_tokenization_spaces=False
    )
    model = qwen3(
        seed=3,
        vocab_size=len(vocabulary),
        intermediate_size=64,
        num_hidden_layers=2,
        max_position_embeddings=4096,
        initializer_range=0.5,
        tie_word_embeddings=False,
        eos_token_id=1,
    )
    with torch.no_grad():
        for character in likely:
            model.lm_head.weight[vocabulary[character]] *= 6
    return model, tokenizer


def log_likelihood(model: Any, tokenizer: Any, context: str, continuation: str, longest: int | None = None) -> float:
    """The sum of the continuation's log-probabilities from one forward pass; only the last `longest` + 1 tokens."""
    ids = tokenizer(context + continuation)["input_ids"]
    count = len(ids) - len(tokenizer(context)["input_ids"])
    if longest is not None:
        ids = ids[-(longest + 1) :]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].float()
    log_probabilities = torch.log_softmax(logits, dim=-1)
    return sum(float(log_probabilities[at - 1, ids[at]]) for at in range(len(ids) - count, len(ids)))


def written(model: Any, tokenizer: Any, context: str, tokens: int, until: Iterable[str]) -> str:
    """Greedy decoding with no cache and no batch, cut before the first of `until`."""
    ids = tokenizer(context)["input_ids"]
    start = len(ids)
    while len(ids) < start + tokens and ids[-1] != 1:
        with torch.no_grad():
            ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
        text = "".join(tokenizer.convert_ids_to_tokens([token for token in ids[start:] if token != 1]))
        for stop in until:
            if stop in text:
                return text.split(stop)[0]
    return "".join(tokenizer.convert_ids_to_tokens([token for token in ids[start:] if token != 1]))


@pytest.fixture(scope="session")
def make_model() -> Callable[..., tuple[Any, Any]]:
    return character_model


@pytest.fixture(scope="session")
def plain_log_likelihood() -> Callable[..., float]:
    return log_likelihood


@pytest.fixture(scope="session")
def plain_writing() -> Callable[..., str]:
    return written
