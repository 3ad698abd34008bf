"""The tiny model and context of the training tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "training_conftest", Path(__file__).parents[1] / "training" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_training = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_training)


@pytest.fixture
def tiny():
    return _training.Tiny
