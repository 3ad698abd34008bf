from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def example() -> Callable[..., dict[str, Any]]:
    """The maker of example cells, see example_cell.py."""
    return runpy.run_path(str(Path(__file__).with_name("example_cell.py")))["example"]
