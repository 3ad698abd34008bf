"""The loss in blocks against the model's own: gradients, whole trainings, and where it must not be used."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from builders import PLAIN, ROTARY, scattered
from tiny_methods import made

from adept_bench.probing import blockwise
from adept_bench.training import headloss
from adept_bench.training.headloss import loss_in_blocks
from adept_bench.training.trainer import train

ROPE = {**ROTARY, "num_hidden_layers": 2}
PLAINLY = {
    "tied": ("llama", {**ROPE, "tie_word_embeddings": True}),
    "llama": ("llama", ROPE),
    "gpt2": ("gpt2", {**PLAIN, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}),
    "phi": ("phi", {**ROPE, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}),  # a head with a bias
}
OTHERWISE = {
    "gemma2": {**ROPE, "head_dim": 8, "final_logit_softcapping": 3.0},
    "granite": {**ROPE, "logits_scaling": 2.0},
    "cohere": {**ROPE, "logit_scale": 0.5, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}


@pytest.fixture
def small(monkeypatch):
    """All logits are many, and a block has 5 positions of the tiny models' vocabularies."""
    monkeypatch.setattr(blockwise, "LARGE", 0)
    monkeypatch.setattr(blockwise, "BLOCK", {"cpu": 4 * 5 * 64})


@pytest.fixture
def used(monkeypatch):
    """The positions of each loss taken in blocks."""
    seen = []
    real = blockwise.summed_loss
    monkeypatch.setattr(headloss, "summed_loss", lambda *a: seen.append(len(a[0])) or real(*a))
    return seen


def gradients(model, in_blocks, ids, labels, **more):
    model.zero_grad()
    with in_blocks():
        loss = model(input_ids=ids, labels=labels, use_cache=False, **more).loss
    (loss / 3).backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("name", PLAINLY)
@pytest.mark.parametrize("items", [None, torch.tensor(11)])
def test_gradients_are_the_models_own(tiny, small, used, name, items):
    family, sizes = PLAINLY[name]
    model = scattered(family, **sizes)
    in_blocks = loss_in_blocks(model, tiny.training(1))
    used.clear()
    ids = torch.randint(61, (2, 16), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[0, 3:7] = -100
    more = {} if items is None else {"num_items_in_batch": items}
    ours = gradients(model, in_blocks, ids, labels, **more)
    assert used == [26]
    plain = gradients(model, nullcontext, ids, labels, **more)
    assert len(ours) == len(plain)
    for one, other in zip(ours, plain):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert "forward" not in vars(model.get_output_embeddings())
    assert "_loss_function" not in vars(model)


@pytest.mark.parametrize("family", OTHERWISE)
def test_other_heads_keep_their_own_loss(tiny, small, used, family):
    model = scattered(family, **OTHERWISE[family])
    ids = torch.arange(20).view(2, 10)
    with loss_in_blocks(model, tiny.training(1))():
        model(input_ids=ids, labels=ids).loss.backward()
    assert used == []


def test_a_loss_of_the_models_own_stays(tiny, small):
    model = scattered("llama", **ROPE)
    model.loss_function = lambda logits, labels, vocab_size, **_: logits.square().mean()
    ids = torch.arange(20).view(2, 10)
    expected = model(input_ids=ids, labels=ids).loss
    with loss_in_blocks(model, tiny.training(1))():
        assert torch.equal(model(input_ids=ids, labels=ids).loss, expected)


def trained(tiny, name, training):
    model, names, rates, dataset, _ = made(tiny, name, training)
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    record = train(model, dataset, training=training, learning_rate=0.003, rates=rates, seed=3)
    for key, parameter in model.named_parameters():
        assert key in names or torch.equal(parameter, before[key]), key
    return [point["loss"] for point in record.curve], dict(model.named_parameters())


@pytest.mark.parametrize("name", ["full", "frozen", "lora", "adept"])
@pytest.mark.parametrize("changes", [{}, {"accumulation": 2, "gradient_checkpointing": True}, {"precision": "bf16"}])
def test_training_in_blocks_is_training(tiny, used, request, name, changes):
    training = tiny.training(4, **changes)
    losses, weights = trained(tiny, name, training)
    assert used == []
    request.getfixturevalue("small")
    ours, other = trained(tiny, name, training)
    assert used[-1] == 2 * 15
    narrow = "precision" in changes
    assert ours == pytest.approx(losses, abs=0.01 if narrow else 1e-5)
    for key, parameter in other.items() if not narrow else ():
        torch.testing.assert_close(parameter, weights[key], rtol=1e-3, atol=1e-4, msg=key)


def test_the_logits_never_exist_whole(tiny, live_bytes):
    ids = torch.arange(64).view(2, 32) % 61
    peaks = []
    model = scattered("llama", **{**ROPE, "vocab_size": 400_000})
    model.requires_grad_(False)
    model.model.layers.requires_grad_(True)
    for in_blocks in (loss_in_blocks(model, tiny.training(1, length=32)), nullcontext):
        with live_bytes() as live, in_blocks():
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        peaks.append(live.peak)
    logits = 4 * 64 * 400_000
    assert peaks[0] < logits < peaks[1] / 2
