"""The adapted checkpoint: plain transformers files, with what was done and measured beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench import __version__
from adept_bench.adapt.summary import lines
from adept_bench.files import write_json, write_whole
from adept_bench.models.folders import expansion_record, new_folder
from adept_bench.models.places import on_hub_only

if TYPE_CHECKING:
    from adept_bench.models.fit import Beside
    from adept_bench.suite.inputs import Inputs
    from adept_bench.suite.trained import Trained

RECORD = "adaptation.json"


def write_adapted(trained: Trained, inputs: Inputs, summary: dict[str, Any], output: Path, beside: Beside) -> None:
    """Write the adapted checkpoint to the folder `output`, whole.

    It holds the model (in the base checkpoint's dtype, adapters folded in), what the base stored `beside` it,
    tokenizer, generation configuration, chat template, adaptation.json, expansion.json where layers were inserted, and
    README.md.
    Raises InputError where it cannot be written; nothing is left behind then.
    """
    from adept_bench.models.checkpoints import quiet_transformers, stored_tokenizer
    from adept_bench.models.fit import write_beside

    model, source, expansion = trained.evaluable(), inputs.config.model, trained.edit.expansion
    with new_folder(output) as temporary:
        with quiet_transformers():
            model.to(dtype=_stored_dtype(inputs, model)).save_pretrained(temporary)
            # without the padding token that training may have needed: padding with the end token hides it from labels
            tokenizer = stored_tokenizer(inputs.place, source.revision, source.trust_remote_code)
            tokenizer.save_pretrained(temporary)
        write_beside(temporary, beside, expansion)
        write_json(temporary / RECORD, {"adept_bench": __version__, **summary})
        if expansion is not None:
            record = expansion_record(
                expansion,
                base=source.source,
                base_hash=inputs.model_hash,
                selection=trained.edit.description,
                certificate=trained.certificate,
            )
            write_json(temporary / "expansion.json", record)
        write_whole(temporary / "README.md", card(summary))


def _stored_dtype(inputs: Inputs, model: Any) -> Any:
    source = inputs.config.model
    return stored_dtype(inputs.place, source.revision, source.trust_remote_code) or model.dtype


def stored_dtype(place: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The type a checkpoint is stored in as its configuration says, a torch.dtype; None where it does not say."""
    import torch
    from transformers import AutoConfig

    from adept_bench.models.places import local_folder

    folder = local_folder(place)
    config = AutoConfig.from_pretrained(folder or place, revision=revision, trust_remote_code=trust_remote_code)
    stored = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)
    if isinstance(stored, str):
        stored = getattr(torch, stored, None)
    return stored if isinstance(stored, torch.dtype) else None


def card(summary: dict[str, Any]) -> str:
    """The model card: what it is made of, what was measured, how to load it."""
    source = summary["model"]["source"]
    front = f"base_model: {source}\n" if on_hub_only(source) else ""
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
