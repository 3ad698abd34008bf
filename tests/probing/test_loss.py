"""The probe loss against its definition, written out with log-softmax for one document at a time."""

from __future__ import annotations

import pytest
import torch
from builders import PLAIN, ROTARY, documents, scattered

from adept_bench.errors import InputError
from adept_bench.probing.loss import corpus_loss, document_losses

FAMILIES = {
    "qwen3": {**ROTARY, "head_dim": 8},
    "gemma2": {**ROTARY, "head_dim": 8, "sliding_window": 4},
    "gpt2": {**PLAIN, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1},
    "opt": {**PLAIN, "ffn_dim": 24, "max_position_embeddings": 32, "word_embed_proj_dim": 16},
    "bloom": {**PLAIN, "pad_token_id": 3},
}


def build(family):
    return scattered(family, seed=3, num_hidden_layers=2, **FAMILIES[family]).train()


@torch.no_grad()
def plainly(model, document):
    logp = model.eval()(input_ids=torch.tensor([document])).logits[0].double().log_softmax(-1)
    return -sum(logp[t, document[t + 1]].item() for t in range(len(document) - 1)) / (len(document) - 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_padded_batches_give_the_loss_of_each_document_alone(family, batch_size):
    model, texts = build(family), documents(stop=20)
    expected = [plainly(model, text) for text in texts]
    assert document_losses(model, texts, batch_size=batch_size) == pytest.approx(expected, abs=2e-6)


def test_the_corpus_loss_counts_documents_not_tokens():
    model, texts = build("qwen3"), [[1, 2], list(range(3, 20))]
    expected = (plainly(model, texts[0]) + plainly(model, texts[1])) / 2
    assert corpus_loss(model, texts) == pytest.approx(expected, abs=2e-6)


def test_modes_and_generator_are_left_as_they_were():
    model = build("gpt2").train()
    model.transformer.h[1].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    measured = document_losses(model, documents(stop=20))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert measured == pytest.approx(
        [plainly(model, text) for text in documents(stop=20)], abs=2e-6
    )  # no dropout in it


def test_each_batch_is_told():
    sizes = []
    document_losses(build("qwen3"), documents(7, stop=20), batch_size=3, on_batch=sizes.append)
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(("texts", "message"), [([], "no document"), ([[1, 2], [3]], "document 1 has 1 tokens")])
def test_an_unusable_corpus_is_refused(texts, message):
    with pytest.raises(InputError, match=message):
        document_losses(build("qwen3"), texts)


def test_a_loss_that_is_no_number_is_refused():
    model = build("qwen3")
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="loss on document"):
        corpus_loss(model, documents(stop=20))
