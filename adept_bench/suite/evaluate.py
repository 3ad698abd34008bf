"""Tasks and held-out losses of one model, and the `eval` command's work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from adept_bench.suite.inputs import Inputs
from adept_bench.suite.texts import data_identity

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.config.schema import RunConfig


def evaluation_key(inputs: Inputs, groups: dict[str, list[str]]) -> dict[str, Any]:
    """What an evaluation depends on beside the model."""
    from adept_bench.evaluation.tasks import definitions_hash
    from adept_bench.lab.bases import items_hash
    from adept_bench.lab.items import TASKS as LAB_TASKS
    from adept_bench.suite.machine import library_versions

    tasks = inputs.config.tasks
    names = sorted({name for group in groups.values() for name in group})
    versions = library_versions()
    return {
        "groups": groups,
        "items": {name: items_hash(name) for name in names if name in LAB_TASKS},
        "definitions": definitions_hash(),
        "num_fewshot": tasks.num_fewshot,
        "limit": tasks.limit,
        "heldout": {name: inputs.corpora[f"{name}_heldout"].hash for name in ("general", "domain")},
        "max_length": inputs.config.probe.max_length,
        "versions": {name: versions[name] for name in ("torch", "transformers", "lm_eval")},
    }


def evaluate_all(
    model: nn.Module, inputs: Inputs, groups: dict[str, list[str]], title: str, held: str = "heldout"
) -> dict[str, Any]:
    """Tasks and held-out losses: tasks, groups, groups_chance_corrected, losses (nats a token) and seconds.

    `held`: which documents the losses are of, "heldout" for what is reported, "validation" for choosing a rate.
    """
    from adept_bench.evaluation.harness import evaluate
    from adept_bench.evaluation.losses import held_out_losses

    started = time.perf_counter()
    config = inputs.config
    held_out = {name: inputs.corpora[f"{name}_{held}"] for name in ("general", "domain")}
    losses = held_out_losses(
        model, inputs.tokenizer, held_out, max_length=config.probe.max_length, batch_size=config.probe.batch_size
    )
    found: dict[str, Any] = {"tasks": {}, "groups": {}, "groups_chance_corrected": {}}
    if any(groups.values()):
        found = evaluate(
            model,
            inputs.tokenizer,
            groups,
            batch_size=config.tasks.batch_size,
            num_fewshot=config.tasks.num_fewshot,
            limit=config.tasks.limit,
            title=title,
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
