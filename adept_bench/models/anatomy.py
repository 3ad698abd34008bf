"""The decoder layers of a causal language model and, in each, the parameters that write to the residual stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from adept_bench.errors import InputError
from adept_bench.models.writers import residual_writers

PROBE_TOKENS = 8


@dataclass(frozen=True)
class Anatomy:
    """Where the decoder layers are and what writes to the residual stream in each.

    path: the dotted name of the list of layers, such as "model.layers".
    layers: that list.
    writers: per layer, the names (relative to the layer) of the parameters, biases included, that
        function-preserving initialisation (arXiv 2510.10071, stage 1) silences.
    silent: per layer, each writer's silencing value: 0, or -1 for a norm's gain stored as an offset from one.
    """

    path: str
    layers: nn.ModuleList
    writers: tuple[tuple[str, ...], ...]
    silent: tuple[dict[str, float], ...]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; each module's own mode comes back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def text_config(config: Any) -> Any:
    """The part of a configuration that describes the decoder (itself, for a text-only model)."""
    return config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config


def decoder_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """(dotted name, list) of the decoder layers: the outermost module list as long as the configuration says.

    Needs no forward pass. Raises InputError where there is none, or several.
    """
    config: Any = getattr(model, "config", None)
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{name}: an encoder-decoder model; expected a decoder-only language model")
    depth = getattr(text_config(config), "num_hidden_layers", None) if config is not None else None
    if not isinstance(depth, int) or depth < 1:
        raise InputError(f"{name}: its configuration does not say how many decoder layers it has (num_hidden_layers)")
    lists = {n: m for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == depth}
    lists = {n: m for n, m in lists.items() if not any(n.startswith(f"{other}.") for other in lists)}
    get_decoder: Any = getattr(model, "get_decoder", None)
    if len(lists) > 1 and get_decoder is not None:
        inside = set(map(id, get_decoder().modules()))
        lists = {n: m for n, m in lists.items() if id(m) in inside} or lists
    if len(lists) != 1:
        found = ", ".join(lists) or "none"
        raise InputError(f"{name}: expected one list of {depth} decoder layers; found {found}")
    return next(iter(lists.items()))


def anatomy(model: nn.Module) -> Anatomy:
    """Find the layers and their residual writers from structure and behaviour; no table of family names.

    Runs one short forward pass and two or three passes through each layer; the model, its mode, its gradients and the
    generators stay as they are. Raises InputError saying which layer cannot be read and why.
    """
    path, layers = decoder_layers(model)
    calls = layer_calls(model, layers)
    silent = []
    with evaluating(model):
        for index, layer in enumerate(layers):
            if index not in calls:
                raise InputError(f"{type(model).__name__}: {path}.{index} is not called in a forward pass")
            try:
                silent.append(residual_writers(layer, *calls[index]))
            except InputError as error:
                kind = type(layer).__name__
                raise InputError(
                    f"{type(model).__name__}: cannot find what {path}.{index} ({kind}) writes: {error}"
                ) from None
    return Anatomy(path, layers, tuple(tuple(values) for values in silent), tuple(silent))


def probe_tokens(model: nn.Module, batch: int = 1, length: int = PROBE_TOKENS) -> torch.Tensor:
    """Token ids [batch, length] that any vocabulary holds, all different where it is large enough; nothing random."""
    vocabulary = int(text_config(model.config).vocab_size)
    device = next(model.parameters()).device
    return (torch.arange(batch * length, device=device) * max(1, vocabulary // (batch * length + 1)) % vocabulary).view(
        batch, length
    )


Call = tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]


def layer_calls(model: nn.Module, layers: nn.ModuleList) -> dict[int, Call]:
    """What the model calls each layer with on a few tokens: hidden states, other arguments, keywords."""
    calls: dict[int, Call] = {}

    def keep(index: int) -> Any:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            kwargs = dict(kwargs)
            hidden = args[0] if args else kwargs.pop("hidden_states")
            calls[index] = (hidden.clone(), args[1:], kwargs)

        return hook

    handles = [layer.register_forward_pre_hook(keep(i), with_kwargs=True) for i, layer in enumerate(layers)]
    try:
        with torch.no_grad(), evaluating(model):
            model(input_ids=probe_tokens(model), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return calls
