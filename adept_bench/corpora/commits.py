"""The commit that a revision of a Hub dataset names: asked once a process, remembered for when nobody answers."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from adept_bench.errors import InputError
from adept_bench.files import cache_root, content_hash, write_json
from adept_bench.hub import reason, refused, unanswered
from adept_bench.progress import reporter

COMMIT = re.compile(r"[0-9a-f]{40}")
RESOLVE_SECONDS = 20.0  # to wait for the Hub's word on a revision


@dataclass(frozen=True)
class Commit:
    """`hash`: the full commit hash, None where it is not known. `reachable`: False where the Hub did not answer, or is
    not to be asked."""

    hash: str | None
    reachable: bool = True


@lru_cache(maxsize=64)
def commit_of(dataset: str, revision: str | None, option: str) -> Commit:
    """What `revision` (default: main) of the Hub's dataset names: a full hash at once, else what the Hub says, else,
    where it does not answer, what it said last.

    Raises InputError, naming `option`, for a dataset or revision that does not exist.
    """
    from huggingface_hub import HfApi, constants

    if revision and COMMIT.fullmatch(revision):
        return Commit(revision, reachable=not (constants.HF_HUB_OFFLINE or os.environ.get("HF_DATASETS_OFFLINE")))

    note = cache_root() / "hub" / f"{content_hash([dataset, revision])}.json"
    try:
        found = HfApi().dataset_info(dataset, revision=revision, timeout=RESOLVE_SECONDS).sha
    except Exception as error:  # the Hub's client raises errors of its own, of its HTTP library and of the system
        named = f"{dataset}@{revision}" if revision else dataset
        if refused(error):
            raise InputError(
                f"{option}: no such file, and {named!r} could not be read from the Hub: {reason(error)}"
            ) from error
        known = _remembered(note)
        reporter().log(f"{unanswered()}: {named} is taken at commit {known or '(none known)'}, from the cache")
        return Commit(known, reachable=False)
    if found != _remembered(note):
        write_json(note, {"dataset": dataset, "revision": revision, "commit": found})
    return Commit(found)


def _remembered(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never noted, or the note is damaged
