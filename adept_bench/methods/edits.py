"""Structure edits: keep the model, copy layers, or add low-rank adapters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.methods.base import Context, EditResult
from adept_bench.methods.choosing import Layers
from adept_bench.quiet import hush

if TYPE_CHECKING:
    from torch import nn


# families whose mixers hand `out_proj.weight` to a kernel (peft's own list, peft.tuners.tuners_utils)
_KERNELS = frozenset({"falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"})


PEFT = (0, 19)  # the oldest version that is tried (pyproject.toml)


@dataclass(frozen=True)
class KeepStructure:
    """No edit."""

    def apply(self, model: nn.Module, context: Context) -> EditResult:
        return EditResult(model, description={"edit": "none"})


@dataclass(frozen=True)
class CopyAfter:
    """Function-preserving copies: after each chosen layer a copy whose residual-writing weights are zero.

    Paper section 3.1 (and LLaMA-Pro): at step 0 the expanded model computes exactly what the base computes.
    """

    layers: Layers

    def apply(self, model: nn.Module, context: Context) -> EditResult:
        from adept_bench.models.expansion import expand
        from adept_bench.probing.decoder import decoder

        chosen = self.layers.choose(context)
        expansion = expand(model, chosen)
        path, origin = decoder(model).path, expansion.origin

        def name_of_source(name: str) -> str:
            if not name.startswith(f"{path}."):
                return name
            index, _, rest = name[len(path) + 1 :].partition(".")
            return f"{path}.{origin[int(index)]}.{rest}"

        description = {
            "edit": "copies",
            "chosen_by": "list" if self.layers.listed is not None else self.layers.how,
            "layers": list(expansion.sources),
            "copies": list(expansion.copies),
        }
        return EditResult(model, expansion, list(expansion.sources), description, name_of_source)


@dataclass(frozen=True)
class LowRank:
    """LoRA on every linear map of the decoder layers, the fused ones of experts too, through peft, injected in place.

    What has two dimensions or more and no adapter (routers, convolutions) is listed in the result as `left_out`.
    `rank` None: the rank whose trainable parameters come nearest to those of `match` copied layers. `alpha` None:
    twice the rank, so that the update is scaled by 2 whatever the rank. B starts at zero: step 0 changes nothing.
    """

    rank: int | None
    alpha: float | None
    dropout: float
    match: int

    def check(self, model: nn.Module) -> tuple[dict[str, nn.Module], dict[str, tuple[int, int, int]]]:
        """The linear maps and fused ones of `model`, which may be without memory. Raises InputError where it cannot be
        adapted so."""
        _check_peft()
        targets, fused = linear_maps(model), fused_maps(model)
        if not targets and not fused:
            raise InputError("lora: the model's decoder layers hold no linear maps to adapt")
        if fused and self.dropout:
            raise InputError(f"options.lora_dropout: {self.dropout}; expected 0, as fused experts cannot drop inputs")
        if self.rank is not None and self.rank < 1:
            raise InputError(f"options.lora_rank: {self.rank}; expected a whole number from 1")
        return targets, fused

    def apply(self, model: nn.Module, context: Context) -> EditResult:
        import torch

        hush()
        from peft import LoraConfig, inject_adapter_in_model

        from adept_bench.probing.decoder import decoder

        targets, fused = self.check(model)
        rank = self.rank if self.rank is not None else matched_rank(model, self.match)
        alpha = self.alpha if self.alpha is not None else 2 * rank
        scale: Any = alpha  # peft takes any number, whatever its annotation says
        config = LoraConfig(r=rank, lora_alpha=scale, lora_dropout=self.dropout)
        found = decoder(model)
        start = len(found.path) + 1
        config.target_modules = [name[start:] for name in targets]
        config.target_parameters = [name[start:] for name in fused] or None
        devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
        description = {
            "edit": "low-rank adapters",
            "rank": rank,
            "alpha": alpha,
            "dropout": self.dropout,
            "rank_chosen_by": "option" if self.rank is not None else f"parameters of {self.match} copied layers",
        }
        if fused:
            description |= {"fused": _in_every_layer(model, fused)}
        if left_out := {*_matrices(model)} - {*fused} - {f"{name}.weight" for name in targets}:
            description |= {"left_out": _in_every_layer(model, left_out)}
        with torch.random.fork_rng(devices):
            torch.manual_seed(context.seed)
            # into the layers, which have no configuration: by a model's own, peft takes the targets for those of an
            # older transformers and moves them (of DeepSeek-V3, from the maps of dense layers to the experts)
            inject_adapter_in_model(config, found.layers)
        return EditResult(model, description=description, name_of_source=_adapted_by(model))


def _check_peft() -> None:
    """Raise InputError where peft is not installed or too old to adapt fused experts."""
    from importlib.metadata import PackageNotFoundError, version

    wanted = f"lora: needs the package peft {PEFT[0]}.{PEFT[1]} or newer; expected `pip install -U peft`"
    try:
        found = version("peft")
    except PackageNotFoundError:
        raise InputError(f"{wanted}; it is not installed") from None
    numbers = [int(part) for part in re.findall(r"\d+", found)[:2]]
    if tuple(numbers) < PEFT:
        raise InputError(f"{wanted}; {found} is installed")


def linear_maps(model: nn.Module) -> dict[str, nn.Module]:
    """The linear maps (nn.Linear, GPT-2's Conv1D) inside the decoder layers, by full name.

    Without those that a state-space model's kernels take the weights of, past any adapter; peft refuses them, too.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    from adept_bench.probing.decoder import decoder

    prefix = f"{decoder(model).path}."
    past = (".out_proj",) if getattr(model.config, "model_type", None) in _KERNELS else ()
    return {
        name: module
        for name, module in model.named_modules()
        if name.startswith(prefix) and isinstance(module, nn.Linear | Conv1D) and not name.endswith(past)
    }


def fused_maps(model: nn.Module) -> dict[str, tuple[int, int, int]]:
    """The linear maps of experts that are stacked in one parameter: its full name -> shape [experts, rows, columns].

    That is a parameter of three dimensions in a decoder layer that belongs to no convolution.
    """
    found = {name: tuple(p.shape) for name, p in _matrices(model, convolutions=False).items()}
    return {name: (shape[0], shape[1], shape[2]) for name, shape in found.items() if len(shape) == 3}


def _matrices(model: nn.Module, convolutions: bool = True) -> dict[str, nn.Parameter]:
    """The decoder layers' parameters of two dimensions or more, by full name."""
    from torch.nn.modules.conv import _ConvNd

    from adept_bench.probing.decoder import decoder

    path = decoder(model).path
    return {
        f"{owner}.{name}": parameter
        for owner, module in model.get_submodule(path).named_modules(prefix=path)
        if convolutions or not isinstance(module, _ConvNd)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1
    }


def _in_every_layer(model: nn.Module, names: Iterable[str]) -> list[str]:
    """The names without their layers' path and numbers, each once."""
    from adept_bench.probing.decoder import decoder

    start = len(decoder(model).path) + 1
    return sorted({name[start:].partition(".")[2] for name in names})


def matched_rank(model: nn.Module, copies: int) -> int:
    """The rank at which adapters on all linear maps hold about as many parameters as `copies` layers (at least 1)."""
    from adept_bench.probing.decoder import decoder

    layers = decoder(model).layers
    a_layer = sum(p.numel() for p in layers.parameters()) / len(layers)
    per_rank = sum(sum(module.get_parameter("weight").shape) for module in linear_maps(model).values())
    per_rank += sum(experts * (rows + columns) for experts, rows, columns in fused_maps(model).values())
    return max(1, round(copies * a_layer / per_rank))


def fold_adapters(model: nn.Module) -> nn.Module:
    """Merge injected adapters into the weights they adapt, in place, leaving a plain model. Returns the model.

    A model without adapters is returned as it is. Folding rounds once, in the weights' own precision.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
    for module in adapted.values():
        module.merge()
    for name, module in adapted.items():
        parent, _, child = name.rpartition(".")
        if parent not in adapted:  # a module with several fused maps is wrapped once for each
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    return model


def _adapted_by(model: nn.Module) -> Callable[[str], str]:
    """A parameter of the model with adapters -> the base's parameter that it is or adapts."""
    fused = {n: m.parameter_name for n, m in model.named_modules() if isinstance(getattr(m, "parameter_name", 0), str)}

    def name_of_source(name: str) -> str:
        owner, adapter, _ = re.split(r"\.lora_([AB])\.", name, maxsplit=1) if ".lora_" in name else (name, "", "")
        plain = re.sub(r"(\.base_layer)+(?=\.|$)", "", owner)
        return f"{plain}.{fused.get(owner, 'weight')}" if adapter else plain

    return name_of_source
