"""Expansion of many decoder families at tiny random sizes: same function, same cache, plain reload, live copies."""

from __future__ import annotations

import copy

import pytest
import torch
from builders import from_sizes
from families import COMMON, FAMILIES

from adept_bench.models.anatomy import anatomy
from adept_bench.models.certificate import certify_expansion, holds
from adept_bench.models.expansion import expand

TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
PROJECTIONS = {"self_attn.o_proj.weight", "mlp.down_proj.weight"}
ATTENTION = "self_attn.o_proj.weight"
BIASED = PROJECTIONS | {"self_attn.o_proj.bias", "mlp.down_proj.bias"}
POST_NORMS = {"post_attention_layernorm.weight", "post_feedforward_layernorm.weight"}
EXPERTS = {ATTENTION, "mlp.experts.down_proj"}


def with_biases(*modules: str) -> set[str]:
    return {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}


# the residual writers by hand; a callable of the layer where layers differ
WRITERS = {
    "qwen3": PROJECTIONS,
    "llama": PROJECTIONS,
    "llama-tied-biased": BIASED,
    "mistral": PROJECTIONS,
    "qwen2": PROJECTIONS,
    "gemma": PROJECTIONS,
    "gemma2": POST_NORMS,
    "gemma3": POST_NORMS,
    "olmo2": POST_NORMS,
    "phi3": PROJECTIONS,
    "granite": PROJECTIONS,
    "smollm3": PROJECTIONS,
    "starcoder2": with_biases("self_attn.o_proj", "mlp.c_proj"),
    "stablelm": PROJECTIONS,
    "cohere": PROJECTIONS,
    "glm4": {"post_self_attn_layernorm.weight", "post_mlp_layernorm.weight"},
    "gpt2": with_biases("attn.c_proj", "mlp.c_proj"),
    "gpt-neox": with_biases("attention.dense", "mlp.dense_4h_to_h"),
    "gpt-neo": with_biases("attn.attention.out_proj", "mlp.c_proj"),
    "gpt-neox-sequential": with_biases("attention.dense", "mlp.dense_4h_to_h"),
    "opt": with_biases("self_attn.out_proj", "fc2"),
    "falcon": {"self_attention.dense.weight", "mlp.dense_4h_to_h.weight"},
    "bloom": with_biases("self_attention.dense", "mlp.dense_4h_to_h"),
    "mixtral": EXPERTS,
    "mixtral-expert-by-expert": EXPERTS,
    "qwen3-moe": lambda i: EXPERTS if i == 1 else PROJECTIONS,
    "deepseek-v3": lambda i: PROJECTIONS if i < 2 else EXPERTS | {"mlp.shared_experts.down_proj.weight"},
    "gpt-oss": EXPERTS | {"self_attn.o_proj.bias", "mlp.experts.down_proj_bias"},
    "mamba": {"mixer.out_proj.weight"},
}


def build(name: str) -> torch.nn.Module:
    kind, options = FAMILIES[name]
    model = from_sizes(kind, **(COMMON | TOKENS | options))
    # biases and offset gains start at zero: random ones show whether they are silenced
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_writers_are_the_ones_read_off_by_hand(name: str) -> None:
    model = build(name)
    found = anatomy(model)
    wanted = WRITERS[name]
    for index, writers in enumerate(found.writers):
        assert set(writers) == (wanted(index) if callable(wanted) else wanted)


@pytest.mark.parametrize("name", FAMILIES)
def test_expanded_model_is_the_base_and_its_copies_can_learn(name: str) -> None:
    base = build(name)
    expanded = copy.deepcopy(base)
    depth = base.config.get_text_config().num_hidden_layers
    expansion = expand(expanded, [3, 1, 0])
    assert (expansion.sources, expansion.copies) == ((0, 1, 3), (1, 3, 6))
    assert expanded.config.get_text_config().num_hidden_layers == depth + 3
    tokens = torch.randint(3, 96, (2, 14), generator=torch.Generator().manual_seed(1))
    certificate = certify_expansion(base, expanded, expansion, tokens)
    assert holds(certificate), certificate
    assert certificate["max_logit_difference"] == 0.0

    # every writer of every copy receives a gradient
    found = anatomy(expanded)
    expanded(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()
    for place in expansion.copies:
        for writer in found.writers[place]:
            gradient = found.layers[place].get_parameter(writer).grad
            assert gradient is not None, (place, writer)
            assert gradient.abs().max() > 0, (place, writer)
            assert gradient.isfinite().all()

    # and a step of training changes what the model computes
    with torch.no_grad():
        before = expanded(input_ids=tokens, use_cache=False).logits
        for place in expansion.copies:
            for parameter in found.layers[place].parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad.sign()
        assert not torch.allclose(expanded(input_ids=tokens, use_cache=False).logits, before)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "mamba"])
def test_left_padding_is_as_in_the_base(name: str) -> None:
    """Mamba is left out: a state-space model has no attention mask to speak of."""
    base = build(name)
    expanded = copy.deepcopy(base)
    expand(expanded, [0, 2])
    tokens = torch.randint(3, 96, (2, 9), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(tokens)
    mask[1, :4] = 0
    arguments = {"input_ids": tokens, "attention_mask": mask, "use_cache": False}
    with torch.no_grad():
        mine, theirs = expanded(**arguments).logits, base(**arguments).logits
    assert torch.equal(mine[mask.bool()], theirs[mask.bool()])


@pytest.mark.parametrize("name", ["qwen3", "gemma2", "gpt2", "qwen3-moe"])
def test_generation_with_cache_equals_the_base(name: str) -> None:
    base = build(name)
    expanded = copy.deepcopy(base)
    expand(expanded, [1, 2])
    prompt = torch.arange(5, 11).unsqueeze(0)
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    assert torch.equal(base.generate(prompt, **options), expanded.generate(prompt, **options))
