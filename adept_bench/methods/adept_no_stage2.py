"""ADEPT without Stage 2: the same expansion, one rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import adept_layers
from adept_bench.methods.edits import CopyAfter
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import CopiesOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def adept_no_stage2(o: MethodOptions) -> Method:
    return Method(
        "adept-no-stage2",
        title="ADEPT w/o Stage 2",
        summary="copies of the least important layers train at one rate",
        core=False,
        edit=CopyAfter(adept_layers(o)),
        train=CopiesOnly(),
        rates=one_rate(),
        mix=domain_only(),
    )
