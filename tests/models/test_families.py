"""Expansion of many decoder families at tiny random sizes: same function, same cache, plain reload, live copies."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adept_bench.models.anatomy import anatomy
from adept_bench.models.certificate import certify_expansion, holds
from adept_bench.models.expansion import expand

COMMON = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PROJECTIONS = {"self_attn.o_proj.weight", "mlp.down_proj.weight"}
ATTENTION = "self_attn.o_proj.weight"
BIASED = PROJECTIONS | {"self_attn.o_proj.bias", "mlp.down_proj.bias"}
POST_NORMS = {"post_attention_layernorm.weight", "post_feedforward_layernorm.weight"}
EXPERTS = {ATTENTION, "mlp.experts.down_proj"}


def with_biases(*modules: str) -> set[str]:
    return {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}


# name -> (model type, configuration, the residual writers by hand; a callable of the layer where layers differ)
FAMILIES = {
    "qwen3": ("qwen3", {"head_dim": 8, "tie_word_embeddings": True}, PROJECTIONS),
    "llama": ("llama", {"tie_word_embeddings": False}, PROJECTIONS),
    "llama-tied-biased": ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}, BIASED),
    "mistral": ("mistral", {"sliding_window": 8}, PROJECTIONS),
    "qwen2": ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}, PROJECTIONS),
    "gemma": ("gemma", {"head_dim": 8}, PROJECTIONS),
    "gemma2": ("gemma2", {"head_dim": 8, "sliding_window": 8}, POST_NORMS),
    "gemma3": ("gemma3_text", {"head_dim": 8, "sliding_window": 8, "num_hidden_layers": 7}, POST_NORMS),
    "olmo2": ("olmo2", {}, POST_NORMS),
    "phi3": ("phi3", {}, PROJECTIONS),
    "granite": ("granite", {"residual_multiplier": 0.3}, PROJECTIONS),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 3}, PROJECTIONS),
    "starcoder2": ("starcoder2", {"use_bias": True}, with_biases("self_attn.o_proj", "mlp.c_proj")),
    "stablelm": ("stablelm", {"use_qkv_bias": True}, PROJECTIONS),
    "cohere": ("cohere", {"logit_scale": 0.5}, PROJECTIONS),
    "glm4": ("glm4", {"head_dim": 8}, {"post_self_attn_layernorm.weight", "post_mlp_layernorm.weight"}),
    "gpt2": (
        "gpt2",
        {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64},
        with_biases("attn.c_proj", "mlp.c_proj"),
    ),
    "gpt-neox": (
        "gpt_neox",
        {"use_parallel_residual": True},
        with_biases("attention.dense", "mlp.dense_4h_to_h"),
    ),
    "gpt-neo": (
        "gpt_neo",
        {"num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]], "window_size": 8},
        with_biases("attn.attention.out_proj", "mlp.c_proj"),
    ),
    "gpt-neox-sequential": (
        "gpt_neox",
        {"use_parallel_residual": False},
        with_biases("attention.dense", "mlp.dense_4h_to_h"),
    ),
    "opt": (
        "opt",
        {"ffn_dim": 48, "word_embed_proj_dim": 32},
        with_biases("self_attn.out_proj", "fc2"),
    ),
    "falcon": (
        "falcon",
        {"new_decoder_architecture": False, "parallel_attn": True},
        {"self_attention.dense.weight", "mlp.dense_4h_to_h.weight"},
    ),
    "bloom": (
        "bloom",
        {"n_layer": 4, "n_head": 4},
        with_biases("self_attention.dense", "mlp.dense_4h_to_h"),
    ),
    "mixtral": ("mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2}, EXPERTS),
    "mixtral-expert-by-expert": (
        "mixtral",
        {"num_local_experts": 6, "num_experts_per_tok": 2, "experts_implementation": "eager"},
        EXPERTS,
    ),
    "qwen3-moe": (
        "qwen3_moe",
        {
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [3],
        },
        lambda i: EXPERTS if i == 1 else PROJECTIONS,
    ),
    "deepseek-v3": (
        "deepseek_v3",
        {
            "first_k_dense_replace": 2,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "moe_intermediate_size": 16,
            "q_lora_rank": 8,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 8,
            "num_key_value_heads": 4,
        },
        lambda i: PROJECTIONS if i < 2 else EXPERTS | {"mlp.shared_experts.down_proj.weight"},
    ),
    "gpt-oss": (
        "gpt_oss",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 8},
        EXPERTS | {"self_attn.o_proj.bias", "mlp.experts.down_proj_bias"},
    ),
    "mamba": ("mamba", {"state_size": 4}, {"mixer.out_proj.weight"}),
}


def build(name: str) -> torch.nn.Module:
    kind, options, _ = FAMILIES[name]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(COMMON | options))).eval()
    # biases and offset gains start at zero: random ones show whether they are silenced
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_writers_are_the_ones_read_off_by_hand(name: str) -> None:
    model = build(name)
    found = anatomy(model)
    wanted = FAMILIES[name][2]
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
