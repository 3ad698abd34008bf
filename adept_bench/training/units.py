"""Unit-wise learning rates: which parameters form a unit, one optimizer group a unit, refreshes and their ledger.

Usable without the suite, with any optimizer and a LambdaLR:

    rates = BoundRates(units_of(model, names), probe=lambda m: probe_units(m, documents, parameters=names), every=500)
    controller = RateController(model, rates, learning_rate=1e-4)
    optimizer = torch.optim.AdamW(controller.groups())
    ...; controller.start(scheduler, optimizer); ...; controller.refresh(step, model, scheduler, optimizer)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from adept_bench.training.schedule import set_base_rates, under

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.probing.units import UnitImportance

Probe = Callable[["nn.Module"], "list[UnitImportance]"]
Pairing = Literal["first-parameter", "position"]
"""Which unit's factor each of the stock two optimizer groups (decay, no decay) takes in the released callbacks:

- first-parameter (plain callback): the unit of the group's first parameter: the first projection, and the first norm
  (or bias, where a model has them).
- position (DeepSpeed callback): the unit whose place in the model's order is the group's place among the groups: the
  first and the second unit, q_proj and k_proj. It also puts each group's rate into the schedule's list twice, and the
  schedule reads as many as there are groups: from the second update after a refresh both have the first unit's factor.
