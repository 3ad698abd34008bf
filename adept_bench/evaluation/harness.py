"""Score a model on groups of tasks through lm-eval-harness, with per-item correctness."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adept_bench.errors import InputError
from adept_bench.evaluation.tasks import Items, builtin_manager, check_names, names, render
from adept_bench.files import content_hash
from adept_bench.progress import reporter

FEWSHOT_SEED = 1234  # lm-eval's own default: the examples in a prompt are those of its published numbers
PREFERRED = ("acc", "exact_match")  # of a task's several metrics, the one compared item by item

OnProgress = Callable[[str, int, int], None]


def evaluate(
    model: torch.nn.Module,
    tokenizer: Any,
    groups: Mapping[str, Sequence[str]],
    *,
    batch_size: int,
    num_fewshot: int | None = None,
    limit: int | None = None,
    max_length: int | None = None,
    on_progress: OnProgress | None = None,
    items: Items | None = None,
    title: str = "evaluate",
) -> dict[str, Any]:
    """Evaluate the tasks of each group: ours (`evaluation.tasks.names`) and any name of lm-eval's.

    Returns {"tasks": {name: {"group", "metric", "filter", "value" (0..1), "stderr" (None for one item), "n", "items"
    (per item correctness in document order), "items_hash" (equal only for the same documents, prompts and task
    version), "chance", "value_chance_corrected", "version", "num_fewshot", "truncated" (items whose prompt was cut
    from the left)}}, "groups": {group: unweighted mean}, "groups_chance_corrected": {...}}. A group of lm-eval's (mmlu)
    is one task, its items those of its subtasks in turn. `num_fewshot` goes to every task that doesn't itself fix
    it at 0, `limit` cuts each (sub)task to its first items, `on_progress(task, done, total)` counts items, `title`
    opens the line of progress. Nothing of the model, tokenizer or the generators is left changed.

    Raises InputError for an unknown task, one named twice, and a number out of range.
    """
    group_of: dict[str, str] = {}
    for group, wanted in groups.items():
        for name in dict.fromkeys(wanted):
            if name in group_of:
                raise InputError(f"tasks.{group}: task {name!r} is in group {group_of[name]!r} already")
            group_of[name] = group
    for option, value in (("batch_size", batch_size), ("limit", limit), ("max_length", max_length)):
        if value is not None and value < 1:
            raise InputError(f"tasks.{option}: {value} is not a positive number")
    if num_fewshot is not None and num_fewshot < 0:
        raise InputError(f"tasks.num_fewshot: {num_fewshot} is below 0")
    check_names(group_of)
    tasks: dict[str, Any] = {}
    if group_of:
        from adept_bench.evaluation.scorer import Scorer
        from adept_bench.evaluation.undisturbed import quiet, restored

        with tempfile.TemporaryDirectory(prefix="adept-bench-tasks-") as folder, quiet(), restored(model, tokenizer):
            ours = [name for name in group_of if name in names()]
            manager = render(ours, Path(folder), items)
            scorer = Scorer(model, tokenizer, batch_size=batch_size, max_length=max_length, on_items=lambda done: None)
            for name, group in group_of.items():
                loaded = (manager if name in ours else builtin_manager()).load([name])
                tasks |= _evaluate_one(name, group, loaded, scorer, num_fewshot, limit, on_progress, title)
    return {"tasks": tasks, **_group_means(tasks)}


def _evaluate_one(
    name: str,
    group: str,
    loaded: dict[str, Any],
    scorer: Any,
    num_fewshot: int | None,
    limit: int | None,
    on_progress: OnProgress | None,
    title: str = "evaluate",
) -> dict[str, Any]:
    """The entries of one requested name: one, but for a tag of lm-eval's, which names tasks with no common score."""
    from lm_eval.evaluator import evaluate as lm_evaluate

    total = 0
    for task in loaded["tasks"].values():
        _set_fewshot(task, num_fewshot)
        total += min(len(task.eval_docs), limit or len(task.eval_docs))
    scorer.truncated.clear()
    done = 0
    with reporter().task(f"{title} {name}", total=total, unit="items") as progress:

        def on_items(finished: int) -> None:
            nonlocal done
            done += finished
            progress.update(finished)
            if on_progress is not None:
                on_progress(name, done, total)

        scorer.on_items = on_items
        # The evaluator itself: simple_evaluate would also describe the machine, which takes longer than a small model.
        # A mean's standard error is in closed form; the iterations are for other metrics only.
        outcome = lm_evaluate(lm=scorer, task_dict=loaded, limit=limit, bootstrap_iters=1000, log_samples=True)
    leaves = loaded["tasks"]
    if name in loaded.get("groups", {}):
        return {name: _entry(name, group, leaves, outcome, scorer.truncated)}
    return {leaf: _entry(leaf, group, {leaf: task}, outcome, scorer.truncated) for leaf, task in leaves.items()}


