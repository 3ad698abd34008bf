"""Attention within documents: what a model is told of a packed batch, and the proof that it keeps to it.

transformers offers two ways for sdpa, eager and flex attention: positions that begin anew, from which most families
make the mask of each kind of layer (full, sliding, chunked), and, for those that do not look at them, finished masks.
Flash attention has no mask: it is told where documents begin. Which of them works is found out, not looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adept_bench.errors import InputError
from adept_bench.models.anatomy import evaluating, probe_tokens, text_config

if TYPE_CHECKING:
    from adept_bench.config.schema import TrainingConfig

Inputs = dict[str, Any]
Told = Callable[[Inputs], Inputs]
PIECES = ((3, 4, 1, 5, 3), (6, 2, 8))  # tokens of the documents in two sequences of the proof
EXACT, NARROW = 0.01, 0.1  # share of the change by earlier documents that rounding may leave, in float32 and below


def within_documents(model: Any, training: TrainingConfig) -> Told:
    """What makes a batch {"input_ids", "position_ids", ...} the keywords of a forward pass within documents.

    Proven on a few tokens: documents side by side have the logits that each has alone. Raises InputError for a model
    of which that does not hold (recurrent layers, positions or masks of its own), and for one whose loss cannot be a
    mean over the predictions of several batches. The model stays as it was.
    """
    kind = f"{model.config.model_type} ({type(model).__name__})"
    batches = training.accumulation * _processes()
    if batches > 1 and not _counts_predictions(model):
        raise InputError(
            f"training.packing: documents is not possible with {kind} in {batches} batches a step: its loss is a mean "
            "over one batch, and batches hold unequal numbers of predictions; expected blocks, or one batch a step"
        )
    with torch.no_grad(), evaluating(model), _autocast(model, training):
        proof = _Proof(model)
        ways = (_positions, _masks) if _masks_are_known(model) else (_positions,)
        for way in ways:
            told = _bound(way, model)
            if proof.holds(told):
                return told
    raise InputError(
        f"training.packing: documents is not possible with {kind} and {_attention(model)} attention: a document's "
        "logits change with the documents before it; expected blocks"
    )


def _bound(way: Callable[[Any, Inputs], Inputs], model: Any) -> Told:
    return lambda inputs: way(model, inputs)


def _positions(model: Any, inputs: Inputs) -> Inputs:
    """Positions, and for flash attention the places where documents begin; with a cache nobody looks at positions."""
    told = {**inputs, "use_cache": False}
    if "flash" not in _attention(model):
        return told
    positions = inputs["position_ids"].flatten()
    edges = torch.nn.functional.pad((positions == 0).nonzero().flatten(), (0, 1), value=len(positions)).int()
    longest = int(edges.diff().max())
    return told | {"cu_seq_lens_q": edges, "cu_seq_lens_k": edges, "max_length_q": longest, "max_length_k": longest}


def _masks(model: Any, inputs: Inputs) -> Inputs:
    """Positions, and the masks that transformers makes of them: one, or one for each kind of layer."""
    from transformers.masking_utils import create_masks_for_generate

    table = model.get_input_embeddings().weight
    positions = inputs["position_ids"]
    shaped = torch.empty(*positions.shape, 0, dtype=table.dtype, device=positions.device)  # for shape and type alone
    masks = create_masks_for_generate(model.config, shaped, None, None, position_ids=positions)
    return {**inputs, "use_cache": False, "attention_mask": masks}


def _masks_are_known(model: Any) -> bool:
    """Whether the configuration says which layers have which mask; a window that the proof is too short to show does
    not get lost so."""
    config = text_config(model.config)
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return hasattr(config, "layer_types") or not any(windows)


class _Proof:
    """Logits of short documents, each alone and, as a causal model sees them in blocks, one after the other."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.ids = probe_tokens(model, len(PIECES), sum(PIECES[0]))
        rows = [torch.cat([torch.arange(size) for size in sizes]) for sizes in PIECES]
        self.positions = torch.stack(rows).to(self.ids.device)
        pieces = [row.split(list(sizes)) for row, sizes in zip(self.ids, PIECES)]
        self.alone = torch.stack([torch.cat([self._logits({"input_ids": p[None]})[0] for p in row]) for row in pieces])
        self.moved = self._distance(self._logits({"input_ids": self.ids}))

    def holds(self, told: Told) -> bool:
        """Whether, told so, nothing but rounding is left of what earlier documents change."""
        try:
            packed = self._logits(told({"input_ids": self.ids, "position_ids": self.positions}))
        except Exception:  # a family that does not take what it is told
            return False
        narrow = packed.dtype != torch.float32 or torch.is_autocast_enabled(packed.device.type)
        rounding = 4 * torch.finfo(torch.bfloat16 if narrow else torch.float32).eps * float(self.alone.norm())
        return self._distance(packed) <= (NARROW if narrow else EXACT) * self.moved + rounding

    def _logits(self, inputs: Inputs) -> Tensor:
        found: Tensor = self.model(**{"use_cache": False, **inputs}).logits
        return found - found.mean(dim=-1, keepdim=True)

    def _distance(self, logits: Tensor) -> float:
        return float((logits.float() - self.alone.float()).norm())


def _attention(model: Any) -> str:
    return str(getattr(text_config(model.config), "_attn_implementation", None) or "eager")


def _autocast(model: Any, training: TrainingConfig) -> torch.autocast:
    """Of flash attention alone, which has no float32: elsewhere the proof is as exact as the weights are."""
    kind = next(model.parameters()).device.type
    return torch.autocast(kind, torch.bfloat16, enabled="flash" in _attention(model) and training.precision == "bf16")


def _counts_predictions(model: Any) -> bool:
    """Whether the Trainer can hand the model the number of predictions in a step, by the Trainer's own rule."""
    import inspect

    said = getattr(model, "accepts_loss_kwargs", None)
    if said is not None:
        return bool(said)
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(type(model).forward).parameters.values())


def _processes() -> int:
    from adept_bench.distributed.group import group

    return group().size
