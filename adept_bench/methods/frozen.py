"""Frozen-layer tuning: k original layers train (the last, the first or the least important)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import Layers
from adept_bench.methods.edits import KeepStructure
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import ChosenLayers

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions

WHICH = {"last": "last", "first": "first", "least-important": "importance"}


def frozen(o: MethodOptions) -> Method:
    return Method(
        "frozen",
        title="Frozen layers",
        summary="k original layers train, everything else is frozen",
        core=True,
        edit=KeepStructure(),
        train=ChosenLayers(Layers(WHICH[o.frozen_which], o.k)),
        rates=one_rate(),
        mix=domain_only(),
    )
