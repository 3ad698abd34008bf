"""Tasks and held-out losses of one model, and the `eval` command's work."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.corpora.identity import known_file_hash
from adept_bench.distributed.group import from_main
from adept_bench.files import content_hash
from adept_bench.shortage import EVALUATION, advised
from adept_bench.suite.inputs import Inputs
from adept_bench.suite.texts import data_identity, task_data

if TYPE_CHECKING:
    from torch import nn

    from adept_bench.config.schema import RunConfig
    from adept_bench.corpora.reading import Corpus


def check_tasks(config: RunConfig) -> None:
    """Raise InputError, before any work, for what is wrong with `config.tasks`: names, options, local data, backend."""
    from adept_bench.evaluation.tasks import check_names, check_options

    tasks = config.tasks
    for what, groups in (("groups", tasks.groups), ("validation", tasks.validation)):
        check_names([name for names in groups.values() for name in names], f"tasks.{what}")
    data = tasks.data | task_data(config, tasks.asked)
    check_options(tasks.asked, tasks.fewshot, data, tasks.backend, tasks.cluster, config._clustered)


def evaluation_key(inputs: Inputs, groups: dict[str, list[str]], held: str = "heldout") -> dict[str, Any]:
    """What an evaluation depends on beside the model."""
    from adept_bench.evaluation.tasks import definitions_hash
    from adept_bench.lab.bases import items_hash
    from adept_bench.lab.items import TASKS as LAB_TASKS
    from adept_bench.suite.machine import library_versions

    tasks = inputs.config.tasks
    names = sorted({name for group in groups.values() for name in group})
    versions = library_versions()
    measured = inputs.measured if held == "heldout" else {}
    return _options_key(inputs.config, names) | {
        "groups": groups,
        "items": {name: items_hash(name) for name in names if name in LAB_TASKS},
        "definitions": definitions_hash(),
        "num_fewshot": tasks.num_fewshot,
        "limit": tasks.limit,
        "documents": {name: inputs.corpora[f"{name}_{held}"].hash for name in ("general", "domain")}
        | {name: corpus.hash for name, corpus in measured.items()},
        "max_length": inputs.config.probe.max_length,
        "versions": {name: versions[name] for name in ("torch", "transformers", "lm_eval")},
    }


def _options_key(config: RunConfig, names: list[str]) -> dict[str, Any]:
    """The part of an evaluation's key that only some configurations have: options that are set, and examinations."""
    from adept_bench.evaluation.backends import describe
    from adept_bench.evaluation.exams import HUB
    from adept_bench.evaluation.medquad import TASKS as MADE
    from adept_bench.evaluation.tasks import definitions_hash, own_items

    tasks = config.tasks
    made = {name: content_hash(own_items(name)) for name in names if name in MADE}
    reading = config.data.special_tokens
    exams = {name: place for name, place in HUB.items() if name in names}
    found: dict[str, Any] = {
        "fewshot": {name: shots for name, shots in tasks.fewshot.items() if name in names},
        "limits": {name: most for name, most in tasks.limits.items() if name in names},
        "data": data_hashes(config, names),
        "cluster": {name: field for name, field in tasks.cluster.items() if name in names},
        "backend": describe(tasks.backend) | tasks.vllm if tasks.backend != "hf" else {},
        "sets": {"definitions": definitions_hash("sets"), "items": made} if made else None,
        "special_tokens": reading if reading != "token" else None,
        "exams": {"definitions": definitions_hash("exams"), "hub": exams} if exams else None,
    }
    return {key: value for key, value in found.items() if value}


def data_hashes(config: RunConfig, names: Iterable[str]) -> dict[str, str]:
    """A hash of each local copy of the data of a task in `names`: of its files, by name and content."""
    found = {}
    for name, source in task_data(config, names).items():
        place = Path(source).expanduser()
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        found[name] = content_hash({str(path.relative_to(place)): known_file_hash(path) for path in files})
    return found


