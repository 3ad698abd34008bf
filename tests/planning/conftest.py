"""A run's configuration for models of any shape, as a plan reads it."""

from __future__ import annotations

from typing import Any

import pytest
from builders import qwen3_config
from transformers import Qwen3Config

from adept_bench.config.schema import RunConfig
from adept_bench.planning.estimate import Estimate, Workbench


def run_config(**sections: Any) -> RunConfig:
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
    from adept_bench.methods.registry import get

    return Estimate(Workbench(shape, config.model.dtype), get(name, config.options), config, 0, assumed)


class Planning:
    architecture = staticmethod(qwen3_config)
    config = staticmethod(run_config)
    estimate = staticmethod(estimate)


@pytest.fixture
def planning() -> type[Planning]:
    return Planning
