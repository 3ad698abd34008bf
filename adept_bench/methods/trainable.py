"""Trainable sets: which parameters of the edited model a method trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adept_bench.methods.base import Context, EditResult
from adept_bench.methods.choosing import Layers

if TYPE_CHECKING:
    from collections.abc import Collection


def _in_layers(edit: EditResult, layers: Collection[int]) -> list[str]:
    from adept_bench.probing.decoder import decoder

    found = decoder(edit.model)
    return [name for name, _ in edit.model.named_parameters() if found.layer_of(name) in layers]


@dataclass(frozen=True)
class Nothing:
    """The base as it is."""

    def names(self, edit: EditResult, context: Context) -> list[str]:
        return []


@dataclass(frozen=True)
class Everything:
    """Every parameter, embeddings and head included."""

    def names(self, edit: EditResult, context: Context) -> list[str]:
        return [name for name, _ in edit.model.named_parameters()]


@dataclass(frozen=True)
class CopiesOnly:
    """Exactly the copied layers."""

    def names(self, edit: EditResult, context: Context) -> list[str]:
        if edit.expansion is None:
            raise ValueError("CopiesOnly needs an edit that copies layers")
        return _in_layers(edit, set(edit.expansion.copies))


@dataclass(frozen=True)
class ChosenLayers:
    """Original layers of the model, chosen as copies would be."""

    layers: Layers

    def names(self, edit: EditResult, context: Context) -> list[str]:
        chosen = self.layers.choose(context)
        edit.description["trained_layers"] = chosen
        edit.description["chosen_by"] = "list" if self.layers.listed is not None else self.layers.how
        return _in_layers(edit, set(chosen))


@dataclass(frozen=True)
class AdaptersOnly:
    """Exactly the low-rank adapters."""

    def names(self, edit: EditResult, context: Context) -> list[str]:
        return [name for name, _ in edit.model.named_parameters() if ".lora_" in name]
