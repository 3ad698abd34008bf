"""Tiny models and documents that tests share."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from adept_bench.config.schema import MethodOptions, RunConfig, TrainingConfig
from adept_bench.planning.estimate import Estimate, Workbench
from adept_bench.probing.units import UnitImportance, probe_units

QWEN3: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "tie_word_embeddings": True,
}
# half as wide; what every family of rotary positions knows, and (PLAIN) every family at all
PLAIN: dict[str, Any] = {"vocab_size": 61, "hidden_size": 16, "num_attention_heads": 4}
ROTARY: dict[str, Any] = {
    **PLAIN,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def qwen3_config(**changes: Any) -> Qwen3Config:
    """A Qwen3 of 4 layers, `QWEN3` but for the changes."""
    return Qwen3Config(**{**QWEN3, **changes})


def qwen3(seed: int = 0, **changes: Any) -> Qwen3ForCausalLM:
    """The same with random weights."""
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(qwen3_config(**changes)).eval()


def from_sizes(family: str, seed: int = 0, attention: str | None = None, **sizes: Any) -> Any:
    """A model of any family with random weights."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **sizes)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


def scattered(family: str, seed: int = 5, attention: str | None = None, **sizes: Any) -> Any:
    """The same with every parameter moved, so that no norm is one and no bias zero."""
    model = from_sizes(family, seed, attention, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def documents(count: int = 7, seed: int = 0, stop: int = 24) -> list[list[int]]:
    """Documents of 2 to `stop` - 1 tokens of `PLAIN`'s vocabulary."""
    draw = random.Random(seed)
    return [[draw.randrange(61) for _ in range(draw.randrange(2, stop))] for _ in range(count)]


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
    """What the tests of methods and training build with."""

    model = staticmethod(qwen3)
    documents = staticmethod(tiny_documents)
    training = staticmethod(tiny_training)
    context = BaseContext
    options = MethodOptions


def run_config(**sections: Any) -> RunConfig:
    """A run's configuration, as a plan reads it."""
    training = {"tokens": 1024, "length": 32, "batch_size": 4, **sections.pop("training", {})}
    return RunConfig.model_validate(
        {
            "suite": "s",
            "preset": "p",
            "model": {"source": "org/model", **sections.pop("model", {})},
            "data": {"domain": "d.txt", "general": "g.txt"},
            "training": training,
            "selection": {"grid": [1e-3]},
            **sections,
        }
    )


def estimate(name: str, config: RunConfig, shape: Qwen3Config, assumed: tuple[int, ...] = ()) -> Estimate:
    """What `plan` says of a method on a model of that shape."""
    from adept_bench.methods.registry import get

    return Estimate(Workbench(shape, config.model.dtype), get(name, config.options), config, 0, assumed)
