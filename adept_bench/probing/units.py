"""Stage 2's question: how much does each unit of a layer matter for the probe corpus (arXiv 2510.10071, section 3)?"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from torch import nn

from adept_bench.errors import InputError, nearest, unknown_name
from adept_bench.probing.decoder import Decoder, decoder
from adept_bench.probing.gradients import gradient_sums, weighted
from adept_bench.probing.rates import lr_scales, normalize_units, unit_rates

__all__ = [
    "GRANULARITIES",
    "UnitImportance",
    "check_layers",
    "is_norm",
    "lr_scales",
    "normalize_units",
    "probe_units",
    "unit_members",
    "unit_rates",
]

GRANULARITIES = ("tensor", "module", "block")


@dataclass(frozen=True)
class UnitImportance:
    """`importance`: mean over the unit's weights of |w| times the mean over batches of |dL/dw|, in nats a weight.

    `norm`: the unit is a normalisation's weights. `elements`: how many weights it has.
    """

    name: str
    layer: int
    norm: bool
    importance: float
    elements: int


def is_norm(model: nn.Module, parameter_name: str) -> bool:
    """Whether a parameter is a normalisation's weight or bias: one-dimensional, in a module whose class is named so."""
    owner, _, own = parameter_name.rpartition(".")
    module = model.get_submodule(owner)
    return "norm" in type(module).__name__.lower() and getattr(module, own).dim() == 1


def unit_members(
    model: nn.Module, parameters: Collection[str] | None = None, granularity: str = "tensor"
) -> dict[str, list[str]]:
    """Units by name and the parameters of each, both in model order. None: every parameter of the decoder layers.

    - tensor: each parameter tensor, under its own name.
    - module: the sub-modules of a layer (`model.layers.3.self_attn`); each norm apart (`...self_attn.q_norm`).
    - block: a layer's weights (`model.layers.3`) and its norms (`model.layers.3.norms`).
    Raises InputError for an unknown granularity, or a parameter that does not exist or is in no decoder layer.
    """
    if granularity not in GRANULARITIES:
        raise unknown_name("--granularity", "granularity", granularity, GRANULARITIES)
    found = decoder(model)
    existing = [name for name, _ in model.named_parameters()]
    in_layers = [name for name in existing if found.layer_of(name) is not None]
    wanted = set(in_layers if parameters is None else parameters)
    if stray := sorted(wanted.difference(in_layers)):
        close = nearest(stray[0], in_layers)
        hint = f"; did you mean {close!r}?" if close else ""
        raise InputError(f"parameters: {stray[0]!r} is not in a decoder layer of {type(model).__name__}{hint}")
    units: dict[str, list[str]] = {}
    for name in in_layers:
        if name in wanted:
            units.setdefault(_unit_name(model, name, granularity, found), []).append(name)
    return units


def check_layers(layers: Sequence[int], depth: int) -> None:
    """Raise InputError for one of `layers` that a model of `depth` layers does not have."""
    for layer in layers:
        if not 0 <= layer < depth:
            raise InputError(f"--layers: {layer} is no layer of this model; expected 0 to {depth - 1}")


def _unit_name(model: nn.Module, name: str, granularity: str, found: Decoder) -> str:
    if granularity == "tensor":
        return name
    layer = f"{found.path}.{found.layer_of(name)}"
    norm = is_norm(model, name)
    if granularity == "block":
        return f"{layer}.norms" if norm else layer
    if norm:
        return name.rpartition(".")[0]
    return f"{layer}.{name.removeprefix(layer + '.').split('.')[0]}"


def probe_units(
    model: nn.Module,
    documents: Sequence[Sequence[int]],
    *,
    layers: Sequence[int] | None = None,
    parameters: Collection[str] | None = None,
    granularity: str = "tensor",
    batch_size: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[UnitImportance]:
    """The importance of units on `documents` (token ids, at least 2 a document), in model order.

    The mean over a unit's weights of |w| times the mean over batches of |dL/dw|, L the mean over the batch's
    documents of the document's mean next-token cross entropy; batches are taken in the documents' order. A unit of
    several tensors: the mean over all its weights. `layers` and `parameters` choose what is measured (both: the
    parameters that are in those layers); by default all of the decoder layers.
    A gradient is reduced as it appears and freed; the model's own gradients, modes and generators stay as they are.
    `on_progress(done, total)` counts batches.
    Raises InputError for an unknown granularity, layer or parameter, or an unusable corpus.
    """
    found = decoder(model)
    check_layers(layers or (), len(found.layers))
    units = unit_members(model, parameters, granularity)
    if layers is not None:
        units = {unit: names for unit, names in units.items() if found.layer_of(names[0]) in set(layers)}
    layer_of = found.by_layer([name for names in units.values() for name in names])
    if not units:
        raise InputError("probing: no unit chosen; expected at least one layer and parameter")
    sums = gradient_sums(model, documents, layer_of, weighted, batch_size=batch_size, on_progress=on_progress)
    result = []
    for unit, names in units.items():
        elements = sum(model.get_parameter(name).numel() for name in names)
        importance = math.fsum(sums[name] for name in names) / elements
        result.append(UnitImportance(unit, layer_of[names[0]], is_norm(model, names[0]), importance, elements))
    return result
