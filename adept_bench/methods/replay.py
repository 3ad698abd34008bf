"""Full-parameter continual pretraining with general text replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.methods.base import Method
from adept_bench.methods.edits import KeepStructure
from adept_bench.methods.mixes import replayed
from adept_bench.methods.rates import one_rate
from adept_bench.methods.trainable import Everything

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions


def replay(o: MethodOptions) -> Method:
    return Method(
        "replay",
        title="Replay",
        summary="every parameter trains, general text mixed in",
        core=True,
        edit=KeepStructure(),
        train=Everything(),
        rates=one_rate(),
        mix=replayed(o.replay_share),
    )
