"""ADEPT with the rates that the released code's two callbacks apply: two optimizer groups, none before a refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.choosing import adept_layers
from adept_bench.methods.edits import CopyAfter
from adept_bench.methods.mixes import domain_only
from adept_bench.methods.rates import as_released, as_released_deepspeed
from adept_bench.methods.trainable import CopiesOnly

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def adept_as_released(o: MethodOptions) -> Method:
    """The callback that the released trainer registers."""
    return Method(
        "adept-as-released",
        title="ADEPT as released",
        summary="ADEPT with the learning rates the released plain callback really applies",
        core=False,
        edit=CopyAfter(adept_layers(o)),
        train=CopiesOnly(),
        rates=as_released(every=o.refresh_every, corpus=o.importance_corpus),
        mix=domain_only(),
    )


def adept_as_released_deepspeed(o: MethodOptions) -> Method:
    """The callback that the released code has beside it, for training under DeepSpeed; no DeepSpeed is needed here."""
    return Method(
        "adept-as-released-deepspeed",
        title="ADEPT as released, DeepSpeed",
        summary="ADEPT with the learning rates the released DeepSpeed callback really applies",
        core=False,
        edit=CopyAfter(adept_layers(o)),
        train=CopiesOnly(),
        rates=as_released_deepspeed(every=o.refresh_every, corpus=o.importance_corpus),
        mix=domain_only(),
    )
