"""Whether a family can be expanded, before anything is measured: from the model's shape, and a small one of its kind.

The small model has the configuration's width, a layer of each kind and random weights. It shows what shapes cannot:
whether the layers' writers are found, and whether what a layer computes depends on its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from adept_bench.errors import InputError
from adept_bench.models.anatomy import decoder_layers
from adept_bench.models.depth import Rebuilt, deeper_fields
from adept_bench.models.expansion import expand, plan_expansion, refuse_shared
from adept_bench.models.onelayer import few_words, with_fields
from adept_bench.quiet import quiet_transformers

COPIES = 4  # how often the small model's weights are in memory: itself, its copies, and what a pass needs


def check_expandable(shape: Any, layers: Sequence[int] | None, trust_remote_code: bool = False) -> None:
    """Raise InputError where no expansion of the model could succeed: after `layers`, or after any where None.

    `shape`: the model, with or without memory. What cannot be told here (a family whose small model cannot be built, or
    has no room) passes; `expand` refuses it when it comes to that.
    """
    path, found = decoder_layers(shape)
    depth = len(found)
    _check_depth(shape, path, [layers] if layers is not None else [[layer] for layer in range(depth)], depth)
    small = _small(shape, path, found, trust_remote_code)
    if small is not None:
        # the last layer's copy moves no other layer: only there a number in a layer's function does no harm
        alone = layers is not None and list(layers) == [depth - 1]
        expand(small, [len(small.get_submodule(path)) - 1 if alone else 0])


def _check_depth(shape: Any, path: str, choices: Iterable[Sequence[int]], depth: int) -> None:
    """Raise the first choice's InputError where the shape of none of them can be had."""
    refused: InputError | None = None
    for layers in choices:
        plan = plan_expansion(depth, layers)
        try:
            refuse_shared(shape, path, plan.sources)
            Rebuilt(shape, path, plan.origin, deeper_fields(shape.config, plan.origin))
            return
        except InputError as error:
            refused = refused or error
    if refused is not None:
        raise refused


def _small(shape: Any, path: str, layers: nn.ModuleList, trust_remote_code: bool) -> Any:
    """A model of a layer of each kind (two, if all are alike), in float32; None where there is none like it."""
    import psutil
    from transformers import AutoModelForCausalLM

    kinds: dict[Any, int] = {}
    for index, layer in enumerate(layers):
        kinds.setdefault(_kind(layer), index)
    origin = sorted(kinds.values()) if len(kinds) > 1 else [0, 0]
    size = 4 * sum(parameter.numel() for index in origin for parameter in layers[index].parameters())
    if COPIES * size > psutil.virtual_memory().available:
        return None
    try:
        config = few_words(with_fields(shape.config, deeper_fields(shape.config, origin)))
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            small: Any = AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, trust_remote_code=trust_remote_code
            )
            with torch.no_grad():  # what starts at zero or one shows nothing
                for parameter in small.parameters():
                    parameter.add_(0.02 * torch.randn_like(parameter))
        there, made = decoder_layers(small.eval())
    except Exception:  # a family's own code raises anything
        return None
    alike = there == path and [_kind(one) for one in made] == [_kind(layers[index]) for index in origin]
    return small if alike else None


def _kind(layer: nn.Module) -> Any:
    return type(layer).__name__, tuple((name, tuple(one.shape)) for name, one in layer.named_parameters())
