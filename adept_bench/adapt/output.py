"""The adapted checkpoint: plain transformers files, with what was done and measured beside them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench import __version__
from adept_bench.adapt.summary import lines
from adept_bench.errors import InputError
from adept_bench.files import write_json, write_whole

if TYPE_CHECKING:
    from adept_bench.suite.inputs import Inputs
    from adept_bench.suite.trained import Trained

RECORD = "adaptation.json"


def free_output(output: str | Path) -> Path:
    """The folder to write, as an absolute path.

    For use before any work: raises InputError unless it is new or empty, not the working folder, and can be written.
    """
    from adept_bench.models.exporting import check_output

    found = Path(output).expanduser().resolve()
    check_output(found)
    if found == Path.cwd():
        raise InputError(f"--output: {output} is the working folder; expected a new or empty folder below or beside it")
    try:
        found.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=found.parent).close()
    except OSError as error:
        raise InputError(f"--output: cannot write {found}: {error.strerror or error}") from None
    return found


def write_adapted(trained: Trained, inputs: Inputs, summary: dict[str, Any], output: Path) -> None:
    """Write model (in the base checkpoint's dtype, adapters folded in), tokenizer, generation configuration, chat
    template, adaptation.json, expansion.json where layers were inserted, and README.md to the folder `output`, whole.

    Raises InputError where it cannot be written; nothing is left behind then.
    """
    from adept_bench.models.checkpoints import quiet_transformers

    model = trained.evaluable()
    temporary = output.parent / f".{output.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
        with quiet_transformers():
            model.to(dtype=_stored_dtype(inputs, model)).save_pretrained(temporary)
            _tokenizer_as_stored(inputs).save_pretrained(temporary)
        write_json(temporary / RECORD, {"adept_bench": __version__, **summary})
        if trained.edit.expansion is not None:
            write_json(temporary / "expansion.json", expansion_record(trained, inputs))
        write_whole(temporary / "README.md", card(summary))
        if output.is_dir():
            output.rmdir()  # it is empty, or `check_output` had refused it
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"--output: cannot write {output}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def expansion_record(trained: Trained, inputs: Inputs) -> dict[str, Any]:
    """Where the copies are, as `expand` records it."""
    expansion = trained.edit.expansion
    assert expansion is not None
    return {
        "base": inputs.config.model.source,
        "base_hash": inputs.model_hash,
        "base_layers": expansion.base_layers,
        "layers": list(expansion.sources),
        "copies": list(expansion.copies),
        "selection": trained.edit.description,
        "certificate": trained.certificate,
        "adept_bench": __version__,
    }


def _tokenizer_as_stored(inputs: Inputs) -> Any:
    """Without the padding token that training may have needed: padding with the end token would hide it from labels."""
    from adept_bench.models.checkpoints import load_tokenizer

    source = inputs.config.model
    return load_tokenizer(
        inputs.place, revision=source.revision, trust_remote_code=source.trust_remote_code, ensure_pad=False
    )


def _stored_dtype(inputs: Inputs, model: Any) -> Any:
    source = inputs.config.model
    return stored_dtype(inputs.place, source.revision, source.trust_remote_code) or model.dtype


def stored_dtype(place: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The type a checkpoint is stored in as its configuration says, a torch.dtype; None where it does not say."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(place, revision=revision, trust_remote_code=trust_remote_code)
    stored = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    if isinstance(stored, str):
        stored = getattr(torch, stored, None)
    return stored if isinstance(stored, torch.dtype) else None


def card(summary: dict[str, Any]) -> str:
    """The model card: what it is made of, what was measured, how to load it."""
    source = summary["model"]["source"]
    local = Path(source).expanduser().exists()
    front = "" if local else f"base_model: {source}\n"
    layers = summary["trained"]["expanded_layers"]
    copies = f"Copies stand after layers {', '.join(map(str, layers))} of the base.\n" if layers else ""
    measured = "\n".join(f"- {line}" for line in lines(summary))
    return f"""---
library_name: transformers
pipeline_tag: text-generation
{front}tags: [adept-bench, continual-pretraining]
---

# {Path(source).name}, adapted by {summary["method"]}

`adept-bench adapt` (version {__version__}) trained `{source}` on {summary["corpora"]["domain"]["source"]}. {copies}
{measured}

Losses are of documents held out of training. `{RECORD}` holds every setting, the training curve and the certificate.
Load it with plain transformers: `AutoModelForCausalLM.from_pretrained(DIR)`. The licence of the base model applies, and
so do those of the texts.
"""
