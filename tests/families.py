"""Decoder families at tiny sizes: what expansion is tested on, through the model and from file to file."""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
# name -> (model type, configuration beside `COMMON`)
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("qwen3", {"head_dim": 8, "tie_word_embeddings": True}),
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama-tied-biased": ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {"sliding_window": 8}),
    "qwen2": ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}),
    "gemma": ("gemma", {"head_dim": 8}),
    "gemma2": ("gemma2", {"head_dim": 8, "sliding_window": 8}),
    "gemma3": ("gemma3_text", {"head_dim": 8, "sliding_window": 8, "num_hidden_layers": 7}),
    "olmo2": ("olmo2", {}),
    "phi3": ("phi3", {}),
    "granite": ("granite", {"residual_multiplier": 0.3}),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 3}),
    "starcoder2": ("starcoder2", {"use_bias": True}),
    "stablelm": ("stablelm", {"use_qkv_bias": True}),
    "cohere": ("cohere", {"logit_scale": 0.5}),
    "glm4": ("glm4", {"head_dim": 8}),
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64}),
    "gpt-neox": ("gpt_neox", {"use_parallel_residual": True}),
    "gpt-neo": (
        "gpt_neo",
        {"num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]], "window_size": 8},
    ),
    "gpt-neox-sequential": ("gpt_neox", {"use_parallel_residual": False}),
    "opt": ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "falcon": ("falcon", {"new_decoder_architecture": False, "parallel_attn": True}),
    "bloom": ("bloom", {"n_layer": 4, "n_head": 4}),
    "mixtral": ("mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2}),
    "mixtral-expert-by-expert": (
        "mixtral",
        {"num_local_experts": 6, "num_experts_per_tok": 2, "experts_implementation": "eager"},
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
    ),
    "gpt-oss": ("gpt_oss", {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 8}),
    "mamba": ("mamba", {"state_size": 4}),
}
