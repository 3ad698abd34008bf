"""Which decoder layer a parameter is in, from structure alone: no forward pass, any device, adapters or not."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from adept_bench.models.anatomy import decoder_layers


@dataclass(frozen=True)
class Decoder:
    """The list of decoder layers and its dotted name, such as "model.layers"."""

    path: str
    layers: nn.ModuleList

    def layer_of(self, parameter_name: str) -> int | None:
        """The index of the decoder layer that a full parameter name belongs to; None outside the layers."""
        prefix = f"{self.path}."
        return int(parameter_name[len(prefix) :].split(".")[0]) if parameter_name.startswith(prefix) else None

    def by_layer(self, parameter_names: list[str]) -> dict[str, int]:
        """The layer of each parameter that is in one, in the order given."""
        layers = {name: self.layer_of(name) for name in parameter_names}
        return {name: layer for name, layer in layers.items() if layer is not None}


def decoder(model: nn.Module) -> Decoder:
    """A model's decoder layers. Raises InputError where they cannot be found."""
    return Decoder(*decoder_layers(model))
