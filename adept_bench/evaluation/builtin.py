"""lm-eval's own tasks: found without reading all of its thousands of files, and run on local copies of their data."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


def manager_of(name: str) -> Any:
    """An `lm_eval.tasks.TaskManager` that knows `name`, with all that `name` is made of, if lm-eval has it.

    Most tasks lie in a folder whose name begins theirs (arc_easy in arc). Where one does not, all are indexed, which
    takes 13 s to over a minute. Each folder is indexed once a process.
    """
    ends = [len(name), *(mark.start() for mark in re.finditer("[_-]", name))]
    for end in sorted(ends, reverse=True):
        folder = name[:end]
        if folder and (_root() / folder).is_dir():
            manager = _indexed(folder)
            if _whole(name, manager.task_index):
                return manager
    return _indexed(None)


def _root() -> Path:
    import lm_eval.tasks

    return Path(lm_eval.tasks.__file__).parent


@functools.cache
def _indexed(folder: str | None) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager() if folder is None else TaskManager(include_path=str(_root() / folder), include_defaults=False)


def _whole(name: str, index: dict[str, Any]) -> bool:
    """Whether the index has `name` and its members. A tag may have members in other folders, so one asked for by its
    own name is not whole; the tags of a group are of its folder."""
    entry = index.get(name)
    if entry is None or entry.kind.name == "TAG":
        return False
    return entry.kind.name != "GROUP" or all(
        member in index and (index[member].kind.name == "TAG" or _whole(member, index)) for member in _members(entry)
    )


def _members(entry: Any) -> list[str]:
    """What a group lists: names of tasks, tags and groups (those written out in place are not listed)."""
    listed = [item if isinstance(item, str) else item.get("task", item.get("group")) for item in entry.cfg["task"]]
    return [item for item in listed if isinstance(item, str)]


def leaves(name: str, index: dict[str, Any]) -> Iterator[Any]:
    """The index entries of the single tasks that `name` stands for."""
    entry = index[name]
    members = {"GROUP": _members, "TAG": lambda entry: sorted(entry.tags)}.get(entry.kind.name)
    if members is None:
        yield entry
    else:
        for member in members(entry):
            yield from leaves(member, index)


def on_local_data(name: str, source: str, folder: Path) -> Any:
    """A manager in which lm-eval's task or group `name` reads local files; all else of the task stays lm-eval's.

    `source`: a file with the rows that are asked, or a folder with a file a split, named as the task names it
    (test.jsonl, dev.jsonl, train.jsonl, or .json, .parquet); of a group, a folder of such folders, named by
    `dataset_name` (anatomy/test.jsonl). Columns as in the data set the task names. `folder`: for the changed task
    files. Raises InputError where a file is missing.
    """
    from lm_eval.tasks import TaskManager

    found = manager_of(name)
    single = list(leaves(name, found.task_index))
    for entry in single:
        place = Path(source).expanduser().resolve()
        if len(single) > 1:
            place = place / str(entry.cfg.get("dataset_name"))
        files = _split_files(name, entry.cfg, place)
        _write_task(folder, entry, files)
    kept = [found.include_path] if found.include_path else []
    return TaskManager(include_path=[*kept, str(folder)], include_defaults=not kept)


def _split_files(name: str, config: dict[str, Any], place: Path) -> dict[str, Path]:
    """The file of each split that is there; the one that is asked must be."""
    asked = config.get("test_split") or config.get("validation_split")
    if place.is_file():
        if place.suffix not in FORMATS:
            raise InputError(f"tasks.data.{name}: {place} has no known ending; expected one of: {', '.join(FORMATS)}")
        return {str(asked): place}
    wanted = {config[key] for key in SPLITS if config.get(key)}
    found = {}
    for split in sorted(wanted):
        files = [place / f"{split}{ending}" for ending in FORMATS if (place / f"{split}{ending}").is_file()]
        if files:
            found[split] = files[0]
    if asked not in found:
        raise InputError(f"tasks.data.{name}: no {asked}.jsonl, .json or .parquet in {place}; expected the rows asked")
    return found


def _write_task(folder: Path, entry: Any, files: dict[str, Path]) -> None:
    """The task's own file, with its data's place replaced and the splits that are not there left out."""
    kinds = {FORMATS[path.suffix] for path in files.values()}
    if len(kinds) > 1:
        raise InputError(f"tasks.data: {', '.join(map(str, files.values()))}: expected files of one format")
    changed = {
        "include": str(entry.yaml_path),
        "dataset_path": kinds.pop(),
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {split: str(path) for split, path in files.items()},
            "cache_dir": str(folder / "cache"),
        },
        **{key: None for key in SPLITS if entry.cfg.get(key) and entry.cfg[key] not in files},
    }
    (folder / f"{entry.name}.yaml").write_text(json.dumps(changed), encoding="utf-8")  # JSON is YAML
