from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Cell


@pytest.fixture
def example() -> Callable[..., dict[str, Any]]:
    """The maker of example cells, see results/example_cell.py."""
    return runpy.run_path(str(Path(__file__).parents[1] / "results" / "example_cell.py"))["example"]


@pytest.fixture
def cell(example: Callable[..., dict[str, Any]]) -> Callable[..., Cell]:
    """The same as validated cells."""

    def make(*args: Any, **changes: Any) -> Cell:
        content = {"schema_version": 1, "status": "complete", **example(*args, **changes)}
        content["training"] = compact_training(content["training"])
        return Cell.model_validate_json(json.dumps(content))

    return make
