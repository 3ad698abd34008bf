"""The package's tasks (tasks/*.yaml) made ready for lm-eval, and the check of task names.

lm-eval skips a broken YAML silently and resolves relative data paths against the current folder, so the files are
rendered with absolute paths and the names are checked afterwards.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError, nearest
from adept_bench.files import content_hash

TEMPLATES = Path(__file__).with_name("tasks")

Items = Callable[[str], list[dict[str, Any]]]


def names() -> list[str]:
    """The package's own tasks, sorted."""
    return sorted(path.stem for path in TEMPLATES.glob("*.yaml") if not path.stem.startswith("_"))


def definitions_hash() -> str:
    """A hash of all the package's task files by name and content, shared parts included."""
    return content_hash({path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.yaml")})


def check_names(wanted: Iterable[str], where: str = "tasks") -> None:
    """Raise InputError, naming the nearest valid name, for the first of `wanted` that is no task of ours or lm-eval's.

    lm-eval's index takes seconds to read and is only read for a name that is not ours.
    """
    for name in wanted:
        if name in names():
            continue
        # the prefix is ours, so the slow index need not be asked
        known = [] if name.startswith("lab_") else builtin_manager().all_tasks
        if name not in known:
            close = nearest(name, [*names(), *known])
            hint = f"; did you mean {close!r}?" if close else ""
            raise InputError(
                f"{where}: unknown task {name!r}; expected one of: {', '.join(names())}, or a name of lm-eval's{hint}"
            )


@functools.cache
def builtin_manager() -> Any:
    """lm-eval's own tasks (an `lm_eval.tasks.TaskManager`), indexed once a process."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def render(wanted: Iterable[str], folder: Path, items: Items | None = None) -> Any:
    """Write the tasks `wanted`, all ours, with their items to `folder`; the `lm_eval.tasks.TaskManager` of just these.

    `items(name)` gives a task's items, by default those of the lab's world: {"id", "question", "choices", "answer":
    index} or, for a generated answer, {"id", "question", "answer": text}. Raises InputError for an unknown name.
    """
    from lm_eval.tasks import TaskManager

    wanted = list(wanted)
    for name in wanted:
        if name not in names():
            check_names([name])
            raise InputError(f"tasks: {name!r} is a task of lm-eval, not one of the package to render")
    items = items or _lab_items
    folder = folder.resolve()
    escaped = json.dumps(str(folder))[1:-1]  # stands inside a double-quoted YAML string
    for template in TEMPLATES.glob("_*.yaml"):
        (folder / template.name).write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    for name in wanted:
        template_text = (TEMPLATES / f"{name}.yaml").read_text(encoding="utf-8")
        (folder / f"{name}.yaml").write_text(template_text.replace("{folder}", escaped), encoding="utf-8")
        lines = [json.dumps(_checked(name, item), ensure_ascii=False) for item in items(name)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    missing = sorted(set(wanted) - set(manager.all_tasks))
    if missing:
        raise RuntimeError(f"lm-eval did not read the rendered task files of {', '.join(missing)}")
    return manager


def _lab_items(name: str) -> list[dict[str, Any]]:
    from adept_bench.lab.items import items

    return items(name)


def _checked(name: str, item: dict[str, Any]) -> dict[str, Any]:
    """The item with its choices stripped (the template puts the space), refused where lm-eval would score it wrong."""
    if "choices" not in item:
        return {**item, "answer": str(item["answer"])}
    choices = [choice.strip() for choice in item["choices"]]
    if len(set(choices)) < max(2, len(choices)) or not 0 <= item["answer"] < len(choices):
        raise ValueError(f"{name}: item {item['id']!r} needs distinct choices and an answer that is one of them")
    return {**item, "choices": choices}
