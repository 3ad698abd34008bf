"""A tiny model, random documents and a context that measures the base, for tests of methods and training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from adept_bench.config.schema import MethodOptions, TrainingConfig
from adept_bench.probing.units import UnitImportance, probe_units


def tiny_model(seed: int = 0, **changes: Any) -> Qwen3ForCausalLM:
    settings: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "tie_word_embeddings": True,
    }
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(Qwen3Config(**{**settings, **changes})).eval()


def tiny_documents(count: int = 8, length: int = 13, seed: int = 0) -> list[list[int]]:
    return np.random.default_rng(seed).integers(0, 64, (count, length)).tolist()


def tiny_training(steps: int, **changes: Any) -> TrainingConfig:
    settings = {"length": 16, "batch_size": 2, "accumulation": 1, "log_every": 1, "warmup": 0.2, **changes}
    tokens = steps * settings["length"] * settings["batch_size"] * settings["accumulation"]
    return TrainingConfig(tokens=tokens, **settings)


class BaseContext:
    """Measurements of the base taken before any edit; the layer importances are given."""

    def __init__(self, model: Any, options: MethodOptions, documents: Any, seed: int = 0) -> None:
        self.options, self.seed, self.layers = options, seed, model.config.num_hidden_layers
        self.unit_batch_size = 3
        self.measured = {unit.name: unit for unit in probe_units(model, documents, batch_size=self.unit_batch_size)}
        self.profile = {"general": [5.0, 0.3, 0.1, 0.2], "domain": [0.1, 4.0, 3.0, 0.2]}

    def layer_importance(self, corpus: str) -> list[float]:
        return self.profile[corpus]

    def unit_importance(self, names: Any, corpus: str) -> list[UnitImportance]:
        return [self.measured[name] for name in names]


class Tiny:
    model = staticmethod(tiny_model)
    documents = staticmethod(tiny_documents)
    training = staticmethod(tiny_training)
    context = BaseContext
    options = MethodOptions


@pytest.fixture
def tiny() -> type[Tiny]:
    return Tiny
