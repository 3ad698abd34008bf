"""LLaMA-Pro (arXiv 2401.02415): a copy after every L/k-th layer, trained at one rate. Any k."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import Layers
from adept_bench.methods.edits import CopyAfter
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import CopiesOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def llama_pro(o: MethodOptions) -> Method:
    return Method(
        "llama-pro",
        title="LLaMA-Pro",
        summary="copies at uniform depth train at one rate",
        core=True,
        edit=CopyAfter(Layers("uniform", o.k)),
        train=CopiesOnly(),
        rates=one_rate(),
        mix=domain_only(),
    )
