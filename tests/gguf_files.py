"""Tiny GGUF files, written with the package `gguf` from models and tokenizers of plain transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = ["The lung has lobes.\n\n3 on the right,  2 on the left: 1998, 17%.", "Don't say\t\tthat it's 42 or 4 2."] * 4
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers": "blk",
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, digits apart, as SmolLM's; learnt from TEXT."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    found.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    plain = PreTrainedTokenizerFast(
        tokenizer_object=found,
        unk_token=SPECIAL[0],
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[2],
    )
    plain.chat_template = TEMPLATE
    return plain


def llama(vocabulary: int, *, tied: bool, seed: int = 0) -> LlamaForCausalLM:
    """Two layers of grouped attention with random weights, every norm moved."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def write(
    file: Path,
    model: LlamaForCausalLM,
    words: PreTrainedTokenizerFast,
    *,
    family: str = "llama",
    rule: str = "smollm",
    quantised: bool = False,
    more: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Path:
    """`model` and `words` as llama.cpp's converter writes them. `quantised`: its matrices in Q8_0, else all float32.

    `more`: further metadata; `extra`: further tensors.
    """
    config = model.config
    writer = gguf.GGUFWriter(file, family)
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    _add_words(writer, words, rule)
    for key, value in (more or {}).items():
        writer.add_string(key, value)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight" or not config.tie_word_embeddings:
            _add_tensor(writer, name, tensor, config, quantised)
    for name, values in (extra or {}).items():
        writer.add_tensor(name, np.asarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_words(writer: gguf.GGUFWriter, words: PreTrainedTokenizerFast, rule: str) -> None:
    ids = words.get_vocab()
    tokens = sorted(ids, key=ids.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if one in SPECIAL else gguf.TokenType.NORMAL for one in tokens])
    import json

    merges = json.loads(words.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in merges])
    writer.add_bos_token_id(words.bos_token_id)
    writer.add_eos_token_id(words.eos_token_id)
    writer.add_unk_token_id(words.unk_token_id)
    writer.add_pad_token_id(words.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _add_tensor(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor, config: LlamaConfig, quantised: bool) -> None:
    values = tensor.numpy()
    if "q_proj" in name or "k_proj" in name:  # llama.cpp turns pairs where transformers turns halves
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        values = values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
    for plain, there in NAMES.items():
        name = name.replace(plain, there)
    kind = gguf.GGMLQuantizationType.Q8_0
    if quantised and values.ndim == 2:
        writer.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, np.ascontiguousarray(values))
