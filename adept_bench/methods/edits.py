"""Structure edits: keep the model, copy layers, or add low-rank adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.methods.base import Context, EditResult
from adept_bench.methods.choosing import Layers
from adept_bench.quiet import hush

if TYPE_CHECKING:
    from torch import nn


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
    """LoRA on every linear map of the decoder layers, through peft, injected in place.

    `rank` None: the rank whose trainable parameters come nearest to those of `match` copied layers. `alpha` None:
    twice the rank, so that the update is scaled by 2 whatever the rank. B starts at zero: step 0 changes nothing.
    """

    rank: int | None
    alpha: float | None
    dropout: float
    match: int

    def apply(self, model: nn.Module, context: Context) -> EditResult:
        import torch

        hush()
        from peft import LoraConfig, inject_adapter_in_model

        targets = linear_maps(model)
        if not targets:
            raise InputError("lora: the model's decoder layers hold no linear maps to adapt")
        rank = self.rank if self.rank is not None else matched_rank(model, self.match)
        if rank < 1:
            raise InputError(f"options.lora_rank: {rank}; expected a whole number from 1")
        alpha = self.alpha if self.alpha is not None else 2 * rank
        scale: Any = alpha  # peft takes any number, whatever its annotation says
        config = LoraConfig(r=rank, lora_alpha=scale, lora_dropout=self.dropout, target_modules=list(targets))
        devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
        with torch.random.fork_rng(devices):
            torch.manual_seed(context.seed)
            inject_adapter_in_model(config, model)
        description = {
            "edit": "low-rank adapters",
            "rank": rank,
            "alpha": alpha,
            "dropout": self.dropout,
            "rank_chosen_by": "option" if self.rank is not None else f"parameters of {self.match} copied layers",
        }
        return EditResult(model, description=description, name_of_source=_adapted_weight)


def linear_maps(model: nn.Module) -> dict[str, nn.Module]:
    """The linear maps (nn.Linear, GPT-2's Conv1D) inside the decoder layers, by full name."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    from adept_bench.probing.decoder import decoder

    prefix = f"{decoder(model).path}."
    return {
        name: module
        for name, module in model.named_modules()
        if name.startswith(prefix) and isinstance(module, nn.Linear | Conv1D)
    }


def matched_rank(model: nn.Module, copies: int) -> int:
    """The rank at which adapters on all linear maps hold about as many parameters as `copies` layers (at least 1)."""
    from adept_bench.probing.decoder import decoder

    layers = decoder(model).layers
    a_layer = sum(p.numel() for p in layers.parameters()) / len(layers)
    per_rank = sum(sum(module.get_parameter("weight").shape) for module in linear_maps(model).values())
    return max(1, round(copies * a_layer / per_rank))


def fold_adapters(model: nn.Module) -> nn.Module:
    """Merge injected adapters into the weights they adapt, in place, leaving a plain model. Returns the model.

    A model without adapters is returned as it is. Folding rounds once, in the weights' own precision.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in adapted:
        module.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.get_base_layer())
    return model


def _adapted_weight(name: str) -> str:
    for part in (".lora_A.", ".lora_B."):
        if part in name:
            return f"{name.split(part)[0]}.weight"
    return name.replace(".base_layer.", ".")
