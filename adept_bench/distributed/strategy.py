"""How a training is spread over processes: which share of a step each has, and who holds which weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import group
from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.config.schema import TrainingConfig

_AT_START = frozenset(os.environ)  # accelerate adds to it later
ONE, DDP, FSDP2 = "one process", "ddp", "fsdp2"
ZERO = {"zero1": 1, "zero2": 2, "zero3": 3}  # DeepSpeed's stages
USE_FSDP, USE_DEEPSPEED = "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"
_DS_FIELDS = "ACCELERATE_CONFIG_DS_FIELDS"  # what a file of `accelerate config` says of DeepSpeed


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
    """ "one process", "ddp", "fsdp2" or "zero1" to "zero3": as the launcher says, else as `training.distributed` does.

    Raises InputError for FSDP1, for what of DeepSpeed is not ZeRO on the GPU, and where DeepSpeed is not installed.
    """
    if group().size == 1:
        return ONE
    if _said(USE_DEEPSPEED):
        strategy = _zero_of_the_launcher()
    elif _said(USE_FSDP):
        version = os.environ.get("FSDP_VERSION", "2")
        if version != "2":
            raise InputError(f"accelerate launch --fsdp_version: {version}; expected 2")
        if _said("FSDP_OFFLOAD_PARAMS"):
            raise InputError(
                "accelerate launch --fsdp_offload_params: true; expected false: nothing is moved off the GPU"
            )
        strategy = FSDP2
    else:
        strategy = training.distributed
    if strategy in ZERO and find_spec("deepspeed") is None:
        asked = "accelerate launch --use_deepspeed" if _said(USE_DEEPSPEED) else "training.distributed"
        raise InputError(
            f"{asked}: {strategy} needs the package deepspeed, which is not installed; "
            "expected `pip install deepspeed`, or fsdp2"
        )
    return strategy


def _zero_of_the_launcher() -> str:
    """The stage that `accelerate launch --use_deepspeed` asks for. Raises InputError for what else it may ask for."""
    for option in ("config_file", "offload_optimizer_device", "offload_param_device"):
        value = os.environ.get(f"ACCELERATE_DEEPSPEED_{option.upper()}", "none")
        if value != "none":
            name = "deepspeed_config_file" if option == "config_file" else option
            raise InputError(
                f"accelerate launch --{name}: {value}; expected --zero_stage alone: the presets settle the rest, "
                "and nothing is moved off the GPU"
            )
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    if f"zero{stage}" not in ZERO:
        raise InputError(f"accelerate launch --zero_stage: {stage}; expected 1, 2 or 3")
    return f"zero{stage}"


@contextmanager
def own_choice() -> Iterator[None]:
    """Within it accelerate is told of DeepSpeed by us alone; afterwards the environment is as the launcher left it."""
    said = {name: os.environ.get(name) for name in (USE_FSDP, USE_DEEPSPEED, _DS_FIELDS)}
    for name in (USE_DEEPSPEED, _DS_FIELDS):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in said.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def launcher() -> str:
    """What started the processes, as far as the environment says."""
    return "accelerate launch" if any(name.startswith("ACCELERATE_") for name in _AT_START) else "torchrun"


def _said(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("1", "true", "yes")


def trainer_arguments(training: TrainingConfig, strategy: str) -> dict[str, Any]:
    """What `TrainingArguments` is told of the processes."""
    share = share_of(training, group().size)
    told: dict[str, Any] = {
        "per_device_train_batch_size": share.batch_size,
        "gradient_accumulation_steps": share.accumulation,
    }
    if strategy == DDP:
        # every parameter that trains is used; but told so, DDP puts its buckets together anew after the first step, and
        # a resumed run's gradients are then added up in another order than those of an unbroken one
        told["ddp_find_unused_parameters"] = True
    elif strategy == FSDP2:
        told |= {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True}}
        # gradients are sharded after every batch: waiting for the step's last one would keep them whole on each GPU
        told["accelerator_config"] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    return told


def spread(training: TrainingConfig) -> dict[str, Any]:
    """What a result and a checkpoint say of the processes; nothing where there is one."""
    here = group()
    return {} if here.size == 1 else {"processes": here.size, "distributed": strategy_of(training)}
