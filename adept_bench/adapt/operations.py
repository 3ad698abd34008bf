"""What copies of some layers cost to train, beside full pretraining, counted without building either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def time_share(model: Any, layers: Sequence[int], length: int, trust_remote_code: bool = False) -> float:
    """Training operations of copies of `layers` as a share of full pretraining's, a token at sequence length `length`.

    Counted by `training.cost.train_flops` on the expanded architecture without its weights. Operations stand for time:
    they leave out the optimizer, which favours few trainable parameters further.
    """
    from adept_bench.models.shapes import expanded_shape
    from adept_bench.probing.decoder import decoder
    from adept_bench.training.cost import train_flops

    everything = {name for name, _ in model.named_parameters()}
    whole = train_flops(model, tokens=1, length=length, trainable=everything)
    expanded, plan = expanded_shape(model.config, layers, trust_remote_code=trust_remote_code)
    found, copies = decoder(expanded), set(plan.copies)
    names = {name for name, _ in expanded.named_parameters() if found.layer_of(name) in copies}
    return train_flops(expanded, tokens=1, length=length, trainable=names) / whole
