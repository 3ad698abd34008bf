"""The optimizer that the configuration names, over the unit groups that `RateController` makes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError

if TYPE_CHECKING:
    import torch

    from adept_bench.config.schema import RunConfig, TrainingConfig

BITSANDBYTES = {"adamw-8bit": "AdamW8bit", "paged-adamw": "PagedAdamW", "paged-adamw-8bit": "PagedAdamW8bit"}


def make_optimizer(
    groups: list[dict[str, Any]], training: TrainingConfig, learning_rate: float
) -> torch.optim.Optimizer:
    """AdamW over the groups, each with its own rate and decay: torch's fused one, or one of bitsandbytes.

    Raises InputError where the package that it needs is missing.
    """
    import torch

    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=training.betas, fused=True)
    check_optimizer(training)
    import bitsandbytes

    return getattr(bitsandbytes.optim, BITSANDBYTES[training.optimizer])(groups, lr=learning_rate, betas=training.betas)


def check_optimizer(training: TrainingConfig) -> None:
    """Raise InputError where the optimizer needs a package that is not installed."""
    if training.optimizer in BITSANDBYTES and find_spec("bitsandbytes") is None:
        raise InputError(
            f"training.optimizer: {training.optimizer} needs the package bitsandbytes, which is not installed; "
            "expected `pip install bitsandbytes`, or adamw"
        )


def check_hardware(config: RunConfig) -> None:
    """Raise InputError, before any work, where a setting asks for what this machine or its packages do not have."""
    check_optimizer(config.training)
    if config.model.attention != "flash_attention_2":
        return
    from transformers.utils import is_flash_attn_2_available

    if not is_flash_attn_2_available():
        raise InputError(
            "model.attention: flash_attention_2 needs the package flash-attn and a GPU that it runs on; "
            "expected both, or sdpa, which torch brings along"
        )
    if config.training.precision != "bf16" or config.model.dtype == "float32":
        raise InputError(
            f"model.attention: flash_attention_2 computes in 16 bits; got model.dtype {config.model.dtype} and "
            f"training.precision {config.training.precision}; expected bfloat16 and bf16, or sdpa"
        )
