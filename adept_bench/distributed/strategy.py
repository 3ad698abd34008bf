"""How a training is spread over processes: which share of a step each has, and who holds which weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import group
from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.config.schema import TrainingConfig

_AT_START = frozenset(os.environ)  # accelerate adds to it later
ONE, DDP, FSDP2 = "one process", "ddp", "fsdp2"


@dataclass(frozen=True)
class Share:
    """What one process does of a step: `accumulation` batches of `batch_size` sequences."""

    batch_size: int
    accumulation: int


def share_of(training: TrainingConfig, processes: int) -> Share:
    """The share of each of `processes`: together the configured batch_size * accumulation sequences a step.

    A batch stays as large as configured where it can, so that a step of more batches than processes has fewer of them
    in turn. Raises InputError where the sequences cannot be divided.
    """
    sequences = training.batch_size * training.accumulation
    if sequences % processes:
        raise InputError(
            f"training.batch_size * training.accumulation: {sequences} sequences a step cannot be divided over "
            f"{processes} processes; expected a multiple of {processes}, so that the budget stays what it is"
        )
    each = sequences // processes
    batch = max(size for size in range(1, training.batch_size + 1) if each % size == 0)
    return Share(batch, each // batch)


def strategy_of(training: TrainingConfig) -> str:
    """ "one process", "ddp" or "fsdp2": as the launcher says, else as `training.distributed` does.

    Raises InputError for DeepSpeed and FSDP1.
    """
    if group().size == 1:
        return ONE
    if _said("ACCELERATE_USE_DEEPSPEED"):
        raise InputError(
            "accelerate launch --use_deepspeed: rates by unit need gradients and weights that DeepSpeed does not hand "
            "out; expected --use_fsdp --fsdp_version 2, or no option at all (DDP)"
        )
    if _said("ACCELERATE_USE_FSDP"):
        version = os.environ.get("FSDP_VERSION", "2")
        if version != "2":
            raise InputError(f"accelerate launch --fsdp_version: {version}; expected 2")
        return FSDP2
    return training.distributed


def launcher() -> str:
    """What started the processes, as far as the environment says."""
    return "accelerate launch" if any(name.startswith("ACCELERATE_") for name in _AT_START) else "torchrun"


def _said(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("1", "true", "yes")


def trainer_arguments(training: TrainingConfig) -> dict[str, Any]:
    """What `TrainingArguments` is told of the processes."""
    share = share_of(training, group().size)
    told: dict[str, Any] = {
        "per_device_train_batch_size": share.batch_size,
        "gradient_accumulation_steps": share.accumulation,
    }
    strategy = strategy_of(training)
    if strategy == DDP:
        told["ddp_find_unused_parameters"] = False  # every parameter that trains is used in every step
    elif strategy == FSDP2:
        told |= {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True}}
        # gradients are sharded after every batch: waiting for the step's last one would keep them whole on each GPU
        told["accelerator_config"] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    return told


def spread(training: TrainingConfig) -> dict[str, Any]:
    """What a result and a checkpoint say of the processes; nothing where there is one."""
    here = group()
    return {} if here.size == 1 else {"processes": here.size, "distributed": strategy_of(training)}
