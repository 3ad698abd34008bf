"""Models that have shapes and no memory: a base, and the base with copies of some of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adept_bench.errors import InputError
from adept_bench.models.expansion import Expansion, plan_expansion


def base_shape(config: Any, dtype: str = "float32", trust_remote_code: bool = False) -> Any:
    """The causal language model of `config` on the meta device, buffers too. Raises InputError where it cannot be."""
    import copy

    import torch
    from transformers import AutoModelForCausalLM

    from adept_bench.models.checkpoints import quiet_transformers

    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]), torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(
                copy.deepcopy(config), dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code
            )
    except Exception as error:  # transformers and a family's own code raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        name = type(config).__name__
        raise InputError(f"{name}: no causal language model can be built from it: {reason}") from error
    return model.eval()


def expanded_shape(
    config: Any, layers: Sequence[int], dtype: str = "float32", trust_remote_code: bool = False
) -> tuple[Any, Expansion]:
    """As `base_shape`, with a copy after each of `layers`, and where the copies are; InputError for bad layers."""
    from adept_bench.models.anatomy import text_config
    from adept_bench.models.depth import deeper_fields
    from adept_bench.models.onelayer import with_fields

    plan = plan_expansion(text_config(config).num_hidden_layers, layers)
    return base_shape(with_fields(config, deeper_fields(config, plan.origin)), dtype, trust_remote_code), plan
