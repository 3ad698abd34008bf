"""From unit importance to learning rates (arXiv 2510.10071, stage 2; the ranges as in contract.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from adept_bench.errors import InputError, unknown_name

DIRECTIONS = ("inverse", "direct")
EQUAL = 0.5  # the normalized importance where all are equal: a rate of 1 in either direction


class Unit(Protocol):
    """What is needed of a unit here."""

    @property
    def name(self) -> str: ...
    @property
    def norm(self) -> bool: ...
    @property
    def importance(self) -> float: ...


# by range: whether a unit is scaled over all units, and left out of the range of the others
_APART: dict[str, Callable[[Unit], bool]] = {
    "norms-apart": lambda unit: unit.norm,
    "released": lambda unit: "layernorm" in unit.name.lower(),
    "all": lambda unit: True,
}
NORMALIZE = tuple(_APART)


def normalize_units(units: Sequence[Unit], normalize: str = "norms-apart") -> list[float]:
    """Importance scaled to 0..1, in the units' order; 0.5 where the range is empty (all equal).

    - norms-apart: the min-max of the non-norm units for a non-norm unit, of all units for a norm unit, as norm weights
      are an order larger and would otherwise push every projection to rate 2.
    - released: as the released DeepSpeed callback, which knows a norm by the text `layernorm` in its name. Qwen3's
      q_norm and k_norm do not have it and stay in the range of the projections. The unit's own name decides: that
      callback knows single tensors only; a module has the text where its tensors do, and a block's norms
      (`model.layers.3.norms`), which pool both kinds, do not.
    - all: one range over all units, as the released plain callback.

    docs/readings.md has what each makes of a model. Raises InputError for another name.
    """
    if normalize not in NORMALIZE:
        raise unknown_name("--normalize", "normalisation", normalize, NORMALIZE)
    everything = [unit.importance for unit in units]
    apart = _APART[normalize]
    others = [unit.importance for unit in units if not apart(unit)]
    return [_scaled(unit.importance, everything if apart(unit) else others) for unit in units]


def _scaled(value: float, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else EQUAL


def lr_scales(normalized: Sequence[float], direction: str = "inverse") -> list[float]:
    """The factors, 0..2, on the base learning rate. inverse: 2 * (1 - normalized), important for general competence
    means a LOW rate, as in the paper; direct: 2 * normalized, for importance measured on the domain.
    Raises InputError for another direction or a value outside 0..1."""
    if direction not in DIRECTIONS:
        raise unknown_name("direction", "direction", direction, DIRECTIONS)
    for value in normalized:
        if not 0.0 <= value <= 1.0:
            raise InputError(f"normalized importance {value}: expected 0 to 1")
    return [2.0 * value if direction == "direct" else 2.0 * (1.0 - value) for value in normalized]


def unit_rates(units: Sequence[Unit], normalize: str = "norms-apart", direction: str = "inverse") -> list[float]:
    """The factor on the base learning rate of each unit: `lr_scales` of `normalize_units`; 1.0 where all are equal."""
    return lr_scales(normalize_units(units, normalize), direction)
