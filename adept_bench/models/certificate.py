"""Proofs: expansion changed nothing at step 0, and training changed nothing that was frozen."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adept_bench.models.anatomy import decoder_layers, evaluating
from adept_bench.models.expansion import Expansion

TOLERANCE = 1e-5  # of the largest logit; identity layers add exact zeros, so in practice the difference is 0


@dataclass(frozen=True)
class Reference:
    """What a model computes on some tokens: logits [batch, time, vocabulary] in float32, on the CPU.

    full: from one forward pass; cached: through a key-value cache in three chunks and then token by token, None where
    the model offers no cache, or cannot decode with it.
    """

    full: torch.Tensor
    cached: torch.Tensor | None


def reference(model: Any, tokens: torch.Tensor) -> Reference:
    """Run `model` on `tokens` [batch, time], with and without its cache."""
    device = next(model.parameters()).device
    tokens = tokens.to(device)
    with torch.no_grad(), evaluating(model):
        full = model(input_ids=tokens, use_cache=False).logits
        try:
            return Reference(full.float().cpu(), _cached(model, tokens))
        except (RuntimeError, ValueError, IndexError, TypeError):
            # wrongly numbered layers meet in one cache entry, and its shapes no longer fit
            return Reference(full.float().cpu(), None)


def _cached(model: Any, tokens: torch.Tensor) -> torch.Tensor | None:
    length = tokens.shape[1]
    # two chunks catch copies that write to their source's cache entry; single tokens are what generation does
    ends = sorted({max(1, length // 2), max(1, length - 2), *range(max(1, length - 1), length + 1)})
    cache, start, pieces = None, 0, []
    for end in ends:
        output = model(input_ids=tokens[:, start:end], past_key_values=cache, use_cache=True)
        cache, start = getattr(output, "past_key_values", None), end
        if cache is None:
            return None
        pieces.append(output.logits.float().cpu())
    return torch.cat(pieces, dim=1)


def certify_expansion(
    base: Any,
    expanded: Any,
    expansion: Expansion,
    tokens: torch.Tensor,
    *,
    reload: bool | Path = True,
    tolerance: float = TOLERANCE,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Compare `expanded` at step 0 with `base` (a model, or the `Reference` taken before expanding in place).

    Logits, cached decoding (chunks, then single tokens) and the model saved and loaded again by plain transformers;
    `reload` may be a folder that already holds the saved model. "Equal" means a largest difference of at most
    `tolerance` (not below the dtype's resolution) times the largest logit. Differences are in logits; None where a
    value is not finite or was not measured.
    """
    before = base if isinstance(base, Reference) else reference(base, tokens)
    after = reference(expanded, tokens)
    limit = max(tolerance, torch.finfo(expanded.dtype).eps) * max(float(before.full.abs().max()), 1e-6)
    certificate: dict[str, Any] = {
        "tokens": tokens.numel(),
        "sources": list(expansion.sources),
        "copies": list(expansion.copies),
        "tolerance": limit,
        **_compare("logit", "logits_equal", before.full, after.full, limit),
        **_compare("cached", "cached_decoding_equal", before.cached, after.cached, limit),
    }
    if reload is not False:
        again = _reloaded(expanded, tokens, None if reload is True else Path(reload), trust_remote_code)
        certificate |= _compare("reload", "reload_equal", before.full, again, limit)
    return certificate


def holds(certificate: dict[str, Any]) -> bool:
    """Whether nothing that an expansion certificate measured differs."""
    return all(value is not False for value in certificate.values())


def _compare(
    name: str, verdict: str, one: torch.Tensor | None, other: torch.Tensor | None, limit: float
) -> dict[str, Any]:
    if one is None or other is None:
        return {verdict: None if one is None else False, f"max_{name}_difference": None}
    if one.shape != other.shape:
        return {verdict: False, f"max_{name}_difference": None}
    difference = float((one - other).abs().max())
    finite = difference == difference and difference != float("inf")
    return {verdict: finite and difference <= limit, f"max_{name}_difference": difference if finite else None}


def _reloaded(model: Any, tokens: torch.Tensor, folder: Path | None, trust_remote_code: bool) -> torch.Tensor:
    from adept_bench.models.checkpoints import load_model, quiet_transformers

    with tempfile.TemporaryDirectory(prefix="adept-bench-") as temporary:
        if folder is None:
            folder = Path(temporary)
            with quiet_transformers():
                model.save_pretrained(folder)
        again = load_model(
            str(folder),
            dtype="auto",
            device=str(next(model.parameters()).device),
            trust_remote_code=trust_remote_code,
            attn_implementation=model.config._attn_implementation,
        )
        with torch.no_grad():
            return again(input_ids=tokens.to(again.device), use_cache=False).logits.float().cpu()


def parameter_digests(model: nn.Module, names: Iterable[str] | None = None) -> dict[str, str]:
    """SHA-256 of each parameter's raw bytes (any dtype and device), tied ones once; buffers are left out."""
    wanted = None if names is None else set(names)
    return {n: _digest(p) for n, p in model.named_parameters() if wanted is None or n in wanted}


def _digest(parameter: torch.Tensor) -> str:
    data = parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(data.numpy().data).hexdigest()


def certify_training(
    model: nn.Module, before: dict[str, str], trainable: set[str], copies: Sequence[int] | None
) -> dict[str, Any]:
    """Compare a trained model with the digests taken `before` training (all parameters, same structure).

    A frozen tensor that changed, vanished or appeared is listed in `changed_frozen`; a trainable one that did not move
    in `unchanged_trainable`. `trainable_is_copies`: whether the trainable set is exactly the parameters of the layers
    `copies` (None where the method makes no copies).
    """
    now = parameter_digests(model)
    frozen = (before.keys() | now.keys()) - trainable
    changed = sorted(name for name in frozen if before.get(name) != now.get(name))
    exact = None
    if copies is not None:
        path, layers = decoder_layers(model)
        exact = trainable == {f"{path}.{i}.{name}" for i in copies for name, _ in layers[i].named_parameters()}
    return {
        "frozen_identical": not changed,
        "frozen_tensors": len(frozen),
        "changed_frozen": changed,
        "trainable_is_copies": exact,
        "trainable_tensors": len(trainable),
        "unchanged_trainable": sorted(n for n in trainable if before.get(n) is not None and before[n] == now.get(n)),
    }
