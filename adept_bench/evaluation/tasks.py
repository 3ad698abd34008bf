"""The package's tasks (tasks/*.yaml) made ready for lm-eval, and the check of task names.

lm-eval skips a broken YAML silently and resolves relative data paths against the current folder, so the files are
rendered with absolute paths and the names are checked afterwards.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError, nearest
from adept_bench.evaluation.backends import check_backend
from adept_bench.evaluation.builtin import manager_of, on_local_data
from adept_bench.files import content_hash
from adept_bench.hub import reason

TEMPLATES = Path(__file__).with_name("tasks")  # the lab's; those of examinations are in exams/, of data sets in sets/
EXAMS = ("cmb", "mmcu_medical")

Items = Callable[[str], list[dict[str, Any]]]


def names() -> list[str]:
    """The package's own tasks, sorted."""
    rendered = [path.stem for path in _templates() if not path.stem.startswith("_")]
    return sorted([*rendered, *EXAMS])


def _templates() -> list[Path]:
    """The task files whose items we make, and what they share."""
    return [path for folder in (TEMPLATES, TEMPLATES / "sets") for path in folder.glob("*.yaml")]


def definition_file(name: str) -> Path | None:
    """The task file of one of the package's own tasks."""
    return next(iter([*TEMPLATES.glob(f"{name}.yaml"), *TEMPLATES.glob(f"*/{name}.yaml")]), None)


def definitions_hash(folder: str = "") -> str:
    """A hash of the lab's task files by name and content, shared parts included; or of those of `folder`."""
    return content_hash({path.name: path.read_text(encoding="utf-8") for path in (TEMPLATES / folder).glob("*.yaml")})


def check_names(wanted: Iterable[str], where: str = "tasks") -> None:
    """Raise InputError, naming the nearest valid name, for the first of `wanted` that is no task of ours or lm-eval's.

    lm-eval is only asked for a name that is not ours.
    """
    for name in wanted:
        if name in names():
            continue
        # the prefix is ours, so the slow index need not be asked
        known = [] if name.startswith("lab_") else manager_of(name).all_tasks
        if name not in known:
            close = nearest(name, [*names(), *known])
            hint = f"; did you mean {close!r}?" if close else ""
            raise InputError(
                f"{where}: unknown task {name!r}; expected one of: {', '.join(names())}, or a name of lm-eval's{hint}"
            )


def check_options(
    asked: Collection[str],
    fewshot: Iterable[str],
    data: Mapping[str, str],
    backend: str,
    clusters: Mapping[str, str | None] | None = None,
    places: Mapping[str, str] | None = None,
) -> None:
    """Raise InputError, before any work, for options of tasks that do not exist, for local copies that are not there
    or, of examinations that are `asked`, cannot be read, for a backend that is not installed, and for `clusters`
    (`tasks.cluster`, said at `places`) by what the items do not have.

    Options may name tasks that are not asked, as those of a preset do in a suite of one domain.
    """
    check_backend(backend)
    clusters, places = clusters or {}, places or {}
    for option, named in (("fewshot", fewshot), ("data", data), ("cluster", clusters)):
        check_names([name for name in named if name not in asked], f"tasks.{option}")
    for name, source in data.items():
        if not Path(source).expanduser().exists():
            raise InputError(f"tasks.data.{name}: no file or folder {source!r}; expected a local copy of its data")
        if name in EXAMS and name in asked:
            from adept_bench.evaluation.exams import exam_rows

            exam_rows(name, source)
    for name in [name for name, field in clusters.items() if field is not None and name in asked]:
        _check_clusters(name, clusters, data.get(name), places.get(name, ""))


def _check_clusters(name: str, clusters: Mapping[str, str | None], source: str | None, where: str) -> None:
    from adept_bench.evaluation.clusters import check
    from adept_bench.evaluation.undisturbed import quiet

    with tempfile.TemporaryDirectory(prefix="adept-bench-items-") as folder, quiet():
        check(name, load(name, Path(folder), source=source)["tasks"], clusters, where)


def load(name: str, folder: Path, items: Items | None = None, source: str | None = None) -> dict[str, Any]:
    """Task, group or tag `name` as lm-eval loads it (`TaskManager.load`), whether ours or its own.

    `folder`: new, for files that must stay until the evaluation is over. `items`: of the lab's tasks, as `render` takes
    them. `source`: a local copy of the data (`exams.exam_rows`, `builtin.on_local_data`). Raises InputError for data
    that cannot be read.
    """
    if name not in names():
        manager = manager_of(name) if source is None else on_local_data(name, source, folder)
    elif name in EXAMS:
        manager = _render_exam(name, folder, source)
    else:
        return render([name], folder, items).load([name])
    try:
        return manager.load([name])
    # no network, no such data set, a loading script, a broken file, a missing column: these errors have no common base
    except Exception as error:
        raise InputError(
            f"tasks: the data of {name!r} cannot be loaded ({reason(error)}); "
            f"expected the Hub's, or a local copy in tasks.data.{name}"
        ) from error


def render(wanted: Iterable[str], folder: Path, items: Items | None = None) -> Any:
    """Write the tasks `wanted` with their items to `folder`; the `lm_eval.tasks.TaskManager` of just these.

    `items(name)` gives a task's items, by default those of the lab's world and of MedQuAD: {"id", "question",
    "choices", "answer": index} or, for a generated answer, {"id", "question", "answer": text}. Raises InputError for an
    unknown name.
    """
    wanted = list(wanted)
    for name in wanted:
        if name not in names():
            check_names([name])
            raise InputError(f"tasks: {name!r} is a task of lm-eval, not one of the package to render")
    items = items or own_items
    folder = folder.resolve()
    escaped = json.dumps(str(folder))[1:-1]  # stands inside a double-quoted YAML string
    templates = {path.stem: path for path in _templates()}
    for path in (path for name, path in templates.items() if name.startswith("_")):
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    for name in wanted:
        template_text = templates[name].read_text(encoding="utf-8")
        (folder / f"{name}.yaml").write_text(template_text.replace("{folder}", escaped), encoding="utf-8")
        _write_rows(folder / f"{name}.jsonl", [_checked(name, item) for item in items(name)])
    return _manager(wanted, folder)


def _render_exam(name: str, folder: Path, source: str | None) -> Any:
    """The manager of an examination: its rows are written to `folder`, and a task file that names them."""
    from adept_bench.evaluation.exams import exam_rows

    rows = {split: rows for split, rows in exam_rows(name, source).items() if rows}
    for split in rows:
        _write_rows(folder / f"{split}.jsonl", rows[split])
    changed: dict[str, Any] = {
        "include": str(TEMPLATES / "exams" / f"{name}.yaml"),
        "dataset_kwargs": {
            "data_files": {split: str(folder / f"{split}.jsonl") for split in rows},
            "cache_dir": str(folder / "cache"),
        },
    }
    if "dev" not in rows:
        changed["fewshot_split"] = None
    (folder / f"{name}.yaml").write_text(json.dumps(changed), encoding="utf-8")
    return _manager([name], folder)


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _manager(wanted: list[str], folder: Path) -> Any:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    missing = sorted(set(wanted) - set(manager.all_tasks))
    if missing:
        raise RuntimeError(f"lm-eval did not read the rendered task files of {', '.join(missing)}")
    return manager


def own_items(name: str) -> list[dict[str, Any]]:
    """The items of a task of the lab or of MedQuAD."""
    from adept_bench.evaluation import medquad

    if name in medquad.TASKS:
        return medquad.items(name)
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
