"""Low-rank adapters, by default with about as many parameters as the layers that ADEPT copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.edits import LowRank
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import AdaptersOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def lora(o: MethodOptions) -> Method:
    return Method(
        "lora",
        title="PT-LoRA",
        summary="low-rank adapters on every linear map of the decoder layers, fused experts included",
        core=True,
        edit=LowRank(o.lora_rank, o.lora_alpha, o.lora_dropout, match=len(o.layers or ()) or o.k),
        train=AdaptersOnly(),
        rates=one_rate(),
        mix=domain_only(),
    )
