"""Tasks and held-out losses of one model, and the `eval` command's work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from adept_bench.progress import reporter
from adept_bench.suite.inputs import Inputs, data_identity

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.config.schema import RunConfig


def evaluation_key(inputs: Inputs, groups: dict[str, list[str]]) -> dict[str, Any]:
    """What an evaluation depends on beside the model."""
    tasks = inputs.config.tasks
    key: dict[str, Any] = {
        "groups": groups,
        "num_fewshot": tasks.num_fewshot,
        "limit": tasks.limit,
        "heldout": {name: inputs.corpora[f"{name}_heldout"].hash for name in ("general", "domain")},
        "max_length": inputs.config.probe.max_length,
    }
    if any(name.startswith("lab_") for names in groups.values() for name in names):
        from adept_bench.lab.bases import world_hash

        key["world"] = world_hash()
    return key


def evaluate_all(model: nn.Module, inputs: Inputs, groups: dict[str, list[str]], title: str) -> dict[str, Any]:
    """Tasks and held-out losses: tasks, groups, groups_chance_corrected, losses (nats a token) and seconds."""
    from adept_bench.evaluation.harness import evaluate
    from adept_bench.evaluation.losses import held_out_losses

    started = time.perf_counter()
    config = inputs.config
    held_out = {name: inputs.corpora[f"{name}_heldout"] for name in ("general", "domain")}
    losses = held_out_losses(
        model, inputs.tokenizer, held_out, max_length=config.probe.max_length, batch_size=config.probe.batch_size
    )
    found: dict[str, Any] = {"tasks": {}, "groups": {}, "groups_chance_corrected": {}}
    if any(groups.values()):
        reporter().log(f"{title}: evaluating {', '.join(name for names in groups.values() for name in names)}")
        found = evaluate(
            model,
            inputs.tokenizer,
            groups,
            batch_size=config.tasks.batch_size,
            num_fewshot=config.tasks.num_fewshot,
            limit=config.tasks.limit,
        )
    return {**found, "losses": losses, "seconds": time.perf_counter() - started}


def evaluate_model(config: RunConfig, *, seed: int = 0) -> dict[str, Any]:
    """What `adept-bench eval` reports: tasks, groups and held-out losses of `config.model`, and where they come from.

    `seed` says which of the lab's base models `lab:base` is.
    """
    from adept_bench.suite.machine import now, provenance

    started = now()
    inputs = Inputs(config, seed)
    found = evaluate_all(inputs.load_base(), inputs, config.tasks.groups, "eval")
    return {
        "model": {"source": config.model.source, "hash": inputs.model_hash},
        "suite": config.suite,
        "preset": config.preset,
        "data": data_identity(config.data),
        **found,
        "provenance": provenance(started),
    }
