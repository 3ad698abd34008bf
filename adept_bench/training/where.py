"""Which decoder layer a parameter belongs to, from structure alone: no forward pass, any device, adapters or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adept_bench.models.anatomy import Anatomy, decoder_layers

if TYPE_CHECKING:
    from torch import nn


def decoder(model: nn.Module) -> Anatomy:
    """The anatomy without its residual writers, enough for `layer_of`."""
    path, layers = decoder_layers(model)
    return Anatomy(path, layers, (), ())
