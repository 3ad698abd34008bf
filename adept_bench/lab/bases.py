"""Where the lab's base models are: shipped with the package, or built on first use and kept in the cache."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from itertools import islice
from pathlib import Path

from adept_bench.errors import unknown_name
from adept_bench.files import DamagedFileError, cache_root, content_hash, locked, log_aside, read_sealed
from adept_bench.progress import reporter
from adept_bench.recorded import check_recorded

KINDS = ("base", "redundant")
SHIPPED = Path(__file__).parent / "shipped"
RECORD = "training.json"  # in a base's folder: recipe, curve, scores and the hash of what it was made from


@cache
def world_hash() -> str:
    """Hash of all that the world says: corpora, items and the tokenizer's pieces."""
    from adept_bench.lab import corpora, items, tokenizer

    return content_hash(
        {
            "corpora": {name: corpora.texts(name) for name in corpora.NAMES},
            "items": {task: items.items(task) for task in items.TASKS},
            "pieces": tokenizer.pieces(),
        }
    )


@cache
def corpus_hash(name: str) -> str:
    """Hash of one lab corpus; InputError for an unknown name."""
    from adept_bench.lab import corpora

    return content_hash(corpora.texts(name))


@cache
def items_hash(task: str) -> str:
    """Hash of one lab task's items; InputError for an unknown name."""
    from adept_bench.lab import items

    return content_hash(items.items(task))


@cache
def making_hash(kind: str) -> str:
    """Hash of all that a base of this kind is made from: the recipe, the pieces and the start of the text stream."""
    from adept_bench.lab import corpora, tokenizer
    from adept_bench.lab.pretrain import LOOP_VERSION, RECIPES

    stream = list(islice(corpora.pretraining(0), 4000))
    return content_hash(
        {"recipe": asdict(RECIPES[kind]), "pieces": tokenizer.pieces(), "stream": stream, "loop": LOOP_VERSION}
    )


def fits(folder: Path, kind: str) -> bool:
    """Whether the folder holds a base made from what the world and the recipe are now.

    Raises DamagedFileError where its record, or a file that the record knows, is not what was written.
    """
    if not (folder / RECORD).is_file():
        return False
    record = read_sealed(folder / RECORD)
    check_recorded(folder, record.get("files", {}))  # older records have none
    return record.get("made_from") == making_hash(kind)


def _fits(folder: Path, kind: str) -> bool:
    """`fits`, and False of a damaged folder; one in the cache is set aside."""
    try:
        return fits(folder, kind)
    except DamagedFileError as why:
        said = f"{folder}: damaged: {why}"
        if folder.parent == SHIPPED:
            reporter().log(said)
        else:
            log_aside(folder, said)
        return False


def folder(kind: str, seed: int) -> Path:
    """The checkpoint folder of base `kind` ("base" or "redundant") and `seed`; builds it where it does not exist.

    A built base is kept in the user's cache under the hash of what it is made from. Raises InputError for an unknown
    kind.
    """
    if kind not in KINDS:
        raise unknown_name("--model", "lab base", f"lab:{kind}", [f"lab:{name}" for name in KINDS])
    shipped = SHIPPED / f"{kind}-{seed}"
    if _fits(shipped, kind):
        return shipped
    built = cache_root() / "bases" / making_hash(kind) / f"{kind}-{seed}"
    with locked(built):
        if not _fits(built, kind):
            from adept_bench.lab.build import build_base

            reporter().log(f"lab base {kind}-{seed} does not ship with the package: building it once, about 15 minutes")
            build_base(kind, seed, built)
    return built
