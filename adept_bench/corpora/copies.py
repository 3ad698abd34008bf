"""The folder of local copies: data sets and benchmarks that are read there instead of on the Hub.

    $ADEPT_BENCH_DATA/NAME.jsonl          a set of `corpora.sets`, in any format that corpora may have, field `text`
    $ADEPT_BENCH_DATA/tasks/TASK          a benchmark's rows: a file or a folder, as `tasks.data.TASK` may be

Results hold the content's hash, never the folder, so that it may lie elsewhere tomorrow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from adept_bench.corpora.formats import READERS
from adept_bench.errors import InputError

VARIABLE = "ADEPT_BENCH_DATA"


def folder() -> Path | None:
    """The folder that the variable names, None where it is not set. Raises InputError for what is no folder."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    place = Path(named).expanduser()
    if not place.is_dir():
        raise InputError(f"{VARIABLE}: no folder {named!r}; expected one with local copies (docs/presets.md), or unset")
    return place


def copy_of_set(name: str) -> Path | None:
    """The copy of data set `name`, None where there is none."""
    place = folder()
    files = (place / f"{name}{ending}" for ending in READERS) if place else iter(())
    return next((path for path in files if path.is_file()), None)


def shown(place: str) -> str:
    """A copy's place as a result names it: within the folder, by the variable."""
    root = folder()
    if root is None or not Path(place).is_relative_to(root):
        return place
    return f"${VARIABLE}/{Path(place).relative_to(root)}"


def copies_of_tasks(names: Iterable[str]) -> dict[str, str]:
    """Task to the copy of its data, of those in `names` that have one."""
    place = folder()
    if place is None:
        return {}
    found = {}
    for name in dict.fromkeys(names):
        endings = ("", ".jsonl", ".json", ".parquet")
        copy = next((path for ending in endings if (path := place / "tasks" / f"{name}{ending}").exists()), None)
        if copy is not None:
            found[name] = str(copy)
    return found
