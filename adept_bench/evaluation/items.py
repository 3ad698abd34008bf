"""Items of benchmarks as text: development items to probe with, and test items that must not be trained on.

Both come from lm-eval's own task objects, so that they are the items and templates that are scored.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adept_bench.corpora.overlap import units
from adept_bench.corpora.reading import spread
from adept_bench.errors import InputError
from adept_bench.evaluation.tasks import check_names, load, names
from adept_bench.hub import reason


def development_texts(wanted: Sequence[str], manager: Any = None, data: Mapping[str, str] | None = None) -> list[str]:
    """Development items of the tasks `wanted` as text: question, what the template shows of the choices, right answer.

    As many of each task as the one with the fewest has, at even distances, task after task: so that documents at even
    distances are of all tasks alike. Development items are those that few-shot examples are taken from where a task
    names a split for them, else its validation split, else its training split; an item whose question is asked in the
    evaluated split too, be it in other letters, is left out. `manager`: an `lm_eval.tasks.TaskManager` for tasks that
    are not the package's. `data`: local copies of their data (`tasks.load`). Raises InputError for an unknown task, one
    that has no other split than the evaluated, and one without items.
    """
    with _loaded(wanted, manager, data) as loaded:
        found = {name: [text for task in leaves for text in _development(task)] for name, leaves in loaded.items()}
    for name, texts in found.items():
        if not texts:
            raise InputError(f"tasks: {name!r} has no development items that are not test items as well")
    size = min(map(len, found.values()))
    return [text for texts in found.values() for text in spread(texts, size)]


def evaluated_texts(
    wanted: Sequence[str], manager: Any = None, data: Mapping[str, str] | None = None
) -> dict[str, list[list[str]]]:
    """Task to its evaluated items, each a list of texts: the question as it is asked, the choices, the right answer.

    `data`: local copies of tasks' data (`tasks.load`). Raises InputError for an unknown task and for items that cannot
    be had.
    """
    with _loaded(wanted, manager, data) as loaded:
        return {
            name: [_parts(task, item) for task in leaves for item in task.eval_docs] for name, leaves in loaded.items()
        }


@contextmanager
def _loaded(
    wanted: Sequence[str], manager: Any, data: Mapping[str, str] | None = None
) -> Iterator[dict[str, list[Any]]]:
    """Each name's tasks: itself, or the members of a group such as mmlu."""
    from adept_bench.evaluation.undisturbed import quiet

    if manager is None:
        check_names(wanted)
    with tempfile.TemporaryDirectory(prefix="adept-bench-items-") as folder, quiet():
        found = {}
        for number, name in enumerate(wanted):
            place = Path(folder) / str(number)
            place.mkdir()
            foreign = manager is not None and name not in names()
            try:
                loaded = manager.load([name]) if foreign else load(name, place, source=(data or {}).get(name))
                found[name] = list(loaded["tasks"].values())
            except InputError:
                raise
            except Exception as error:  # of a manager that was given: datasets has no common base for its errors
                raise InputError(f"tasks: the items of {name!r} cannot be had: {reason(error)}") from error
        yield found


def _development(task: Any) -> Iterator[str]:
    asked = {tuple(units(_question(task, item))) for item in task.eval_docs}
    for item in _development_items(task):
        question = _question(task, item)
        if tuple(units(question)) not in asked:
            yield f"{question}{task.config.target_delimiter}{_answer(task, item)}"


def _development_items(task: Any) -> Iterable[Any]:
    config = task.config
    evaluated = config.test_split or config.validation_split
    if config.fewshot_split not in (None, evaluated):
        return task.fewshot_docs()
    if config.validation_split not in (None, evaluated):
        return task.validation_docs()
    if config.training_split not in (None, evaluated):
        return task.training_docs()
    raise InputError(f"tasks: {config.task!r} has no split beside {evaluated!r}, whose items are test items")


def _question(task: Any, item: Any) -> str:
    text = task.doc_to_text(item)
    if isinstance(text, str):
        return text
    # the index of the right one of several contexts, as in winogrande
    raise InputError(f"tasks: the items of {task.config.task!r} have no question of their own; expected another task")


def _choices(task: Any, item: Any) -> list[str]:
    return list(task.doc_to_choice(item)) if task.config.doc_to_choice is not None else []


def _answer(task: Any, item: Any) -> str:
    """The right answer; of several, the first, as in lm-eval's few-shot examples."""
    target, choices = task.doc_to_target(item), _choices(task, item)
    if isinstance(target, list):
        target = target[0]
    return choices[target] if choices and isinstance(target, int) else str(target)


def _parts(task: Any, item: Any) -> list[str]:
    return [_question(task, item), " ".join(_choices(task, item)), _answer(task, item)]
