"""Units (parameter tensors, modules or blocks of a decoder layer) by kind and in few words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from adept_bench.results.schema import Cell

KINDS = ("attention", "MLP", "norms", "other units")

SHORT = {
    "input_layernorm": "input norm",
    "post_attention_layernorm": "post-attn. norm",
    "pre_feedforward_layernorm": "pre-MLP norm",
    "post_feedforward_layernorm": "post-MLP norm",
    "self_attn": "attention",
    "ln_1": "norm 1",
    "ln_2": "norm 2",
}


def kind_of(name: str) -> str:
    """One of KINDS, from a unit's full name: "model.layers.3.self_attn.q_norm.weight" is of the norms."""
    lower = _inside(name).lower()
    if re.search(r"norm|\bln_?\d", lower):
        return "norms"
    if "attn" in lower or "attention" in lower:
        return "attention"
    if re.search(r"mlp|feed_?forward|ffn|\bfc\d|expert", lower):
        return "MLP"
    return "other units"


def short_unit(name: str) -> str:
    """The last part of a unit's name that says something: "q_proj", "input norm", "q_proj bias"."""
    parts = _inside(name).split(".")
    ending = parts.pop() if len(parts) > 1 and parts[-1] in ("weight", "bias") else "weight"
    known = SHORT.get(parts[-1], parts[-1])
    return f"{known} bias" if ending == "bias" else known


def units_in_order(cell: Cell) -> list[int]:
    """Places of the cell's units by layer (none last), then kind, then as the model has them."""
    units = cell.training.units

    def place(unit: int) -> tuple[int, int, int, int]:
        layer = units.layer[unit]
        return (layer is None, layer or 0, KINDS.index(kind_of(units.name[unit])), unit)

    return sorted(range(len(units.name)), key=place)


def layers_in_words(cell: Cell, layers: Sequence[int | None]) -> str:
    """ "copies of 8, 10" or "layers 8, 10", by their numbers in the base; beyond four, how many there are."""
    # a copy stands directly after its source, so every copy before it has moved it by one
    copies = {source + 1 + place: source for place, source in enumerate(sorted(cell.model.expanded_layers))}
    known = [layer for layer in layers if layer is not None]
    copied = bool(known) and all(layer in copies for layer in known)
    if len(known) > 4:
        return f"{len(known)} {'copies' if copied else 'layers'}"
    if copied:
        word, numbers = ("copies of" if len(known) > 1 else "copy of"), [copies[layer] for layer in known]
    else:
        word, numbers = ("layers" if len(known) > 1 else "layer"), [at - sum(c < at for c in copies) for at in known]
    return f"{word} {', '.join(map(str, numbers))}"


def _inside(name: str) -> str:
    """What follows the layer's number: "self_attn.q_proj.weight"."""
    found = re.search(r"\.\d+\.(.+)$", name)
    return found[1] if found else name
