"""lm-eval's vLLM model with our progress and count of truncated prompts. Importing this needs the vllm package."""

from __future__ import annotations

from typing import Any

from lm_eval.models.vllm_causallms import VLLM

from adept_bench.evaluation.scorer import Counting, OnItems


class VllmScorer(Counting, VLLM):
    """Scores requests as lm-eval's VLLM does; `arguments` are its constructor's (`backends.vllm_arguments`)."""

    spare = -1  # vLLM always generates a token

    def __init__(self, arguments: dict[str, Any], on_items: OnItems) -> None:
        super().__init__(**arguments)
        self.count(on_items)
