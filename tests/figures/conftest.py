from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adept_bench.config.names import CORE_METHODS
from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Cell
from adept_bench.results.store import Store

ROOT = Path(__file__).parents[2]
STORED = ROOT / "results" / "lab" / "medical"
WHOLE = ROOT / "results" / "lab-redundant" / "medical"  # every core method under the same seeds


@pytest.fixture(scope="session")
def example() -> Callable[..., dict[str, Any]]:
    """The maker of example cells, see results/example_cell.py."""
    return runpy.run_path(str(ROOT / "tests" / "results" / "example_cell.py"))["example"]


@pytest.fixture(scope="session")
def invented(example: Callable[..., dict[str, Any]]) -> Callable[..., list[Cell]]:
    """Cells of some methods and seeds with random answers; the second argument changes the content of each."""

    def make(
        methods: str = "vanilla full llama-pro adept",
        change: Callable[[dict[str, Any]], None] | None = None,
        seeds: tuple[int, ...] = (0, 1, 2),
        **settings: Any,
    ) -> list[Cell]:
        random = np.random.default_rng(0)
        cells = []
        for method in methods.split():
            for seed in seeds:
                items = {group: random.integers(0, 2, 40).tolist() for group in ("general", "domain")}
                content = {"schema_version": 1, "status": "complete", **example(method, seed, items, **settings)}
                content["training"] = compact_training(content["training"])
                if change:
                    change(content)
                cells.append(Cell.model_validate_json(json.dumps(content)))
        return cells

    return make


@pytest.fixture(scope="session")
def stored() -> list[dict[str, Any]]:
    """The first three seeds of the committed results of lab-redundant/medical, core methods, as plain JSON."""
    paths = sorted(WHOLE.glob("*-seed[012].json"))
    found = [json.loads(path.read_text()) for path in paths if path.name.rpartition("-seed")[0] in CORE_METHODS]
    for content in found:  # as if timed in one go on a quiet machine, so that every pair of seconds compares
        content["cost"]["details"] = {}
        content["provenance"] |= {"started": "2026-11-28T00:00:00+00:00", "ended": "2026-11-28T00:01:00+00:00"}
    return found


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with three methods and two seeds of lab/medical."""
    folder = tmp_path / "results"
    place = folder / "lab" / "medical"
    place.mkdir(parents=True)
    for path in STORED.glob("*-seed[01].json"):
        if path.name.rpartition("-seed")[0] in ("vanilla", "full", "adept"):
            shutil.copy(path, place)
    return folder


@pytest.fixture
def store_cells() -> Callable[[Path, list[Cell]], None]:
    """Write cells to a results folder."""

    def write(folder: Path, cells: list[Cell]) -> None:
        for cell in cells:
            Store(folder).write(cell.model_dump(mode="json"))

    return write
