"""The base model, untouched: what every method is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.edits import KeepStructure
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import Nothing

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def vanilla(o: MethodOptions) -> Method:
    return Method(
        "vanilla",
        title="Vanilla",
        summary="the base model as it is",
        core=True,
        edit=KeepStructure(),
        train=Nothing(),
        rates=one_rate(),
        mix=domain_only(),
    )
