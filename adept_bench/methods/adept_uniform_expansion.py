"""ADEPT with copies at uniform depth in place of the least important layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import Layers
from adept_bench.methods.edits import CopyAfter
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import inverse_unit_importance
from adept_bench.methods.trainable import CopiesOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def adept_uniform_expansion(o: MethodOptions) -> Method:
    return Method(
        "adept-uniform-expansion",
        title="ADEPT, uniform expansion",
        summary="copies at uniform depth train at unit-wise rates",
        core=False,
        edit=CopyAfter(Layers("uniform", o.k)),
        train=CopiesOnly(),
        rates=inverse_unit_importance(
            every=o.refresh_every, granularity=o.granularity, normalize=o.normalize, corpus=o.importance_corpus
        ),
        mix=domain_only(),
    )
