"""`adept-bench lab build`: the world, its tokenizer and a base model, made again from nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.files import write_sealed, write_whole
from adept_bench.lab import corpora, items
from adept_bench.lab.bases import KINDS, RECORD, making_hash, world_hash
from adept_bench.outputs import check_folder, json_with, known
from adept_bench.progress import reporter
from adept_bench.recorded import recorded

if TYPE_CHECKING:
    from adept_bench.lab.pretrain import Recipe

BASE_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    RECORD,
)


def world_files() -> Iterator[tuple[str, str]]:
    """Every corpus as `corpora/NAME.jsonl` and every task's items as `items/TASK.jsonl`: (place, content)."""
    for name in corpora.NAMES:
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in corpora.texts(name)]
        yield f"corpora/{name}.jsonl", "\n".join(lines) + "\n"
    for task in items.TASKS:
        lines = [json.dumps(item, ensure_ascii=False) for item in items.items(task)]
        yield f"items/{task}.jsonl", "\n".join(lines) + "\n"


def check_place(output: Path) -> None:
    """Raise InputError unless `output` is new, empty or a folder that `build` made, as it was made.

    That is: the world's files, each with the content that it would get, and base models with their record.
    """
    check_folder(output)
    if not output.is_dir() or not any(output.iterdir()):
        return
    expected = "expected a new or empty folder, or one that this command made"
    for path in sorted(output.iterdir()):
        if path.name.startswith(".") and path.name.endswith(".tmp"):  # of a build that was killed
            continue
        if path.is_symlink() or not (path.name in ("corpora", "items") or _is_base(path)):
            raise InputError(f"--output: {output} holds {path.name}; {expected}")
    for name, content in world_files():
        path = output / name
        check_folder(path.parent)
        if path.is_symlink() or (path.exists() and not (path.is_file() and path.read_bytes() == content.encode())):
            raise InputError(f"--output: {path} is not of this version's world; {expected}")


def _is_base(folder: Path) -> bool:
    """Whether the folder holds a base model that `build_base` wrote and nothing else."""
    kind, _, seed = folder.name.partition("-")
    recorded = known(folder / RECORD, json_with("made_from", "world", "recipe"))
    if kind not in KINDS or not seed.isdecimal() or not recorded:
        return False
    return all(path.is_file() and path.name in BASE_FILES for path in folder.iterdir())


def score(folder: Path) -> dict[str, Any]:
    """Accuracy of a base on every lab task of one-token answers, and its layer importance on the probe corpus."""
    from adept_bench.corpora.tokens import tokenize_documents
    from adept_bench.evaluation.harness import evaluate
    from adept_bench.models.checkpoints import load_model, load_tokenizer
    from adept_bench.probing.layers import probe_layers

    model, tokenizer = load_model(str(folder)), load_tokenizer(str(folder))
    tasks = ["lab_general", "lab_medical_known", "lab_medical_new", "lab_math_choice"]
    scored = evaluate(model, tokenizer, {"lab": tasks}, batch_size=64)["tasks"]
    documents = tokenize_documents(tokenizer, corpora.texts("probe"), max_length=512)
    importance = probe_layers(model, documents)
    return {
        "accuracy": {task: round(scored[task]["value"], 4) for task in tasks},
        "layer_importance": [round(value, 4) for value in importance.importance],
        "probe_loss": round(importance.base_loss, 4),
    }


def build_base(kind: str, seed: int, output: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    """Pretrain base `kind` with `seed`, save it in bfloat16 at `output` (replacing what is there) with its record.

    `recipe`: another one than the kind's, for trying things out.
    """
    import torch

    from adept_bench.lab.pretrain import RECIPES, pretrain
    from adept_bench.lab.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    model, record = pretrain(recipe or RECIPES[kind], tokenizer, seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.", suffix=".tmp") as temporary:
        folder = Path(temporary) / "base"
        model.to(dtype=torch.bfloat16).save_pretrained(folder)  # type: ignore[call-arg]
        tokenizer.save_pretrained(folder)
        record |= {
            "kind": kind,
            "made_from": making_hash(kind) if recipe is None else None,
            "world": world_hash(),
            "scores": score(folder),
            "files": recorded(folder, RECORD),
        }
        write_sealed(folder / RECORD, record)
        shutil.rmtree(output, ignore_errors=True)
        os.replace(folder, output)
    return record


def build(seed: int, output: Path, kind: str = "base", recipe: Recipe | None = None) -> dict[str, Any]:
    """Make the world (`corpora/`, `items/`) and base `kind` of `seed` (`<kind>-<seed>/`) in `output`.

    Returns the base's record. Raises InputError as `check_place` does.
    """
    check_place(output)
    for name, content in world_files():
        write_whole(output / name, content)
    reporter().log(f"world {world_hash()} written to {output}")
    return build_base(kind, seed, output / f"{kind}-{seed}", recipe)
