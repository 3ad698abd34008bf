"""`merge`: the merged checkpoint, its record, and its loss on each domain beside its parts'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adept_bench import __version__
from adept_bench.errors import InputError
from adept_bench.files import write_json, write_whole
from adept_bench.models.folders import check_room, expansion_record, new_folder
from adept_bench.outputs import check_new_folder
from adept_bench.progress import reporter

DOCUMENTS = 100  # of a corpus that losses are measured on
LONGEST = 512


def merge_checkpoints(
    folders: Sequence[str],
    output: str | Path,
    *,
    weights: Sequence[float] | None = None,
    corpora: Sequence[str] = (),
    trust_remote_code: bool = False,
) -> list[str]:
    """Merge the adapted checkpoints (see `models.merging.merge`) into the folder `output`, whole; returns a summary.

    `corpora`: files or Hub ids that every model's and the merged one's mean document loss is measured on, in nats a
    token (the first documents at even distances; documents the models trained on count as seen). Raises InputError.
    """
    from adept_bench.corpora.large import open_corpus
    from adept_bench.corpora.specials import literal, said
    from adept_bench.models.checkpoints import quiet_transformers, stored_tokenizer
    from adept_bench.models.fit import kept_beside, write_beside
    from adept_bench.models.merging import check_frozen, comparable, inserted, merge

    output = check_new_folder(output, [*folders, *corpora])
    parts = comparable(folders, weights)
    kept = [kept_beside(str(part.folder), None, trust_remote_code, "--models") for part in parts]
    tokenizer = stored_tokenizer(str(parts[0].folder), trust_remote_code=trust_remote_code)
    if corpora and tokenizer is None:
        raise InputError(f"--corpora: {parts[0].folder} has no tokenizer to read them with; leave this option out")
    texts = {name: open_corpus(name, option="--corpora").sample(DOCUMENTS).texts for name in corpora}
    for name, found in texts.items():
        if account := literal(tokenizer, found):
            reporter().log(said(name, account))
    check_room(output, max(one.size for one in kept), "one of the models alone")
    check_frozen(parts)
    model, plan = merge(folders, weights, trust_remote_code=trust_remote_code)
    losses = _losses(folders, model, tokenizer, texts, trust_remote_code)
    record: dict[str, Any] = {
        "models": [str(part.folder) for part in parts],
        "weights": list(weights) if weights else None,
        "losses": losses,
        "adept_bench": __version__,
    }
    with new_folder(output) as temporary:
        with quiet_transformers():
            model.save_pretrained(temporary)
            if tokenizer is not None:
                tokenizer.save_pretrained(temporary)
        write_beside(temporary, kept[0], inserted(parts[0], plan) if plan is not None else None)
        write_json(temporary / "merge.json", record)
        if plan is not None:
            selection = {"select": "union of the merged"}
            copies = expansion_record(
                plan, base=None, base_hash=parts[0].base_hash, selection=selection, certificate=None
            )
            write_json(temporary / "expansion.json", copies)
        write_whole(temporary / "README.md", _card(record))
    return _lines(record, plan)


def _losses(
    folders: Sequence[str], merged: Any, tokenizer: Any, texts: dict[str, list[str]], trust_remote_code: bool
) -> dict[str, dict[str, float]]:
    """Corpus -> model (folder, or "merged") -> nats a token."""
    from adept_bench.corpora.tokens import tokenize_documents
    from adept_bench.models.checkpoints import load_model
    from adept_bench.probing.loss import corpus_loss

    if not texts:
        return {}
    context = getattr(merged.config.get_text_config(), "max_position_embeddings", None) or LONGEST
    length = min(context, LONGEST)
    documents = {name: tokenize_documents(tokenizer, found, max_length=length) for name, found in texts.items()}
    losses: dict[str, dict[str, float]] = {name: {} for name in texts}
    for label in (*folders, "merged"):
        model = merged if label == "merged" else load_model(label, dtype="auto", trust_remote_code=trust_remote_code)
        for name in texts:
            losses[name][label] = corpus_loss(model, documents[name])
            reporter().log(f"{label} on {name}: {losses[name][label]:.3f} nats a token")
    return losses


def _lines(record: dict[str, Any], plan: Any) -> list[str]:
    lines = [f"merged: {', '.join(record['models'])}"]
    if plan is not None:
        lines.append(f"copies after layers {', '.join(map(str, plan.sources))}")
    for corpus, losses in record["losses"].items():
        shown = ", ".join(f"{label} {loss:.3f}" for label, loss in losses.items())
        lines.append(f"loss on {corpus}, nats a token: {shown}")
    return lines


def _card(record: dict[str, Any]) -> str:
    measured = "\n".join(
        f"- loss on {corpus}, nats a token: " + ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        for corpus, losses in record["losses"].items()
    )
    parts = ", ".join(f"`{name}`" for name in record["models"])
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [adept-bench, merge]
---

# A merge of adapted models

`adept-bench merge` (version {__version__}) merged {parts}: copies of the same layer are averaged, others stand beside
each other. Load it with plain transformers: `AutoModelForCausalLM.from_pretrained(DIR)`. The licences of the base model
and of the texts apply.

{measured}
"""
