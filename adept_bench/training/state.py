"""What training changes about a model beside its weights, and undoing it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from adept_bench.quiet import hush


@contextmanager
def left_as_found(model: Any, masters: Collection[str]) -> Iterator[None]:
    """Quiet libraries; afterwards mode, `use_cache`, checkpointing and parameter types as before.

    masters: the named parameters of 16 bits are float32 within the block, so that small updates are not rounded away.
    A frozen one comes back bit for bit.
    """
    from transformers.utils import logging

    hush()
    verbosity, training, use_cache = logging.get_verbosity(), model.training, model.config.use_cache
    named, narrow = set(masters), (torch.bfloat16, torch.float16)
    kept = {name: p.dtype for name, p in model.named_parameters() if name in named and p.dtype in narrow}
    logging.set_verbosity_error()
    try:
        _cast(model, dict.fromkeys(kept, torch.float32))
        yield
    finally:
        for name in ("activation_checkpointing_disable", "gradient_checkpointing_disable"):
            if hasattr(model, name):
                getattr(model, name)()
                break
        model.zero_grad(set_to_none=True)
        _cast(model, kept)
        model.config.use_cache = use_cache
        model.train(training)
        logging.set_verbosity(verbosity)


def _cast(model: Any, types: dict[str, torch.dtype]) -> None:
    for name, parameter in model.named_parameters():
        if name in types and parameter.dtype != types[name]:
            parameter.data = parameter.data.to(types[name])
