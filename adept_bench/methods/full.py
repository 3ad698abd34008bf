"""Full-parameter continual pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.edits import KeepStructure
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import Everything

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def full(o: MethodOptions) -> Method:
    return Method(
        "full",
        title="PT-Full",
        summary="every parameter trains on domain text",
        core=True,
        edit=KeepStructure(),
        train=Everything(),
        rates=one_rate(),
        mix=domain_only(),
    )