@advised("evaluation", EVALUATION)
def evaluate_all(
    model: nn.Module,
    inputs: Inputs,
    groups: dict[str, list[str]],
    title: str,
    held: str = "heldout",
    *,
    further: bool = True,
) -> dict[str, Any]:
    """Tasks and held-out losses: tasks, groups, groups_chance_corrected, losses, document_losses and seconds.

    Losses are in nats a token, of a corpus and of each of its documents. `held`: which documents they are of, "heldout"
    for what is reported, "validation" for choosing a rate. `further`: `data.measured` too, of what is reported.
    """
    from adept_bench.evaluation.harness import evaluate

    started = time.perf_counter()
    config = inputs.config
    documents = document_losses(model, inputs, held, further=further)
    losses = {name: math.fsum(values) / len(values) for name, values in documents.items()}
    found: dict[str, Any] = {"tasks": {}, "groups": {}, "groups_chance_corrected": {}}
    if any(groups.values()):

        def ask() -> dict[str, Any]:
            return evaluate(
                model,
                inputs.tokenizer,
                groups,
                batch_size=config.tasks.batch_size,
                num_fewshot=config.tasks.num_fewshot,
                limit=config.tasks.limit,
                limits=config.tasks.limits,
                title=title,
                fewshot=config.tasks.fewshot,
                data=task_data(config, config.tasks.tested),
                backend=config.tasks.backend,
                vllm=config.tasks.vllm,
                cluster=config.tasks.cluster,
            )

        # vLLM has processes of its own
        found = ask() if config.tasks.backend == "hf" else from_main(ask)
    seconds = time.perf_counter() - started
    return {**found, "losses": losses, "document_losses": documents, "seconds": seconds}


def document_losses(
    model: nn.Module, inputs: Inputs, held: str = "heldout", *, further: bool = True
) -> dict[str, list[float]]:
    """The loss of each held-out document by corpus, nats a token; `further` as in `evaluate_all`."""
    from adept_bench.evaluation.losses import answer_losses, held_out_losses

    probe, several = inputs.config.probe, inputs.config.data.general_heldout
    parts = [f"general/{name}" for name in several] if isinstance(several, dict) else ["general"]
    held_out = {name: inputs.corpora[f"{name}_{held}"] for name in (*parts, "domain")}
    asked: dict[str, Corpus] = {}
    if further and held == "heldout":
        forms = {name: what.form for name, what in inputs.config.data.measured.items()}
        held_out |= {name: corpus for name, corpus in inputs.measured.items() if forms[name] == "text"}
        asked = {name: corpus for name, corpus in inputs.measured.items() if forms[name] == "chat"}
    sizes = {"max_length": probe.max_length, "batch_size": probe.batch_size}
    _ = inputs.special_tokens  # the log says so before anything is measured
    found = held_out_losses(model, inputs.reader, held_out, **sizes)
    found |= answer_losses(model, inputs.tokenizer, asked, **sizes)
    if isinstance(several, dict):
        found = {"general": [value for name in parts for value in found[name]], **found}
    return found


def on_the_way(model: nn.Module, inputs: Inputs, title: str) -> dict[str, Any]:
    """A point of the path over training time: held-out losses and validation accuracy of the model as it is."""
    found = evaluate_all(model, inputs, inputs.config.tasks.validation, title, further=False)
    return {"losses": found["losses"], "groups": found["groups"]}


def evaluate_model(config: RunConfig, *, seed: int = 0) -> dict[str, Any]:
    """What `adept-bench eval` reports: tasks, groups and held-out losses of `config.model`, and where they come from.

    `seed` says which of the lab's base models `lab:base` is.
    """
    from adept_bench.suite.machine import now, provenance

    started = now()
    check_tasks(config)
    inputs = Inputs(config, seed)
    found = evaluate_all(inputs.load_base(), inputs, config.tasks.groups, "eval")
    return {
        "model": {"source": config.model.source, "hash": inputs.model_hash, **inputs.model_details},
        "suite": config.suite,
        "preset": config.preset,
        "data": data_identity(config.data),
        **found,
        "provenance": provenance(started),
    }
