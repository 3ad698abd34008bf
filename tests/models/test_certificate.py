"""Certificates hold for what is equal and fail for every way in which it is not."""

from __future__ import annotations

import copy
import hashlib

import pytest
import torch
from builders import SMALL, qwen3
from torch import nn
from transformers import Qwen3ForCausalLM

from adept_bench.models.certificate import certify_expansion, certify_training, holds, parameter_digests, reference
from adept_bench.models.expansion import Expansion, expand

TOKENS = torch.arange(3, 19).view(1, 16)


def build(dtype: torch.dtype = torch.float32) -> Qwen3ForCausalLM:
    return qwen3(**SMALL).to(dtype)


@pytest.fixture
def pair() -> tuple[Qwen3ForCausalLM, Qwen3ForCausalLM, Expansion]:
    base = build()
    expanded = copy.deepcopy(base)
    return base, expanded, expand(expanded, [0, 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_holds_from_a_model_and_from_a_reference(dtype: torch.dtype) -> None:
    base = build(dtype)
    before = reference(base, TOKENS)
    expanded = copy.deepcopy(base)
    expansion = expand(expanded, [1])
    for one in (base, before):
        certificate = certify_expansion(one, expanded, expansion, TOKENS)
        assert holds(certificate)
        assert certificate["max_logit_difference"] == certificate["max_cached_difference"] == 0.0
        # .to(bfloat16) rounds the rotary frequencies, which loading keeps in float32
        assert certificate["max_reload_difference"] <= (0.0 if dtype == torch.float32 else certificate["tolerance"])
        assert certificate["copies"] == [2]


def test_fails_when_a_copy_speaks(pair: tuple) -> None:
    base, expanded, expansion = pair
    with torch.no_grad():
        expanded.model.layers[1].mlp.down_proj.weight[0, 0] = 0.5
    certificate = certify_expansion(base, expanded, expansion, TOKENS)
    assert not certificate["logits_equal"]
    assert not certificate["cached_decoding_equal"]
    assert not certificate["reload_equal"]
    with torch.no_grad():
        difference = (base(TOKENS).logits - expanded(TOKENS).logits).abs().max()
    assert certificate["max_logit_difference"] == pytest.approx(float(difference))


def test_fails_in_cached_decoding_alone_when_layers_keep_their_old_numbers(pair: tuple) -> None:
    base, expanded, expansion = pair
    for layer, number in zip(expanded.model.layers, expansion.origin):
        layer.self_attn.layer_idx = number
    certificate = certify_expansion(base, expanded, expansion, TOKENS, reload=False)
    assert certificate["logits_equal"]
    assert not certificate["cached_decoding_equal"]


def test_fails_in_the_reload_alone_when_the_saved_model_differs(pair: tuple, tmp_path) -> None:
    base, expanded, expansion = pair
    other = copy.deepcopy(expanded)
    with torch.no_grad():
        other.model.norm.weight.mul_(1.5)
    other.save_pretrained(tmp_path)
    certificate = certify_expansion(base, expanded, expansion, TOKENS, reload=tmp_path)
    assert certificate["logits_equal"]
    assert not certificate["reload_equal"]


def test_fails_when_a_value_is_not_a_number(pair: tuple) -> None:
    base, expanded, expansion = pair
    with torch.no_grad():
        expanded.model.norm.weight[0] = float("nan")
    certificate = certify_expansion(base, expanded, expansion, TOKENS, reload=False)
    assert certificate["logits_equal"] is False
    assert certificate["max_logit_difference"] is None


def test_digests_are_the_raw_bytes_in_any_dtype() -> None:
    module = nn.Module()
    module.scalar = nn.Parameter(torch.tensor(1.0, dtype=torch.bfloat16))
    module.matrix = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).t())
    module.register_buffer("left_out", torch.ones(1))
    digests = parameter_digests(module)
    assert digests == {
        "scalar": hashlib.sha256(b"\x80\x3f").hexdigest(),
        "matrix": hashlib.sha256(torch.tensor([1.0, 3.0, 2.0, 4.0]).numpy().tobytes()).hexdigest(),
    }
    assert parameter_digests(module, ["scalar"]).keys() == {"scalar"}


def test_training_certificate(pair: tuple) -> None:
    _, model, expansion = pair
    before = parameter_digests(model)
    copies = {
        n for n, _ in model.named_parameters() if any(n.startswith(f"model.layers.{i}.") for i in expansion.copies)
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in copies and "q_norm" not in name:
                parameter.add_(0.01)
    good = certify_training(model, before, copies, expansion.copies)
    assert good["frozen_identical"] is True
    assert good["trainable_is_copies"] is True
    assert good["changed_frozen"] == []
    assert good["frozen_tensors"] + good["trainable_tensors"] == len(before)
    assert good["unchanged_trainable"] == [f"model.layers.{i}.self_attn.q_norm.weight" for i in expansion.copies]

    assert certify_training(model, before, copies - {min(copies)}, expansion.copies)["trainable_is_copies"] is False
    assert (
        certify_training(model, before, copies | {"model.norm.weight"}, expansion.copies)["trainable_is_copies"]
        is False
    )
    assert certify_training(model, before, copies, None)["trainable_is_copies"] is None
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nextafter(model.model.norm.weight[0], torch.tensor(9.0))
    bad = certify_training(model, before, copies, expansion.copies)
    assert bad["frozen_identical"] is False
    assert bad["changed_frozen"] == ["model.norm.weight"]
