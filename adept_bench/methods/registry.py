"""The methods by name, in the order the table shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from adept_bench.config.names import check_methods
from adept_bench.methods.adept import adept
from adept_bench.methods.adept_as_released import adept_as_released, adept_as_released_deepspeed
from adept_bench.methods.adept_no_stage1 import adept_no_stage1
from adept_bench.methods.adept_no_stage2 import adept_no_stage2
from adept_bench.methods.adept_uniform_expansion import adept_uniform_expansion
from adept_bench.methods.base import Method
from adept_bench.methods.frozen import frozen
from adept_bench.methods.full import full
from adept_bench.methods.llama_pro import llama_pro
from adept_bench.methods.lora import lora
from adept_bench.methods.replay import replay
from adept_bench.methods.vanilla import vanilla

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions

METHODS: dict[str, Callable[[MethodOptions], Method]] = {
    "vanilla": vanilla,
    "full": full,
    "replay": replay,
    "llama-pro": llama_pro,
    "frozen": frozen,
    "lora": lora,
    "adept": adept,
    "adept-no-stage1": adept_no_stage1,
    "adept-no-stage2": adept_no_stage2,
    "adept-uniform-expansion": adept_uniform_expansion,
    "adept-as-released": adept_as_released,
    "adept-as-released-deepspeed": adept_as_released_deepspeed,
}


def get(name: str, options: MethodOptions, where: str = "--methods") -> Method:
    """The named method with these options. Raises InputError for an unknown name and for one kept for later."""
    check_methods([name], where)
    return METHODS[name](options)
