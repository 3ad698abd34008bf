"""Checkpoints of a running training: what is complete, what belongs to this run, and which are kept."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.distributed import sharding, zero
from adept_bench.distributed.group import gathered, group
from adept_bench.distributed.sharding import put, whole
from adept_bench.files import DamagedFileError, log_aside, write_sealed
from adept_bench.recorded import recorded
from adept_bench.training.wholeness import STATE, WEIGHTS, checked

if TYPE_CHECKING:
    import torch
    from torch import nn


def step_of(folder: Path) -> int:
    """The step in a folder name `checkpoint-<step>`, -1 for any other name."""
    tail = folder.name.removeprefix("checkpoint-")
    return int(tail) if tail.isdigit() and tail != folder.name else -1


def newest(output: Path) -> list[Path]:
    """The checkpoints in `output` that were written to their end, the newest first; none is looked into."""
    folders = [folder for folder in output.glob("checkpoint-*") if step_of(folder) >= 0 and (folder / STATE).exists()]
    return sorted(folders, key=step_of, reverse=True)


def latest_whole(output: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint in `output` and the state stored with it; every file is held against its hash.

    Newer ones that are damaged are set aside, and the log says in what.
    """
    for folder in newest(output):
        try:
            return folder, checked(folder)
        except DamagedFileError as why:
            log_aside(folder, f"{folder}: damaged: {why}", "training goes on from the whole one before it, or anew")
    return None


def make_room(output: Path) -> None:
    """Before a checkpoint is written: whole ones go but the newest, so that there are never more than two on the disk.

    What is not complete stays: other processes may be ahead, and have their parts of the new one written already.
    """
    if group().main:
        for folder in newest(output)[1:]:
            shutil.rmtree(folder, ignore_errors=True)


def complete(folder: Path, state: dict[str, Any]) -> None:
    """Mark the checkpoint as complete: write `state`, and what its files are known by.

    The one before stays: at least one whole checkpoint exists at any time, and a second should this one be damaged.
    Of processes that train together all must call this, each with its own part written; the main process marks.
    """
    gathered(None)
    if group().main:
        write_sealed(folder / STATE, {**state, "files": recorded(folder, STATE)})


def save_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Write this process's part of the state of an optimizer that is sharded, by FSDP2 or by ZeRO."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    torch.save(_sharder(optimizer).optimizer_part(optimizer), folder / f"optimizer-{group().rank}.pt")


def load_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Read what `save_optimizer` wrote in the process of this rank."""
    import torch

    part = torch.load(folder / f"optimizer-{group().rank}.pt", map_location="cpu", weights_only=True)
    _sharder(optimizer).restore_part(optimizer, part)


def _sharder(optimizer: torch.optim.Optimizer) -> Any:
    return zero if zero.is_zero(optimizer) else sharding


def clear(output: Path, keep: Collection[Path] = ()) -> None:
    """Remove checkpoints from `output`, cut-off ones included; what was set aside stays."""
    for folder in output.glob("checkpoint-*"):
        if step_of(folder) >= 0 and folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def save_trainable(model: nn.Module, folder: Path) -> None:
    """Write the parameters that train; frozen ones are those of the base and are not written again.

    Of processes that train together all must call this; sharded tensors are gathered, and the main process writes.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors, writes = {}, group().main
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            value = whole(parameter)
            if writes:
                tensors[name] = value.cpu().contiguous()
    if writes:
        save_file(tensors, folder / WEIGHTS)


def load_trainable(model: nn.Module, folder: Path) -> None:
    """Read what `save_trainable` wrote into the same model. Raises ValueError when the names differ."""
    import torch
    from safetensors.torch import load_file

    stored = load_file(folder / WEIGHTS)
    live = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    _same_names(stored, live, folder)
    with torch.no_grad():
        for name, parameter in live.items():
            put(parameter, stored[name])


def _same_names(stored: Collection[str], live: Collection[str], folder: Path) -> None:
    if set(stored) != set(live):
        odd = sorted(set(stored) ^ set(live))
        raise ValueError(f"{folder}: the checkpoint's parameters are not those that train now: {odd[:3]}")
