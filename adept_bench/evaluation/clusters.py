"""Which items of a task are not independent of each other: those of one passage, entity, document or subject.

A task names what they share: `metadata: {cluster: ...}` of its file, or `tasks.cluster` of a run, which stands over it.
It is a field of the items, or text with fields in it (`{{exam_type}} {{exam_class}}`, as lm-eval's templates). The
items of a group's subtask (a subject of MMLU) belong together without being told; null says that there are no clusters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from adept_bench.corpora.sets.rules import asked
from adept_bench.errors import InputError, unknown_name

BY_TASK = "task"
OPTION = "tasks.cluster"
Named = Mapping[str, str | None]


def check(name: str, leaves: Mapping[str, Any], named: Named, where: str = "") -> None:
    """Raise InputError where what clusters `name` is no field of its items. `leaves`: its lm-eval tasks by name.

    `where`: file and line of what `named` says of it; of a task's own file they are found.
    """
    for leaf, task in leaves.items():
        field = _field(name, task, named)
        if field is None:
            continue
        place = (where or f"{OPTION}.{name}") if name in named else _place(leaf, task)
        wanted, documents = _fields(field, place), task.eval_docs
        columns = getattr(documents, "column_names", None)
        for known in [columns] if columns else documents:
            for one in wanted:
                if one not in known:
                    raise unknown_name(place, f"field of the items of {leaf!r}", one, known)


def clusters_of(
    name: str, leaves: Mapping[str, Any], documents: Mapping[str, Sequence[Any]], named: Named
) -> dict[str, Any] | None:
    """The `clusters` of a result (`results.schema.Clusters`), the documents of each leaf in turn; None where each item
    is on its own."""
    if name in named and named[name] is None:
        return None
    fields = {leaf: _field(name, task, named) for leaf, task in leaves.items()}
    whole = {leaf: _reader(field) for leaf, field in fields.items() if field is not None}
    if not whole and len(leaves) == 1:
        return None
    keys = [(leaf, whole[leaf](document) if leaf in whole else "") for leaf in leaves for document in documents[leaf]]
    by = next((field for field in fields.values() if field is not None), BY_TASK)
    return _runs(keys, by)


def _runs(keys: Sequence[Any], by: str) -> dict[str, Any] | None:
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) == len(keys):
        return None
    runs = [(numbers[key], len(list(same))) for key, same in groupby(keys)]
    found: dict[str, Any] = {"by": by, "sizes": [size for _, size in runs]}
    return found if len(runs) == len(numbers) else found | {"of": [number for number, _ in runs]}


def _field(name: str, task: Any, named: Named) -> str | None:
    """What clusters the items of one of the tasks of `name`."""
    if name in named:
        return named[name]
    metadata = task.config.metadata
    return metadata.get("cluster") if isinstance(metadata, dict) else None


def _environment() -> Any:
    from jinja2 import Environment

    environment = Environment()
    environment.filters["disease"] = lambda question: asked(question)[1]
    return environment


def _fields(field: str, place: str) -> list[str]:
    """The names of the fields that `field` reads."""
    if "{{" not in field:
        return [field]
    from jinja2 import TemplateError
    from jinja2.meta import find_undeclared_variables

    environment = _environment()
    try:
        environment.from_string(field)
        return sorted(find_undeclared_variables(environment.parse(field)))
    except TemplateError as error:
        raise InputError(f"{place}: {field!r}: {error}; expected a field, or text with fields in {{{{ }}}}") from None


def _reader(field: str) -> Callable[[Mapping[str, Any]], str]:
    if "{{" in field:
        template = _environment().from_string(field)
        return lambda document: str(template.render(**document))
    return lambda document: json.dumps(document[field], sort_keys=True, default=str)  # 1 and "1" are two


def _place(name: str, task: Any) -> str:
    """File and line where a task's own definition names what clusters its items."""
    from adept_bench.evaluation.tasks import definition_file

    file = definition_file(name) or Path(str(task.config.metadata.get("config_source", name)))
    return _line(file) or str(file)


def _line(file: Path) -> str | None:
    if not file.is_file():
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    at = next((number for number, line in enumerate(lines, 1) if re.search(r"\bcluster\s*:", line)), None)
    if at is not None:
        return f"{file}:{at}"
    included = next((line.partition(":")[2].strip() for line in lines if line.startswith("include:")), None)
    return _line(file.parent / included) if included else None