"""


@dataclass(frozen=True)
class Unit:
    """Parameters of a decoder layer that share one rate."""

    name: str
    layer: int
    norm: bool
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class BoundRates:
    """A rate policy bound to one model.

    first: importance of each trainable tensor at step 0, measured on the source layers; None keeps all units at the
    base rate until the first refresh. probe: measures every trainable tensor of the live model. every: steps between
    refreshes. normalize, direction: as `probing.units.unit_rates`. pairing: None for a group a unit; else there are the
    stock two groups, and this says whose factor each takes.
    """

    units: list[Unit]
    first: Sequence[UnitImportance] | None = None
    probe: Probe | None = None
    every: int | None = None
    normalize: str = "norms-apart"
    direction: str = "inverse"
    pairing: Pairing | None = None


def units_of(model: nn.Module, names: Sequence[str], granularity: str = "tensor") -> list[Unit]:
    """The units that the named parameters of decoder layers form, in model order (`probing.units.unit_members`)."""
    from adept_bench.probing.decoder import decoder
    from adept_bench.probing.units import is_norm, unit_members

    found, units = decoder(model), []
    for unit, members in unit_members(model, names, granularity).items():
        layer = found.layer_of(members[0])
        assert layer is not None
        units.append(Unit(unit, layer, is_norm(model, members[0]), tuple(members)))
    return units


def pool(units: Sequence[Unit], tensors: Sequence[UnitImportance]) -> list[UnitImportance]:
    """Importance of units from that of their tensors: the mean over all elements. Raises NotFiniteError."""
    from adept_bench.probing.loss import NotFiniteError
    from adept_bench.probing.units import UnitImportance

    measured = {tensor.name: tensor for tensor in tensors}
    pooled = []
    for unit in units:
        parts = [measured[name] for name in unit.parameters]
        elements = sum(part.elements for part in parts)
        importance = sum(part.importance * part.elements for part in parts) / elements
        if len(parts) == 1:
            importance = parts[0].importance
        if not math.isfinite(importance):
            raise NotFiniteError(f"the importance of {unit.name} is {importance}; expected a finite number")
        pooled.append(UnitImportance(unit.name, unit.layer, unit.norm, importance, elements))
    return pooled


def decays(model: nn.Module, name: str) -> bool:
    """Whether weight decay applies to the parameter: not to norms and biases."""
    from adept_bench.probing.units import is_norm

    return not (name.endswith("bias") or is_norm(model, name))


@dataclass
class RateController:
    """Optimizer groups for a model's trainable parameters, and their rates over time.

    With `rates` None there are the stock two groups (decay, no decay) at one rate, with a pairing the same two at the
    rates of the units they are paired with. Else one group a unit; a unit that holds decayed and undecayed parameters
    has two groups of the same rate.
    ledger: an entry a refresh, {"step", "units": a row a unit}; a row's learning_rate is the one in force from there
    (with the pairing "position", from the second update on).
    """

    model: nn.Module
    rates: BoundRates | None
    learning_rate: float
    weight_decay: float = 0.0
    ledger: list[dict[str, Any]] = field(default_factory=list)

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for a torch optimizer: params, names, unit (place of the unit whose rate it is given)."""
        parameters = dict(self.model.named_parameters())
        trainable = [name for name, parameter in parameters.items() if parameter.requires_grad]
        if self.rates is None or self.rates.pairing is not None:
            parts = [
                ("decay", self._paired(0, trainable), trainable),
                ("no decay", self._paired(1, trainable), trainable),
            ]
            wanted: list[bool | None] = [True, False]
        else:
            in_units = [name for unit in self.rates.units for name in unit.parameters]
            if sorted(in_units) != sorted(trainable):
                odd = sorted(set(in_units) ^ set(trainable))
                raise ValueError(f"units and trainable parameters differ: {odd[:3]}")
            parts = [(unit.name, index, list(unit.parameters)) for index, unit in enumerate(self.rates.units)]
            wanted = [None] * len(parts)
        groups = []
        for (label, index, names), only in zip(parts, wanted):
            for decay in (True, False):
                chosen = [name for name in names if decays(self.model, name) == decay]
                if chosen and only in (None, decay):
                    groups.append(
                        {
                            "params": [parameters[name] for name in chosen],
                            "names": chosen,
                            "unit": index,
                            "label": label,
                            "lr": self.learning_rate,
                            "weight_decay": self.weight_decay if decay else 0.0,
                        }
                    )
        return groups

    def _paired(self, place: int, trainable: Sequence[str]) -> int:
        """The place of the unit that stock group `place` (0 decay, 1 no decay) is paired with."""
        if self.rates is None or self.rates.pairing == "position":
            return place
        first = next((name for name in trainable if decays(self.model, name) == (place == 0)), None)
        return next((index for index, unit in enumerate(self.rates.units) if first in unit.parameters), place)

    def start(self, scheduler: Any, optimizer: Any) -> None:
        """Set the first rates, from the importance of the source layers' units where the policy has it."""
        if self.rates is None or self.ledger:
            return
        if self.rates.first is not None:
            self._apply(0, pool(self.rates.units, self.rates.first), scheduler, optimizer)
        else:
            self._record(0, None, None, optimizer)

    def due(self, step: int) -> bool:
        """Whether the rates are to be refreshed after this many updates."""
        return self.rates is not None and bool(self.rates.every) and step % (self.rates.every or 1) == 0

    def refresh(self, step: int, model: nn.Module, scheduler: Any, optimizer: Any) -> None:
        """Measure the live model and set the rates anew. The model and its gradients are left as they were."""
        if self.rates is None or self.rates.probe is None:
            raise ValueError("these rates have no probe to refresh them with")
        self._apply(step, pool(self.rates.units, self.rates.probe(model)), scheduler, optimizer)

    def _apply(self, step: int, units: list[UnitImportance], scheduler: Any, optimizer: Any) -> None:
        from adept_bench.probing.units import unit_rates

        assert self.rates is not None
        scales = unit_rates(units, normalize=self.rates.normalize, direction=self.rates.direction)
        base = [self.learning_rate * scales[group["unit"]] for group in optimizer.param_groups]
        lasting = [rate for rate in base for _ in range(2)][: len(base)] if self.rates.pairing == "position" else base
        set_base_rates(scheduler, optimizer, lasting)
        self._record(step, units, lasting, optimizer)
        if lasting != base:  # for one update: the schedule's next step goes by its own list
            set_base_rates(scheduler, optimizer, base)
            under(scheduler).base_lrs = lasting

    def _record(self, step: int, units: list[UnitImportance] | None, base: list[float] | None, optimizer: Any) -> None:
        """Add to the ledger what each unit really trains at: its group's rate, whatever the formula says."""
        from adept_bench.probing.units import normalize_units

        assert self.rates is not None
        group_of = {name: place for place, group in enumerate(optimizer.param_groups) for name in group["names"]}
        normalized = normalize_units(units, normalize=self.rates.normalize) if units is not None else None
        entries = []
        for index, unit in enumerate(self.rates.units):
            place = group_of[unit.parameters[0]]
            group = optimizer.param_groups[place]
            entries.append(
                {
                    "name": unit.name,
                    "layer": unit.layer,
                    "importance": units[index].importance if units is not None else None,
                    "normalized": normalized[index] if normalized is not None else None,
                    "lr_scale": base[place] / self.learning_rate if base is not None else 1.0,
                    "learning_rate": float(group["lr"]),
                }
            )
        self.ledger.append({"step": step, "units": entries})
