"""What training costs: floating-point operations by formula, and the peak of memory."""

from __future__ import annotations

import re
from collections.abc import Collection
from types import TracebackType
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.probing.decoder import Decoder


# how families call the number of experts that a token is sent to
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_k", "moe_topk", "top_k")


def train_flops(model: nn.Module, *, tokens: int, length: int, trainable: Collection[str] | None = None) -> int:
    """Floating-point operations of training a decoder on `tokens` tokens in sequences of `length`.

    For each linear map of N weights (the head included, the embedding look-up not), a token costs 2N forward, 2N for
    the gradient of its input where anything at or below its layer trains, and 2N for the gradient of its own weight
    where that trains. Of experts stacked in one parameter, N are the weights of those that a token is sent to: as many
    as the configuration says, all where it does not say. Attention costs a token 4 * length * heads * head_dim forward
    (scores and weighted values, no discount for the causal mask), and twice that backward in layers at or above the
    lowest that trains.
    That is what a dense attention computes: documents that `training.packing` keeps apart are no discount either.
    Element-wise work, norms, the optimizer's update, probes and the second forward pass of gradient checkpointing are
    not counted. `trainable` defaults to the parameters that require gradients. Works on the meta device.
    """
    from adept_bench.probing.decoder import decoder

    parameters = dict(model.named_parameters())
    if trainable is None:
        trainable = {name for name, parameter in parameters.items() if parameter.requires_grad}
    trained = {id(parameters[name]) for name in trainable}
    found = decoder(model)
    top = len(found.layers)
    lowest = lowest_trained(trainable, found)
    per_token = 0
    for name, parameter, size in _maps(model):
        layer = found.layer_of(name)
        depth = top if layer is None else layer
        passes = 1 + (depth >= lowest) + (id(parameter) in trained)
        per_token += 2 * size * passes
    for layer in range(top):
        per_token += 4 * length * _attention_width(model) * (3 if layer >= lowest else 1)
    return per_token * tokens


def forward_flops(model: nn.Module, *, tokens: int, length: int) -> int:
    """Floating-point operations of a forward pass, counted as in `train_flops`."""
    return train_flops(model, tokens=tokens, length=length, trainable=())


def recomputed_flops(model: nn.Module, *, tokens: int, length: int, trainable: Collection[str]) -> int:
    """Operations of the second forward pass of gradient checkpointing, which only layers that gradients reach take.

    Without each layer's last linear map: torch stops where everything that the backward pass needs is there again.
    Experts' last map is needed, as what they give is weighted.
    """
    from adept_bench.probing.decoder import decoder

    found = decoder(model)
    lowest = lowest_trained(trainable, found)
    maps: dict[int, list[int]] = {}
    for name, parameter, size in _maps(model):
        layer = found.layer_of(name)
        if layer is not None and layer >= lowest:
            maps.setdefault(layer, []).append(size)
            if parameter.ndim == 3:
                maps[layer].append(0)
    per_token = sum(2 * sum(sizes[:-1]) for sizes in maps.values())
    return (per_token + len(maps) * 4 * length * _attention_width(model)) * tokens


def lowest_trained(trainable: Collection[str], found: Decoder) -> int:
    """The lowest layer gradients reach: 0 if an embedding trains, the depth if only the head, depth + 1 if none."""
    top = len(found.layers)
    lowest = top + 1
    for name in trainable:
        layer = found.layer_of(name)
        if layer is None:
            layer = 0 if "emb" in name or "wte" in name or "wpe" in name else top
        lowest = min(lowest, layer)
    return lowest


def _maps(model: nn.Module) -> list[tuple[str, nn.Parameter, int]]:
    """(Name, parameter, weights that a token meets) of each linear map, in the order of the model's modules.

    Those are `nn.Linear`, GPT-2's Conv1D, experts stacked in one parameter, and the routers beside them."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    from adept_bench.methods.edits import fused_maps

    fused = fused_maps(model)
    experts = {_unwrapped(name.rpartition(".")[0]): shape[0] for name, shape in fused.items()}
    beside = {owner.rpartition(".")[0]: count for owner, count in experts.items()}
    found = []
    for owner, module in model.named_modules():
        of = experts.get(_unwrapped(owner.partition(".lora_")[0]))
        router = beside.get(owner.rpartition(".")[0]) if of is None else None
        linear = isinstance(module, nn.Linear | Conv1D)
        for own, parameter in module.named_parameters(recurse=False):
            name = f"{owner}.{own}"
            if name in fused or (linear and own == "weight"):
                found.append((name, parameter, parameter.numel() if of is None else _met(model, parameter.numel(), of)))
            elif own == "weight" and parameter.ndim == 2 and parameter.shape[0] == router:
                found.append((name, parameter, parameter.numel()))
    return found


def _unwrapped(name: str) -> str:
    """A module's name without the wrappers that peft puts around it."""
    return re.sub(r"(\.base_layer)+$", "", name)


def _met(model: nn.Module, size: int, experts: int) -> int:
    """Of `size` weights of so many experts, alike in size, those that a token is sent to."""
    config = model.config.get_text_config()  # type: ignore[union-attr,operator]
    said = (getattr(config, name, None) for name in _ACTIVE)
    active = next((value for value in said if isinstance(value, int) and value > 0), experts)
    return size // experts * min(active, experts)


def _attention_width(model: nn.Module) -> int:
    """Heads times head dimension of the queries, or of queries and values on average where these differ."""
    config = model.config.get_text_config()  # type: ignore[union-attr,operator]
    heads = config.num_attention_heads
    if (apart := getattr(config, "qk_nope_head_dim", None)) is not None:  # latent attention (DeepSeek-V2)
        return heads * (apart + config.qk_rope_head_dim + config.v_head_dim) // 2
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)


class PeakMemory:
    """Peak memory within a `with` block, in bytes: what CUDA allocated, or the process's resident set on the CPU.

    On Linux the kernel's own high-water mark is reset and read. Where that is not allowed `bytes` is the larger of the
    resident set before and after the block.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device, self.bytes, self.by_kernel = device, 0, False

    def __enter__(self) -> PeakMemory:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self.bytes = psutil.Process().memory_info().rss
            try:
                with open("/proc/self/clear_refs", "w") as handle:
                    handle.write("5")
                self.by_kernel = True
            except OSError:
                self.by_kernel = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.device.startswith("cuda"):
            import torch

            self.bytes = torch.cuda.max_memory_allocated(self.device)
        elif self.by_kernel:
            self.bytes = max(_high_water_mark(), psutil.Process().memory_info().rss)
        else:
            self.bytes = max(self.bytes, psutil.Process().memory_info().rss)


def _high_water_mark() -> int:
    with open("/proc/self/status") as handle:
        for line in handle:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
