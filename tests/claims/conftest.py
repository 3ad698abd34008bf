from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Cell

TESTS = Path(__file__).parents[1]


@pytest.fixture
def example() -> Callable[..., dict[str, Any]]:
    """The maker of example cells, see results/example_cell.py."""
    return runpy.run_path(str(TESTS / "results" / "example_cell.py"))["example"]


@pytest.fixture
def cell(example: Callable[..., dict[str, Any]]) -> Callable[..., Cell]:
    """The same as validated cells; `parts` replace whole fields of the file."""

    def make(method: str = "adept", seed: int = 0, items: Any = None, parts: Any = None, **changes: Any) -> Cell:
        content = {"schema_version": 1, "status": "complete", **example(method, seed, items, **changes)}
        for key, value in (parts or {}).items():
            content[key] = content[key] | value if isinstance(value, dict) and content.get(key) else value
        content["training"] = compact_training(content["training"])
        return Cell.model_validate_json(json.dumps(content))

    return make


@pytest.fixture
def shifted() -> Callable[[int, int], dict[str, Any]]:
    """The block `analyses` with so many shifted of so many positions of domain text."""

    def make(count: int, positions: int) -> dict[str, Any]:
        rest = {"unshifted": positions - count, "marginal": 0, "shifted": count, "tokens": []}
        return {"token_shift": [{"corpus": "domain", "positions": positions, **rest}]}

    return make
