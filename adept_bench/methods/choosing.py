"""Which decoder layers a method copies or trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.errors import InputError, unknown_name
from adept_bench.methods.base import Context

if TYPE_CHECKING:
    from adept_bench.config.schema import MethodOptions

WAYS = ("importance", "domain-importance", "highest", "uniform", "last", "first", "random")


@dataclass(frozen=True)
class Layers:
    """`k` layers of the base chosen by `how`, or exactly those `listed`."""

    how: str
    k: int
    listed: tuple[int, ...] | None = None

    def check(self, layers: int) -> None:
        """Raise InputError where k or a listed layer does not fit a model of so many layers; nothing is measured."""
        if self.listed is not None:
            _checked(self.listed, layers)
        elif not 1 <= self.k <= layers:
            raise InputError(
                f"options.k: {self.k} layers asked for; expected 1 to {layers}, the model's number of layers"
            )

    @property
    def measures(self) -> bool:
        """Whether the choice depends on the layers' importance."""
        return self.listed is None and self.how in ("importance", "domain-importance", "highest")

    def choose(self, context: Context) -> list[int]:
        """Base layer indices, ascending. Raises InputError when k or a listed layer does not fit the model."""
        from adept_bench.models import selection

        match self.how if self.listed is None else None:
            case "importance":  # paper, section 3.1: the k layers of smallest importance
                return selection.lowest(context.layer_importance("general"), self.k)
            case "domain-importance":
                return selection.lowest(context.layer_importance("domain"), self.k)
            case "highest":
                return selection.highest(context.layer_importance("general"), self.k)
        return self.choose_by_depth(context.layers, context.seed)

    def choose_by_depth(self, layers: int, seed: int) -> list[int]:
        """As `choose`, of a base of so many layers, where nothing has to be measured (not `measures`)."""
        from adept_bench.models import selection

        if self.listed is not None:
            return _checked(self.listed, layers)
        k = self.k
        match self.how:
            case "uniform":  # LLaMA-Pro: after every L/k-th layer
                return selection.uniform(layers, k)
            case "last":
                return selection.last(layers, k)
            case "first":
                return selection.first(layers, k)
            case "random":
                return selection.random_layers(layers, k, seed)
        raise unknown_name("options.select", "way to choose layers", self.how, WAYS)


def adept_layers(options: MethodOptions) -> Layers:
    """ADEPT's layers: the least important, unless the options list layers (first) or name another way (second)."""
    listed = tuple(options.layers) if options.layers is not None else None
    return Layers(options.select or "importance", options.k, listed)


def _checked(listed: tuple[int, ...], layers: int) -> list[int]:
    wrong = [index for index in listed if not 0 <= index < layers]
    if wrong:
        raise InputError(f"options.layers: {wrong[0]} is not a layer; expected 0 to {layers - 1}")
    if len(set(listed)) != len(listed):
        raise InputError(f"options.layers: {list(listed)} names a layer twice")
    if not listed:
        raise InputError("options.layers: [] names no layer; expected at least one")
    return sorted(listed)
