"""A run's configuration for models of any shape, as a plan reads it."""

from __future__ import annotations

import pytest
from builders import estimate, qwen3_config, run_config


class Planning:
    architecture = staticmethod(qwen3_config)
    config = staticmethod(run_config)
    estimate = staticmethod(estimate)


@pytest.fixture
def planning() -> type[Planning]:
    return Planning
