"""The `expand` command's work: an expanded checkpoint that plain transformers loads, with its proof beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adept_bench import __version__
from adept_bench.errors import InputError
from adept_bench.files import write_json, write_whole
from adept_bench.models.anatomy import probe_tokens
from adept_bench.models.certificate import certify_expansion, holds, reference
from adept_bench.models.checkpoints import load_model, load_tokenizer, model_hash, quiet_transformers
from adept_bench.models.expansion import Expansion, expand
from adept_bench.progress import reporter

Choose = Callable[[Any, Any], tuple[Sequence[int], dict[str, Any]]]


def expand_checkpoint(
    source: str,
    output: str | Path,
    layers: Sequence[int] | Choose,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> Expansion:
    """Load `source`, expand it after `layers`, certify it and write it to the new folder `output`, whole.

    `layers` may be a function of (model, tokenizer or None) that returns the base layers and a JSON-able account of
    the selection. The folder holds the model, tokenizer, generation configuration, expansion.json (base and its hash,
    layers, copies, selection, certificate) and README.md. Raises InputError for bad input, an output that is not
    empty, and an expansion that is not function-preserving; nothing is left behind then.
    """
    output = Path(output).expanduser()
    check_output(output)
    tokenizer = _stored_tokenizer(source, revision, trust_remote_code)
    model = load_model(source, revision=revision, dtype=dtype, device=device, trust_remote_code=trust_remote_code)
    chosen, selection = layers(model, tokenizer) if callable(layers) else (layers, {"select": "given"})
    tokens = probe_tokens(model, batch=2, length=16)
    before = reference(model, tokens)
    expansion = expand(model, chosen, option="--layers")
    temporary = output.parent / f".{output.name}.{os.getpid()}.tmp"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        with quiet_transformers():
            model.save_pretrained(temporary)
            if tokenizer is not None:
                tokenizer.save_pretrained(temporary)
        certificate = certify_expansion(
            before, model, expansion, tokens, reload=temporary, trust_remote_code=trust_remote_code
        )
        if not holds(certificate):
            failed = ", ".join(name for name, value in certificate.items() if value is False)
            raise InputError(f"--model: {source} cannot be expanded: the certificate fails at {failed}")
        record = {
            "base": source,
            "base_hash": model_hash(source, revision),
            "base_layers": expansion.base_layers,
            "layers": list(expansion.sources),
            "copies": list(expansion.copies),
            "selection": selection,
            "certificate": certificate,
            "adept_bench": __version__,
        }
        write_json(temporary / "expansion.json", record)
        write_whole(temporary / "README.md", _card(source, expansion, selection))
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"--output: cannot write {output}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return expansion


def check_output(output: Path, option: str = "--output") -> None:
    """Raise InputError unless `output` is free: not there, or an empty folder."""
    if output.is_dir() and any(output.iterdir()):
        raise InputError(f"{option}: {output} is not empty; expected a new or empty folder")
    if output.exists() and not output.is_dir():
        raise InputError(f"{option}: {output} is a file; expected a new or empty folder")


def _stored_tokenizer(source: str, revision: str | None, trust_remote_code: bool) -> Any:
    """The tokenizer as stored, or None: a checkpoint without one can be expanded all the same."""
    try:
        return load_tokenizer(source, revision=revision, trust_remote_code=trust_remote_code, ensure_pad=False)
    except InputError as error:
        reporter().log(f"no tokenizer is written: {error}")
        return None


def _card(source: str, expansion: Expansion, selection: dict[str, Any]) -> str:
    pairs = ", ".join(
        f"{copy} (copy of {base})" for base, copy in zip(expansion.sources, expansion.copies, strict=True)
    )
    local = Path(source).expanduser().exists()
    front = "" if local else f"base_model: {source}\n"
    return f"""---
library_name: transformers
pipeline_tag: text-generation
{front}tags: [adept-bench, layer-expansion]
---

# {Path(source).name}, expanded by {len(expansion.copies)} layers

`adept-bench expand` (version {__version__}) inserted copies of decoder layers into `{source}`
({expansion.base_layers} layers, selection: {selection.get("select", "given")}). What each copy adds to the residual
stream is zero, so the model computes what its base computes until the copies are trained; `expansion.json` holds the
certificate. Layers are numbered from 0.

- Copies, to be trained while everything else stays frozen: layers {pairs}.
- Load it with plain transformers: `AutoModelForCausalLM.from_pretrained(DIR)`.
- The licence of the base model applies.
"""
