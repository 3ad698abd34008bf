"""DeepSpeed's ZeRO: how it is set up, and its tensors and optimizer state in the form that the rest takes them in.

Stage 1 shards the optimizer's state, 2 the gradients too, 3 the weights too. Gradients are reduced in hooks on the
model's parameters, so unit importance is measured on a model that DeepSpeed does not hold (`measured_on`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import group

if TYPE_CHECKING:
    import torch
    from torch import nn

BUCKET = 100_000_000  # gradients that are added up over the processes at once (ours; DeepSpeed: five times that)
_ADAM = ("base_optimizer_state", "optimizer_state_dict")  # where ZeRO's state has AdamW's: stages 1 and 2, stage 3


def zero_with(accelerator: Any, stage: int, arguments: Any, *, bf16: bool) -> None:
    """Have accelerate train with ZeRO. `arguments`: the Trainer's. bf16: autocast, with the weights' types as they are.

    Written into accelerate's state, since it passes over DeepSpeed on a CPU, and since transformers, told of stage 3,
    would load every later model in shards. Gradients are added up in float32 (no module's may be narrower).
    """
    from accelerate import PartialState
    from accelerate.utils import DeepSpeedPlugin, DistributedType

    _begin()
    config = {
        "train_micro_batch_size_per_gpu": arguments.per_device_train_batch_size,
        "gradient_accumulation_steps": arguments.gradient_accumulation_steps,
        "gradient_clipping": arguments.max_grad_norm,
        "zero_optimization": {"stage": stage, "reduce_bucket_size": BUCKET},
        "torch_autocast": {"enabled": bf16, "dtype": "bfloat16", "lower_precision_safe_modules": []},
    }
    state = accelerator.state
    state.distributed_type = PartialState().distributed_type = DistributedType.DEEPSPEED
    state._mixed_precision = "no"
    state.deepspeed_plugins = DeepSpeedPlugin(hf_ds_config=config)
    accelerator.deepspeed_engine_wrapped = None
    accelerator.gradient_accumulation_steps = arguments.gradient_accumulation_steps


def _begin() -> None:
    """Import DeepSpeed and have it join the processes. What it logs and prints goes to stderr, and only errors."""
    with contextlib.redirect_stdout(sys.stderr):
        import deepspeed

        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints that it has built its operations
            deepspeed.init_distributed()


@contextlib.contextmanager
def closing_engine(accelerator: Any) -> Iterator[None]:
    """Afterwards accelerate and DeepSpeed have let go of the model; an error of the block is the one that is raised."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            accelerator.free_memory()
        _forget()
        raise
    accelerator.free_memory()  # takes DeepSpeed's hooks off
    _forget()


def _forget() -> None:
    """Have DeepSpeed let go of models that trained under stage 3: it keeps them in a list and in a method's cache."""
    if offload := sys.modules.get("deepspeed.runtime.zero.parameter_offload"):
        offload.FWD_MODULE_STACK.clear()
    if coordinator := sys.modules.get("deepspeed.runtime.zero.partitioned_param_coordinator"):
        for method in vars(coordinator.PartitionedParameterCoordinator).values():
            for cell in getattr(method, "__closure__", None) or ():
                if hasattr(cell.cell_contents, "cache_clear"):
                    cell.cell_contents.cache_clear()


@contextlib.contextmanager
def without_advice() -> Iterator[None]:
    """Without torch's advice to DeepSpeed on names of its functions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
        yield


def is_partitioned(parameter: torch.Tensor) -> bool:
    """Whether ZeRO's stage 3 holds the parameter, of which this process has a part."""
    return hasattr(parameter, "ds_id")


def gathered_whole(parameter: torch.Tensor) -> torch.Tensor:
    """All of a parameter that stage 3 holds, in a tensor of its own; all processes must ask."""
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        return parameter.detach().clone()


@contextlib.contextmanager
def measured_on(model: nn.Module, device: torch.device, live: nn.Module) -> Iterator[nn.Module]:
    """`model`, from which `live` was copied to be trained, with the weights that `live` has now, on `device`.

    It is an ordinary model, whole in each process, so that importance is measured as under DDP. Afterwards it is
    in main memory again, where it waits.
    """
    import torch

    from adept_bench.distributed.sharding import whole

    now = dict(live.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(whole(now[name]))
    try:
        yield model.to(device)
    finally:
        model.to("cpu")


def is_zero(wrapped: Any) -> bool:
    """Whether the optimizer, as accelerate has wrapped it, is DeepSpeed's."""
    return type(wrapped).__name__ == "DeepSpeedOptimizerWrapper"


def optimizer_part(wrapped: Any) -> dict[str, Any]:
    """AdamW's state of this process's part."""
    return next(part for key, part in wrapped.optimizer.state_dict().items() if key in _ADAM)


def restore_part(wrapped: Any, part: dict[str, Any]) -> None:
    """Take over what `optimizer_part` gave the same process, of as many; the weights must be loaded already."""
    zero, here = wrapped.optimizer, group()
    state = zero.state_dict()
    state = {key: part if key in _ADAM else value for key, value in state.items()}
    zero.load_state_dict([state if rank == here.rank else None for rank in range(here.size)])
