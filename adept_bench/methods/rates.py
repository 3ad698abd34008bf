"""Learning-rate policies: one rate, the paper's unit-wise rates, and the rates as the released code applies them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.methods.base import Context, EditResult

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.probing.units import UnitImportance
    from adept_bench.training.units import BoundRates, Pairing

Documents = Mapping[str, Sequence[Sequence[int]]]


@dataclass(frozen=True)
class OneRate:
    """Every parameter at the base rate."""

    corpora: tuple[str, ...] = ()

    def bind(
        self,
        edit: EditResult,
        context: Context,
        trainable: Sequence[str],
        documents: Documents,
    ) -> BoundRates | None:
        return None


@dataclass(frozen=True)
class UnitRates:
    """lr_U = 2 * (1 - I_U) * lr_base, I_U the unit's importance scaled to [0, 1] (paper, section 3.2).

    every: steps between two measurements on the live model (paper: 500). corpus: the text importance is measured on;
    on domain text the direction turns round, important units get the HIGH rate, as in the released DeepSpeed callback.
    from_source: start from the importance of the source layers' weights in the base, since every unit of a fresh copy
    has |w * dL/dw| = 0. Without it all units keep the base rate until the first refresh.
    pairing: None for an optimizer group a unit; else the stock two groups and whose factor each takes
    (`training.units.Pairing`). batches: how many batches a measurement on the live model reads, None for all.
    """

    every: int
    granularity: str = "tensor"
    normalize: str = "norms-apart"
    corpus: str = "general"
    from_source: bool = True
    pairing: Pairing | None = None
    batches: int | None = None

    @property
    def corpora(self) -> tuple[str, ...]:
        return (self.corpus,)

    @property
    def direction(self) -> str:
        return "direct" if self.corpus == "domain" else "inverse"

    def bind(
        self,
        edit: EditResult,
        context: Context,
        trainable: Sequence[str],
        documents: Documents,
    ) -> BoundRates | None:
        from adept_bench.probing.units import probe_units
        from adept_bench.training.units import BoundRates, units_of

        batch_size = context.unit_batch_size  # as the base was measured, or the first refresh would jump
        read = None if self.batches is None else self.batches * batch_size
        probe_documents, names = documents[self.corpus][:read], list(trainable)

        def probe(model: nn.Module) -> list[UnitImportance]:
            return probe_units(model, probe_documents, parameters=names, batch_size=batch_size)

        return BoundRates(
            units=units_of(edit.model, names, self.granularity),
            first=source_importance(edit, context, names, self.corpus) if self.from_source else None,
            probe=probe,
            every=self.every,
            normalize=self.normalize,
            direction=self.direction,
            pairing=self.pairing,
        )


def source_importance(edit: EditResult, context: Context, names: Sequence[str], corpus: str) -> list[UnitImportance]:
    """Importance on the base of the weights each trainable tensor was copied from, under the tensor's own name."""
    from adept_bench.probing.decoder import decoder

    found = decoder(edit.model)
    source_of = {name: edit.name_of_source(name) for name in names}
    measured = {unit.name: unit for unit in context.unit_importance(sorted(set(source_of.values())), corpus)}
    renamed = []
    for name in names:
        unit = measured[source_of[name]]
        layer = found.layer_of(name)
        renamed.append(dataclasses.replace(unit, name=name, layer=unit.layer if layer is None else layer))
    return renamed


def one_rate() -> OneRate:
    return OneRate()


def inverse_unit_importance(
    *, every: int, granularity: str = "tensor", normalize: str = "norms-apart", corpus: str = "general"
) -> UnitRates:
    """The paper's policy."""
    return UnitRates(every, granularity, normalize, corpus)


def as_released(*, every: int, corpus: str = "general") -> UnitRates:
    """What the released plain callback does: two optimizer groups, one range, no rates before the first refresh."""
    return UnitRates(every, "tensor", "all", corpus, from_source=False, pairing="first-parameter")


def as_released_deepspeed(*, every: int, corpus: str = "general") -> UnitRates:
    """What the released DeepSpeed callback does: other pairs and another range, measured on the first batch alone."""
    return UnitRates(every, "tensor", "released", corpus, from_source=False, pairing="position", batches=1)
