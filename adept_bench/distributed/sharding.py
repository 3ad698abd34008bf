"""A model in shards over the processes: a copy that is sharded while it trains, and whole tensors of it.

FSDP2 is here; what DeepSpeed's ZeRO does otherwise is in `zero`.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.strategy import FSDP2, own_choice
from adept_bench.distributed.zero import gathered_whole, is_partitioned, without_advice

if TYPE_CHECKING:
    import torch
    from torch import nn


def is_sharded(tensor: Any) -> bool:
    """Whether the tensor is a DTensor, of which this process holds a part."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a sharded tensor; any other tensor itself."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def whole(parameter: torch.Tensor) -> torch.Tensor:
    """The values of a parameter that may be sharded, gathered from all processes (all must ask), without gradient."""
    if is_partitioned(parameter):
        return gathered_whole(parameter)
    values = parameter.detach()
    return values.full_tensor() if is_sharded(values) else values  # type: ignore[attr-defined]


def like(tensor: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """`part`, this process's part of something of the shape of `tensor`, sharded as `tensor` is."""
    if not is_sharded(tensor):
        return part
    from torch.distributed.tensor import DTensor

    mesh: Any = tensor.device_mesh  # type: ignore[attr-defined]
    places: Any = tensor.placements  # type: ignore[attr-defined]
    return DTensor.from_local(
        part.to(tensor.device), mesh, places, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )


def put(parameter: torch.Tensor, value: torch.Tensor) -> None:
    """Write `value` (whole, the same in every process) into a parameter, sharded or not. Without gradients only."""
    if is_sharded(parameter):
        from torch.distributed.tensor import distribute_tensor

        mesh: Any = parameter.device_mesh  # type: ignore[attr-defined]
        places: Any = parameter.placements  # type: ignore[attr-defined]
        value = distribute_tensor(value.to(parameter.device, parameter.dtype), mesh, places)
    parameter.copy_(value)


@contextmanager
def sharded_copy(model: nn.Module, names: Collection[str], strategy: str) -> Iterator[nn.Module]:
    """A copy of `model` to be sharded and trained; the block left without an error, `names` of it are taken over.

    Meanwhile `model` waits in main memory, and is left there: the shards must be gone before it has room on the GPU. A
    model cannot be made whole in place: FSDP2 changes the classes of its modules, DeepSpeed hooks its parameters, and
    neither has a way back.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    model.to("cpu")
    if not on_cpu:
        import torch

        torch.cuda.empty_cache()  # NCCL takes its memory from outside of torch's
    with own_choice(), without_advice():
        # ZeRO on a CPU would leave frozen weights in that memory, which could then not be held against the original's
        trained = copy.deepcopy(model) if on_cpu and strategy != FSDP2 else _sharing_memory(model)
        yield trained
        if strategy == FSDP2 and not all(map(is_sharded, trained.parameters())):
            raise RuntimeError("the model was not sharded, though training.distributed says fsdp2")
        if _in_one_place(model, trained):  # frozen weights would be held against themselves
            raise RuntimeError("the copy that was trained still has weights in the model's memory")
        take_over(model, trained, names)


def _in_one_place(model: nn.Module, trained: nn.Module) -> bool:
    """Whether a parameter of both lies at one address; empty ones, as ZeRO's stage 3 leaves them, do not."""
    places = {local(parameter).data_ptr() for parameter in trained.parameters() if local(parameter).numel()}
    return any(parameter.data_ptr() in places for parameter in model.parameters())


def _sharing_memory(model: nn.Module) -> nn.Module:
    """A copy whose weights are in the model's memory, until they are sharded or moved to a GPU: both make new ones."""
    from torch.nn import Parameter

    same = {id(each): Parameter(each.detach(), each.requires_grad) for each in model.parameters()}
    return copy.deepcopy(model, same)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8)


def take_over(model: nn.Module, trained: nn.Module, names: Collection[str]) -> None:
    """Copy the parameters `names` of `trained`, a sharded copy of `model`, back into it, and hold the others against
    it. One tensor is whole at a time.

    Raises RuntimeError where a parameter that is not in `names` differs in a bit: training changed what was frozen.
    """
    import torch

    wanted, live, changed = set(names), dict(model.named_parameters()), []
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            value = whole(parameter).to(live[name].device)
            if name in wanted:
                live[name].copy_(value)
            elif not torch.equal(_bits(value), _bits(live[name].detach())):
                changed.append(name)
    if changed:
        raise RuntimeError(f"training changed frozen parameters: {changed[:3]}")


def optimizer_part(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's state with this process's parts in place of sharded tensors; the rest is alike in all."""
    state = optimizer.state_dict()
    kept = {
        index: {key: local(value) if hasattr(value, "shape") else value for key, value in of_one.items()}
        for index, of_one in state["state"].items()
    }
    return {**state, "state": kept}


def restore_part(optimizer: torch.optim.Optimizer, part: dict[str, Any]) -> None:
    """Take over what `optimizer_part` gave the same process of the same parameters, sharded over as many processes."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        index: {
            key: like(parameters[index], value) if getattr(value, "ndim", 0) else value for key, value in of_one.items()
        }
        for index, of_one in part["state"].items()
    }
    optimizer.load_state_dict({**part, "state": state})


def shard_with(accelerator: Any) -> None:
    """Settle how accelerate shards: gradients are added up in float32, and the CPU is no exception.

    accelerate passes over FSDP where there is no GPU; with gloo it works there as it does with NCCL, which is for
    tests and for trying things out. Its own choice under bf16 is to add up gradients in bf16.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
    from torch.distributed.fsdp import MixedPrecisionPolicy

    state = accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:
        # accelerate copies it from there whenever it makes a state; a Trainer's arguments then begin with a new one
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="TRANSFORMER_BASED_WRAP",
            reshard_after_forward=True,
            cpu_ram_efficient_loading=False,
        )
    if accelerator.mixed_precision == "bf16":
        state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
