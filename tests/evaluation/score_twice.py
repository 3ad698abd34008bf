"""Scores a random model with transformers and with vLLM: `python score_twice.py OUT`. vLLM starts processes of its own,
which import this file again, so that it must be a file."""

import json
import sys
from pathlib import Path

import torch
from builders import qwen3

from adept_bench.evaluation.harness import evaluate
from adept_bench.lab.tokenizer import build_tokenizer

TASKS = {"general": ["lab_general", "lab_math_choice", "lab_math_generate"]}


def both():
    tokenizer = build_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    # heads of 32, the least that vLLM's attention on a CPU takes
    model = qwen3(vocab_size=len(tokenizer), head_dim=32, max_position_embeddings=256, **ends).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)  # logits far enough apart for kernels that round differently
    device = next(model.parameters()).device
    found = {
        backend: evaluate(model, tokenizer, TASKS, batch_size=8, limit=40, max_length=128, backend=backend)
        for backend in ("hf", "vllm")
    }
    assert next(model.parameters()).device == device
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(both()), encoding="utf-8")
