"""A method's edit and trainable set on a model without weights: what its cell would build."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adept_bench.methods.base import EditResult, Method

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions
    from adept_bench.probing.units import UnitImportance


@dataclass
class PlanContext:
    """What a method may ask (`methods.base.Context`), where nothing has been measured.

    Importance is assumed to be least in the layers `assumed` and, beside them, to fall with depth (paper, Fig 2).
    `asked`: whether a method asked for it, so that its layers are an assumption.
    """

    layers: int
    seed: int
    options: MethodOptions
    assumed: Sequence[int] = ()
    unit_batch_size: int = 8
    asked: bool = field(default=False)

    def layer_importance(self, corpus: str) -> list[float]:
        """0 for the assumed layers, else a value that falls with depth."""
        self.asked = True
        return assumed_profile(self.layers, self.assumed)

    def unit_importance(self, names: Sequence[str], corpus: str) -> list[UnitImportance]:
        """Rates do not change what a step costs, and no plan asks for them."""
        raise NotImplementedError("a plan measures no unit")


def assumed_profile(layers: int, assumed: Sequence[int]) -> list[float]:
    """Layer importance that is least in the layers `assumed` and, beside them, falls with depth."""
    chosen = set(assumed)
    return [0.0 if layer in chosen else 1.0 - layer / layers for layer in range(layers)]


@dataclass(frozen=True)
class Shape:
    """A method's model on the meta device and the names of the parameters that train."""

    model: Any
    names: tuple[str, ...]
    edit: EditResult
    base_layers: int
    assumed: bool
    """Whether which layers are copied or trained is an assumption."""

    @property
    def total(self) -> int:
        """Parameters, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def trainable(self) -> int:
        """Parameters that train."""
        wanted = set(self.names)
        return sum(parameter.numel() for name, parameter in self.model.named_parameters() if name in wanted)

    @property
    def chosen_layers(self) -> list[int]:
        """Base layers that are copied, or trained alone."""
        return list(self.edit.sources) or list(self.edit.description.get("trained_layers", ()))


def shape_of(method: Method, base: Any, context: PlanContext, dtype: str, trust_remote_code: bool = False) -> Shape:
    """Apply the method to the meta-device model `base`, which stays as it is.

    Copies are made by the configuration, as a saved expanded model is loaded; other edits are the method's own.
    Raises InputError where the method does not fit the model (too many layers, no linear maps).
    """
    import torch

    from adept_bench.methods.edits import CopyAfter, KeepStructure
    from adept_bench.models.shapes import expanded_shape

    context.asked = False
    if isinstance(method.edit, CopyAfter):
        layers = method.edit.layers.choose(context)
        model, expansion = expanded_shape(base.config, layers, dtype, trust_remote_code)
        edit = EditResult(model, expansion, list(expansion.sources), {"edit": "copies"})
    else:
        with torch.device("meta"):  # adapters too are made without values
            edit = method.edit.apply(base if isinstance(method.edit, KeepStructure) else copy.deepcopy(base), context)
    names = tuple(method.train.names(edit, context))
    return Shape(edit.model, names, edit, context.layers, context.asked)
