"""What copies of some layers cost to train, beside full pretraining, counted without building either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def time_share(model: Any, layers: Sequence[int], length: int) -> float:
    """Training operations of copies of `layers` as a share of full pretraining's, a token at sequence length `length`.

    Counted by `training.cost.train_flops` on the expanded architecture on the meta device. Operations stand for time:
    they leave out the optimizer, which favours few trainable parameters further.
    """
    import copy

    import torch
    from transformers import AutoModelForCausalLM

    from adept_bench.models.anatomy import text_config
    from adept_bench.models.depth import deeper_fields
    from adept_bench.models.expansion import plan_expansion
    from adept_bench.probing.decoder import decoder
    from adept_bench.training.cost import train_flops

    everything = {name for name, _ in model.named_parameters()}
    whole = train_flops(model, tokens=1, length=length, trainable=everything)
    plan = plan_expansion(len(decoder(model).layers), layers)
    config = copy.deepcopy(model.config)
    for name, value in deeper_fields(model.config, plan.origin).items():
        setattr(text_config(config), name, value)
    with torch.device("meta"):
        expanded = AutoModelForCausalLM.from_config(config)
    found, copies = decoder(expanded), set(plan.copies)
    names = {name for name, _ in expanded.named_parameters() if found.layer_of(name) in copies}
    return train_flops(expanded, tokens=1, length=length, trainable=names) / whole