def _set_fewshot(task: Any, num_fewshot: int | None) -> None:
    """As lm-eval's command line does: an explicit 0 in a task stays, and a task that says nothing is zero-shot."""
    own = task.get_config("num_fewshot")
    if num_fewshot is not None and own != 0:
        task.set_config(key="num_fewshot", value=num_fewshot)
    elif own is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)


def _entry(
    name: str, group: str, leaves: dict[str, Any], outcome: dict[str, Any], truncated: set[tuple[str, int]]
) -> dict[str, Any]:
    metric, chosen = _primary(name, next(iter(leaves)), outcome)
    samples = {leaf: [s for s in outcome["samples"][leaf] if s["filter"] == chosen] for leaf in leaves}
    items = [_plain(sample[metric]) for leaf in leaves for sample in samples[leaf]]
    chance = sum(_chance(task, s["doc"]) for leaf, task in leaves.items() for s in samples[leaf]) / len(items)
    scores = outcome["results"].get(name, {})
    value = float(scores.get(f"{metric},{chosen}", sum(items) / len(items)))
    stderr = scores.get(f"{metric}_stderr,{chosen}")
    version = outcome["versions"].get(name)
    seen = [[s["doc_hash"], s["prompt_hash"], s["target_hash"]] for leaf in leaves for s in samples[leaf]]
    versions = [outcome["versions"].get(leaf) for leaf in leaves]
    return {
        "group": group,
        "metric": metric,
        "filter": chosen,
        "value": value,
        "stderr": float(stderr) if isinstance(stderr, int | float) else None,
        "n": len(items),
        "items": items,
        "items_hash": content_hash({"versions": versions, "documents": seen}),
        "chance": chance,
        "value_chance_corrected": corrected(value, chance),
        "version": str(version),
        "num_fewshot": outcome["n-shot"].get(name, 0),
        "truncated": sum(task in leaves for task, _ in truncated),
    }


def _primary(name: str, leaf: str, outcome: dict[str, Any]) -> tuple[str, str]:
    """(metric, filter) to compare by: accuracy, else exact match, else the first with a number an item."""
    sample = outcome["samples"][leaf][0]
    keys = [key.split(",", 1) for key in outcome["results"][leaf] if "," in key and "_stderr," not in key]
    numeric = [(metric, chosen) for metric, chosen in keys if isinstance(_plain(sample.get(metric)), int | float)]
    if not numeric:
        raise InputError(f"tasks: {name!r} has no metric with a number an item, so it cannot be compared item by item")
    return min(numeric, key=lambda key: PREFERRED.index(key[0]) if key[0] in PREFERRED else len(PREFERRED))


def _plain(value: Any) -> Any:
    """A metric's value as a plain number: 0 or 1 as int, other numbers as float, anything else as it is."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(number) if number in (0.0, 1.0) else number


def _chance(task: Any, document: dict[str, Any]) -> float:
    """The accuracy of guessing an item: one over its choices; none for an answer the model must write."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return 0.0
    return 1 / len(task.doc_to_choice(document))


def corrected(value: float, chance: float) -> float:
    """Accuracy above chance, scaled so that guessing is 0 and perfect is 1: (value - chance) / (1 - chance)."""
    return (value - chance) / (1 - chance)


def _group_means(tasks: dict[str, Any]) -> dict[str, dict[str, float]]:
    means: dict[str, dict[str, float]] = {"groups": {}, "groups_chance_corrected": {}}
    for group in dict.fromkeys(task["group"] for task in tasks.values()):
        members = [task for task in tasks.values() if task["group"] == group]
        means["groups"][group] = sum(task["value"] for task in members) / len(members)
        means["groups_chance_corrected"][group] = sum(task["value_chance_corrected"] for task in members) / len(members)
    return means
