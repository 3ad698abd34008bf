"""A tiny base model, two small corpora and the arguments that make a run of them."""

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


@pytest.fixture
def arguments(tiny_model, texts, tmp_path):
    """Arguments of `adept-bench run` on the tiny model and texts: 8 steps, held-out losses as the measure."""
    domain, general = texts
    settings = {
        "data.domain": domain,
        "data.general": general,
        "data.probe_documents": 6,
        "data.heldout_documents": 8,
        "training.tokens": 8 * 2 * 32,
        "training.length": 32,
        "training.batch_size": 2,
        "training.save_every": 2,
        "training.log_every": 1,
        "options.k": 2,
        "options.refresh_every": 3,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return ["run", "--suite", "medical", "--model", str(tiny_model), "--results", str(tmp_path / "results"), *sets]
