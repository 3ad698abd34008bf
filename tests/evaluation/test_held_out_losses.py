"""Held-out losses against one document, one forward and one cross entropy at a time."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from adept_bench.corpora.reading import corpus_of
from adept_bench.errors import InputError
from adept_bench.evaluation.losses import held_out_losses


def test_against_a_plain_computation() -> None:
    words = ["<unk>", "<eos>", *"abcdefgh"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=10, initializer_range=0.5, **sizes, **heads)).eval()
    texts = {"general": ["a b c d e f g h a b", "c c", "h"], "domain": ["d a", "b e f"]}
    losses = held_out_losses(model, fast, {name: corpus_of(name, own) for name, own in texts.items()}, 6, 2)
    for name, own in texts.items():
        plain = []
        for text in own:
            ids = torch.tensor(fast(text)["input_ids"][:6])
            if len(ids) >= 2:
                with torch.no_grad():
                    logits = model(ids[None]).logits[0]
                plain.append(float(torch.nn.functional.cross_entropy(logits[:-1], ids[1:])))
        assert losses[name] == pytest.approx(plain, abs=1e-5)
    with pytest.raises(InputError, match="short: no document has two tokens"):
        held_out_losses(model, fast, {"x": corpus_of("short", ["a", "b"])}, 6, 2)
