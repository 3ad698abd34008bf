"""ADEPT without Stage 1: no expansion, unit-wise rates on the least important original layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import adept_layers
from adept_bench.methods.edits import KeepStructure
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import inverse_unit_importance
from adept_bench.methods.trainable import ChosenLayers

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def adept_no_stage1(o: MethodOptions) -> Method:
    return Method(
        "adept-no-stage1",
        title="ADEPT w/o Stage 1",
        summary="the k least important original layers train at unit-wise rates",
        core=False,
        edit=KeepStructure(),
        train=ChosenLayers(adept_layers(o)),
        rates=inverse_unit_importance(
            every=o.refresh_every, granularity=o.granularity, normalize=o.normalize, corpus=o.importance_corpus
        ),
        mix=domain_only(),
    )
