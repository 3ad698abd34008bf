"""Cross entropy in tiles and blocks against torch's own over all logits at once."""

from __future__ import annotations

import pytest
import torch
from builders import PLAIN, ROTARY, documents, scattered
from torch import nn
from torch.nn import functional

from adept_bench.models.head import linear_head
from adept_bench.probing import blockwise
from adept_bench.probing.blockwise import summed_loss, token_losses
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.loss import document_losses
from adept_bench.probing.units import probe_units


@pytest.fixture
def small(monkeypatch):
    """Everything is large: 7 positions share a tile of 5 words, and a block has 3 positions of 61 words."""
    monkeypatch.setattr(blockwise, "LARGE", 0)
    monkeypatch.setattr(blockwise, "ROWS", 7)
    monkeypatch.setattr(blockwise, "TILE", {"cpu": 4 * 7 * 5})
    monkeypatch.setattr(blockwise, "BLOCK", {"cpu": 4 * 3 * 61})


def made(bias, dtype=torch.float32, positions=17):
    torch.manual_seed(1)
    head = nn.Linear(16, 61, bias=bias)
    with torch.no_grad():
        head.weight.mul_(12)
    return torch.randn(positions, 16).to(dtype), head.to(dtype), torch.randint(61, (positions,))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_losses_in_tiles(small, bias, dtype):
    hidden, head, targets = made(bias, dtype)
    logits = head(hidden)
    expected = functional.cross_entropy(logits.double(), targets, reduction="none")
    found = token_losses(hidden, targets, head)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


def test_words_that_are_ruled_out(small):
    hidden, head, targets = made(True)
    with torch.no_grad():
        head.bias[:12] = -torch.inf
    targets = targets.clamp(min=12)
    expected = functional.cross_entropy(head(hidden), targets, reduction="none")
    torch.testing.assert_close(token_losses(hidden, targets, head), expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_the_sum_has_the_plain_gradients(small, bias, trains, autocast):
    results = []
    for blocks in (False, True):
        hidden, head, targets = made(bias)
        hidden.requires_grad_()
        head.requires_grad_(trains)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            if blocks:
                loss = summed_loss(hidden, targets, head)
            else:
                loss = functional.cross_entropy(head(hidden).float(), targets, reduction="sum")
        (loss / 7).backward()
        results.append([loss.detach(), hidden.grad, *(p.grad for p in head.parameters() if trains)])
    tolerance = {"atol": 0.03, "rtol": 0.02} if autocast else {"atol": 1e-5, "rtol": 1e-5}
    for plain, ours in zip(*results):
        torch.testing.assert_close(ours, plain, **tolerance)


def test_a_second_backward_pass_is_refused(small):
    hidden, head, targets = made(False)
    loss = summed_loss(hidden.requires_grad_(), targets, head)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="handed out once"):
        loss.backward()


def test_no_position_costs_nothing(small):
    hidden, head, targets = made(True, positions=0)
    hidden.requires_grad_()
    loss = summed_loss(hidden, targets, head)
    loss.backward()
    assert loss.item() == 0
    assert not head.weight.grad.any()


ROPE = {**ROTARY, "num_hidden_layers": 2}
FAMILIES = {
    "llama": (ROPE, True),
    "gpt2": ({**PLAIN, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}, True),
    "gemma2": ({**ROPE, "head_dim": 8, "final_logit_softcapping": 3.0}, False),
    "granite": ({**ROPE, "logits_scaling": 2.0}, False),
    "cohere": ({**ROPE, "logit_scale": 0.5, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}, False),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_only_a_plain_linear_map_is_taken_for_one(family):
    sizes, plain = FAMILIES[family]
    model = scattered(family, **sizes)
    assert linear_head(model) is (model.get_output_embeddings() if plain else None)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_measured_stays_the_same(family, monkeypatch, request):
    texts = documents(5)
    model = scattered(family, **FAMILIES[family][0])

    def measured():
        layers = probe_layers(model, texts, batch_size=2)
        units = [unit.importance for unit in probe_units(model, texts, batch_size=2)]
        return document_losses(model, texts, batch_size=3), layers.importance, units

    expected = measured()
    request.getfixturevalue("small")
    for found, plain in zip(measured(), expected):
        assert found == pytest.approx(plain, abs=5e-6)


def test_no_logits_of_all_positions_exist(small, live_bytes):
    model = scattered("llama", **{**ROPE, "vocab_size": 6100, "num_hidden_layers": 1})
    texts = documents(6, stop=30)
    with live_bytes() as live:
        document_losses(model, texts, batch_size=6)
    assert live.peak < 4 * 6 * min(map(len, texts)) * 6100
