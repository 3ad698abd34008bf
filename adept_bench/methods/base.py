"""What a method is made of, and what it may ask of the base model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.config.schema import MethodOptions
    from adept_bench.methods.choosing import Layers
    from adept_bench.models.expansion import Expansion
    from adept_bench.probing.units import UnitImportance
    from adept_bench.training.units import BoundRates


class Context(Protocol):
    """What a method may know: measurements of the unchanged BASE model, taken at most once and only when asked for."""

    @property
    def layers(self) -> int:
        """Number of decoder layers of the base."""
        ...

    @property
    def seed(self) -> int: ...

    @property
    def options(self) -> MethodOptions: ...

    @property
    def unit_batch_size(self) -> int:
        """Documents in a batch of the unit probe: the refreshes must measure as the base was measured."""
        ...

    def layer_importance(self, corpus: str) -> list[float]:
        """Masked minus base loss in nats, a value a layer, on `corpus` ("general" or "domain")."""
        ...

    def unit_importance(self, names: Sequence[str], corpus: str) -> list[UnitImportance]:
        """Importance of the named parameter TENSORS of the base on `corpus` ("general" or "domain").

        Asked for after the edit, so it must come from a measurement of the base taken before it.
        """
        ...


def _same_name(name: str) -> str:
    return name


@dataclass
class EditResult:
    """A model after its structure edit.

    `sources`: base layers that were copied (empty where nothing was). `name_of_source` maps a parameter of the edited
    model to the parameter of the base that holds the same weights (for an adapter: the weight it adapts).
    """

    model: nn.Module
    expansion: Expansion | None = None
    sources: list[int] = field(default_factory=list)
    description: dict[str, Any] = field(default_factory=dict)
    name_of_source: Callable[[str], str] = _same_name


class Edit(Protocol):
    def apply(self, model: nn.Module, context: Context) -> EditResult:
        """Change the model's structure in place; at step 0 the edited model computes what the base computes."""
        ...


class TrainableSet(Protocol):
    def names(self, edit: EditResult, context: Context) -> list[str]:
        """Parameters of `edit.model` that train, in model order."""
        ...


class RatePolicy(Protocol):
    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora whose documents `bind` needs ("general", "domain"); none for one rate."""
        ...

    def bind(
        self,
        edit: EditResult,
        context: Context,
        trainable: Sequence[str],
        documents: Mapping[str, Sequence[Sequence[int]]],
    ) -> BoundRates | None:
        """The policy on one model; None for one rate. `documents`: probe documents (token ids) by corpus."""
        ...


class Mix(Protocol):
    @property
    def replay_share(self) -> float:
        """Share of training sequences that come from the general corpus, 0 to 1."""
        ...


@dataclass(frozen=True)
class Method:
    """A method in full: what changes, what trains, at which rates, on which data."""

    name: str
    title: str
    summary: str
    core: bool
    edit: Edit
    train: TrainableSet
    rates: RatePolicy
    mix: Mix

    @property
    def layers(self) -> Layers | None:
        """How the layers are chosen that it copies, or else trains alone; None where it chooses none."""
        found = getattr(self.edit, "layers", None) or getattr(self.train, "layers", None)
        return cast("Layers | None", found)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train: False for `vanilla` only."""
        from adept_bench.methods.trainable import Nothing

        return not isinstance(self.train, Nothing)


def prepare(method: Method, model: nn.Module, context: Context) -> tuple[EditResult, list[str]]:
    """Apply the method's edit and set `requires_grad` to exactly its trainable set.

    `model` must still be the base: measurements the method asks of `context` may be taken on it before the edit.
    Returns the edit's result and the names of the parameters that train.
    """
    edit = method.edit.apply(model, context)
    names = method.train.names(edit, context)
    chosen = set(names)
    for name, parameter in edit.model.named_parameters():
        parameter.requires_grad_(name in chosen)
    return edit, names
