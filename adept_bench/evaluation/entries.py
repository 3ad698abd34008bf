"""What a result says of a task, made of what lm-eval's evaluator returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adept_bench.analysis.clusters import error_of_mean
from adept_bench.config.names import EXPECTED, NAME, named
from adept_bench.errors import InputError
from adept_bench.evaluation.answers import RULE
from adept_bench.evaluation.clusters import Named, clusters_of
from adept_bench.evaluation.tasks import EXAMS
from adept_bench.files import content_hash
from adept_bench.results.schema import Clusters

PREFERRED = ("acc", "exact_match")  # of a task's several metrics, the one compared item by item


def entry_of(
    name: str,
    group: str,
    leaves: dict[str, Any],
    outcome: dict[str, Any],
    seen: Mapping[str, set[tuple[str, int]]],
    cluster: Named,
) -> dict[str, Any]:
    metric, chosen = _primary(name, next(iter(leaves)), outcome)
    # several processes' samples come process by process
    samples = {
        leaf: sorted((s for s in outcome["samples"][leaf] if s["filter"] == chosen), key=lambda s: s["doc_id"])
        for leaf in leaves
    }
    items = [_plain(sample[metric]) for leaf in leaves for sample in samples[leaf]]
    chance = sum(_chance(task, s["doc"]) for leaf, task in leaves.items() for s in samples[leaf]) / len(items)
    scores = outcome["results"].get(name, {})
    value = float(scores.get(f"{metric},{chosen}", sum(items) / len(items)))
    stderr = scores.get(f"{metric}_stderr,{chosen}")
    version = outcome["versions"].get(name)
    asked = [[s["doc_hash"], s["prompt_hash"], s["target_hash"]] for leaf in leaves for s in samples[leaf]]
    versions = [outcome["versions"].get(leaf) for leaf in leaves]
    items_seen = {what: sum(task in leaves for task, _ in found) for what, found in seen.items()}
    entry = {
        "group": group,
        "metric": metric,
        "filter": chosen,
        "value": value,
        "stderr": float(stderr) if isinstance(stderr, int | float) else None,
        "n": len(items),
        "items": items,
        "items_hash": content_hash({"versions": versions, "documents": asked}),
        "chance": chance,
        "value_chance_corrected": corrected(value, chance),
        "version": str(version),
        "num_fewshot": outcome["n-shot"].get(name, 0),
        "truncated": items_seen["truncated"],
    }
    by_leaf = {leaf: [s["doc"] for s in samples[leaf]] for leaf in leaves}
    documents = [document for leaf in leaves for document in by_leaf[leaf]]
    if found := clusters_of(name, leaves, by_leaf, cluster):
        entry |= {"clusters": found, "stderr": error_of_mean(items, Clusters(**found).numbers())}
    further = _other_metrics(scores, f"{metric},{chosen}") | _told_apart(items_seen)
    return with_details(entry, _exam_details(name, documents) | further)


def with_details(entry: dict[str, Any], further: dict[str, Any]) -> dict[str, Any]:
    """The entry with `further` among its details; as it is where there is nothing further to say."""
    return entry | {"details": entry.get("details", {}) | further} if further else entry


def _exam_details(name: str, documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rule of an examination, and how many items have several right answers; nothing for other tasks."""
    if name not in EXAMS:
        return {}
    return {"rule": RULE, "several_answers": sum(len(document["answer"]) > 1 for document in documents)}


def _other_metrics(scores: dict[str, Any], primary: str) -> dict[str, Any]:
    """The task's further metrics as "metric,filter": value, such as acc_norm or gsm8k's other filter."""
    others = {
        key: float(value)
        for key, value in scores.items()
        if "," in key and "_stderr," not in key and key != primary and isinstance(value, int | float)
    }
    return {"metrics": others} if others else {}


def _told_apart(items_seen: Mapping[str, int]) -> dict[str, int]:
    """Items whose answer's tokens are not plainly the ones behind the context's (docs/benchmarks.md), where any are."""
    found = {"joined": items_seen["joined"], "empty_answers": items_seen["empty"]}
    return {what: count for what, count in found.items() if count}


def _primary(name: str, leaf: str, outcome: dict[str, Any]) -> tuple[str, str]:
    """(metric, filter) to compare by: accuracy, else exact match, else the first with a number an item."""
    sample = outcome["samples"][leaf][0]
    keys = [key.split(",", 1) for key in outcome["results"][leaf] if "," in key and "_stderr," not in key]
    numeric = [(metric, filter_) for metric, filter_ in keys if isinstance(_plain(sample.get(metric)), int | float)]
    if not numeric:
        raise InputError(f"tasks: {name!r} has no metric with a number an item, so it cannot be compared item by item")
    chosen = min(numeric, key=lambda key: PREFERRED.index(key[0]) if key[0] in PREFERRED else len(PREFERRED))
    for what, value in zip(("metric", "filter"), chosen):
        if not named(NAME, value):
            raise InputError(f"tasks: {name!r} has the {what} {value!r}; expected {EXPECTED[NAME]}")
    return chosen


def _plain(value: Any) -> Any:
    """A metric's value as a plain number: 0 or 1 as int, other numbers as float, anything else as it is."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(number) if number in (0.0, 1.0) else number


def _chance(task: Any, document: dict[str, Any]) -> float:
    """The accuracy of guessing an item: one over its choices; none for an answer the model must write.

    An examination's answer is written too, but is one of few (`answers.chance`).
    """
    if task.task_name in EXAMS:
        return float(document["chance"])
    if task.OUTPUT_TYPE != "multiple_choice":
        return 0.0
    return 1 / len(task.doc_to_choice(document))


def corrected(value: float, chance: float) -> float:
    """Accuracy above chance, scaled so that guessing is 0 and perfect is 1: (value - chance) / (1 - chance)."""
    return (value - chance) / (1 - chance)


def group_means(tasks: dict[str, Any]) -> dict[str, dict[str, float]]:
    means: dict[str, dict[str, float]] = {"groups": {}, "groups_chance_corrected": {}}
    for group in dict.fromkeys(task["group"] for task in tasks.values()):
        members = [task for task in tasks.values() if task["group"] == group]
        means["groups"][group] = sum(task["value"] for task in members) / len(members)
        means["groups_chance_corrected"][group] = sum(task["value_chance_corrected"] for task in members) / len(members)
    return means
