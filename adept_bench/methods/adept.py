"""ADEPT (arXiv 2510.10071): expand the least important layers, train the copies at unit-wise rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import adept_layers
from adept_bench.methods.edits import CopyAfter
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import inverse_unit_importance
from adept_bench.methods.trainable import CopiesOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def adept(o: MethodOptions) -> Method:
    return Method(
        "adept",
        title="ADEPT",
        summary="copies of the least important layers train at unit-wise rates",
        core=True,
        edit=CopyAfter(adept_layers(o)),
        train=CopiesOnly(),
        rates=inverse_unit_importance(
            every=o.refresh_every, granularity=o.granularity, normalize=o.normalize, corpus=o.importance_corpus
        ),
        mix=domain_only(),
    )
