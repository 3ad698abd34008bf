"""Score a model on groups of tasks through lm-eval-harness, with per-item correctness."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adept_bench.corpora.copies import shown
from adept_bench.distributed.group import from_main, gathered
from adept_bench.errors import InputError
from adept_bench.evaluation.backends import check_backend, describe, opened
from adept_bench.evaluation.clusters import Named, check
from adept_bench.evaluation.entries import entry_of, group_means, with_details
from adept_bench.evaluation.tasks import EXAMS, Items, check_names, load
from adept_bench.progress import reporter

FEWSHOT_SEED = 1234  # lm-eval's own default: the examples in a prompt are those of its published numbers

OnProgress = Callable[[str, int, int], None]


class InTurn:
    """A task's few-shot sampler in one of several processes: each document is shown the examples that it is shown in
    one process. lm-eval's own draws one document's after the other's, and each process asks for its documents only."""

    def __init__(self, sampler: Any, rank: int, world_size: int) -> None:
        self.sampler, self.skip, self.world_size = sampler, rank, world_size

    def sample(self, **asked: Any) -> Any:
        """The examples of this process's next document (as `ContextSampler.sample`), those of the others skipped."""
        for _ in range(self.skip):
            self.sampler.sample(**asked)
        self.skip = self.world_size - 1
        return self.sampler.sample(**asked)


def evaluate(
    model: torch.nn.Module,
    tokenizer: Any,
    groups: Mapping[str, Sequence[str]],
    *,
    batch_size: int,
    num_fewshot: int | None = None,
    limit: int | None = None,
    limits: Mapping[str, int] | None = None,
    max_length: int | None = None,
    on_progress: OnProgress | None = None,
    items: Items | None = None,
    title: str = "evaluate",
    fewshot: Mapping[str, int] | None = None,
    data: Mapping[str, str] | None = None,
    backend: str = "hf",
    vllm: Mapping[str, Any] | None = None,
    cluster: Named | None = None,
) -> dict[str, Any]:
    """Evaluate the tasks of each group: ours (`evaluation.tasks.names`) and any name of lm-eval's.

    Returns {"tasks": {name: {"group", "metric", "filter", "value" (0..1), "stderr" (None for one item), "n", "items"
    (per item correctness in document order), "items_hash" (equal only for the same documents, prompts and task
    version), "chance", "value_chance_corrected", "version", "num_fewshot", "truncated" (items whose prompt was cut
    from the left), and "details" where there is more to say: the rule for several right answers, a local copy's
    place, a backend other than hf, items of which a token spans the join of context and answer ("joined"), and items
    with an answer of no token ("empty_answers")}}, "groups": {group: unweighted mean}, "groups_chance_corrected":
    {...}}. A group of lm-eval's (mmlu) is one task, its items those of its subtasks in turn.

    `num_fewshot` goes to every task that doesn't itself fix it at 0, `fewshot` to the task it names, over all else;
    `limit` cuts each (sub)task to its first items, `limits` those it names; `data` names local copies of tasks' data
    (`tasks.load`); `backend` and `vllm` as in `backends.opened`; `cluster` says what the items of a task share, over
    what its file says (`clusters`). `on_progress(task, done, total)` counts items, `title` opens the line of progress.
    Nothing of the model, tokenizer or the generators is left changed.

    Raises InputError, before anything is scored, for an unknown task, one named twice, a number out of range, more
    examples than a task has, data that cannot be read, clusters by what items do not have and a backend that is not
    installed.
    """
    fewshot, data, limits, cluster = fewshot or {}, data or {}, limits or {}, cluster or {}
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
    check_backend(backend)
    tasks: dict[str, Any] = {}
    if group_of:
        from adept_bench.evaluation.undisturbed import quiet, restored

        opening = opened(backend, model, tokenizer, batch_size=batch_size, max_length=max_length, arguments=vllm or {})
        with (
            tempfile.TemporaryDirectory(prefix="adept-bench-tasks-") as folder,
            quiet(),
            restored(model, tokenizer),
            opening as scorer,
        ):
            found: dict[str, dict[str, Any]] = {}
            for name in group_of:
                place = Path(folder) / str(len(found))
                place.mkdir()
                found[name] = load(name, place, items, data.get(name))
                for task in found[name]["tasks"].values():
                    _set_fewshot(task, num_fewshot, fewshot.get(name))
                    if name in fewshot or name in data or name in EXAMS:
                        _check_examples(name, task)
                check(name, found[name]["tasks"], cluster)
            for name, group in group_of.items():
                limited = limits.get(name, limit)
                entries = _evaluate_one(name, group, found[name], scorer, limited, on_progress, title, cluster)
                further = describe(backend) | ({"data": shown(data[name])} if name in data else {})
                tasks |= {leaf: with_details(entry, further) for leaf, entry in entries.items()}
    return {"tasks": tasks, **group_means(tasks)}


def _evaluate_one(
    name: str,
    group: str,
    loaded: dict[str, Any],
    scorer: Any,
    limit: int | None,
    on_progress: OnProgress | None,
    title: str = "evaluate",
    cluster: Named | None = None,
) -> dict[str, Any]:
    """The entries of one requested name: one, but for a tag of lm-eval's, which names tasks with no common score."""
    from lm_eval.evaluator import evaluate as lm_evaluate

    total = 0
    for task in loaded["tasks"].values():
        if scorer.world_size > 1 and hasattr(task, "sampler"):
            task.sampler = InTurn(task.sampler, scorer.rank, scorer.world_size)
        total += -(-min(len(task.eval_docs), limit or len(task.eval_docs)) // scorer.world_size)
    scorer.forget()
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
    leaves, everywhere = loaded["tasks"], gathered(scorer.seen)
    seen = {what: set().union(*(here[what] for here in everywhere)) for what in scorer.seen}

    cluster = cluster or {}
    # a tag's tasks are results of their own
    own = dict.fromkeys(leaves, cluster[name]) if name in cluster else {}

    def entries() -> dict[str, Any]:
        if name in loaded.get("groups", {}):
            return {name: entry_of(name, group, leaves, outcome, seen, cluster)}
        return {leaf: entry_of(leaf, group, {leaf: task}, outcome, seen, own) for leaf, task in leaves.items()}

    return from_main(entries)  # the others have no outcome


def _set_fewshot(task: Any, num_fewshot: int | None, named: int | None = None) -> None:
    """As lm-eval's command line does: an explicit 0 in a task stays, and a task that says nothing is zero-shot.

    A number `named` for the task stands over both.
    """
    own = task.get_config("num_fewshot")
    if named is not None:
        task.set_config(key="num_fewshot", value=named)
    elif num_fewshot is not None and own != 0:
        task.set_config(key="num_fewshot", value=num_fewshot)
    elif own is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)


def _check_examples(name: str, task: Any) -> None:
    """Raise InputError where a task has too few examples of its own: lm-eval would show it its test items instead."""
    shots = task.get_config("num_fewshot")
    own = task.fewshot_cfg.split or task.fewshot_cfg.samples or task.has_training_docs() or task.has_validation_docs()
    there = len(task.fewshot_docs()) if own else 0
    if there < shots:
        raise InputError(
            f"tasks.fewshot.{name}: {shots} examples are asked of {task.task_name}, whose data have {there} to show; "
            "expected fewer, or data with more"
        )
