"""ADEPT with the rates the released code applies: two optimizer groups, one range, none before the first refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import adept_layers
from adept_bench.methods.edits import CopyAfter
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import as_released
from adept_bench.methods.trainable import CopiesOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def adept_as_released(o: MethodOptions) -> Method:
    return Method(
        "adept-as-released",
        title="ADEPT as released",
        summary="ADEPT with the learning rates the released code really applies",
        core=False,
        edit=CopyAfter(adept_layers(o)),
        train=CopiesOnly(),
        rates=as_released(every=o.refresh_every, corpus=o.importance_corpus),
        mix=domain_only(),
    )
