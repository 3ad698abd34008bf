"""The suite: cells, what they share, and the workers that run them."""

from __future__ import annotations

from typing import Any

__all__ = ["evaluate_model", "run_suite"]


def __getattr__(name: str) -> Any:
    if name == "run_suite":
        from adept_bench.suite.run import run_suite

        return run_suite
    if name == "evaluate_model":
        from adept_bench.suite.evaluate import evaluate_model

        return evaluate_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
