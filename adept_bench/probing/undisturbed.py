"""A probe leaves the model as it found it: mode and random generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from adept_bench.models.anatomy import evaluating


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; modes and the CPU and CUDA generators are restored, also on an error."""
    devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
    with torch.random.fork_rng(devices=[device.index or 0 for device in devices]), evaluating(model):
        yield


def first_device(model: nn.Module) -> torch.device:
    """Where a model's inputs belong: the device of its input embeddings (a model may span several)."""
    embeddings: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
    return next(embeddings.parameters()).device
