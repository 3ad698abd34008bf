"""A tiny base model and two small corpora, for tests of whole commands."""

import itertools
import json

import pytest
import torch

from adept_bench.lab import corpora
from adept_bench.lab.tokenizer import build_tokenizer


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A random Qwen3 of 4 layers with the lab's tokenizer, as a folder of plain transformers."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    folder = tmp_path_factory.mktemp("tiny") / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """(domain file, general file): 60 documents each."""
    folder = tmp_path_factory.mktemp("texts")
    domain, general = folder / "domain.jsonl", folder / "general.txt"
    lines = [json.dumps({"text": text}) for text in corpora.texts("medical")[:60]]
    domain.write_text("\n".join(lines) + "\n", encoding="utf-8")
    general.write_text("\n\n".join(itertools.islice(corpora.texts("general"), 60)), encoding="utf-8")
    return domain, general
