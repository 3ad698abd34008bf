"""Function-preserving expansion: a copy of a layer directly after it, silent until it is trained.

ADEPT stage 1 (arXiv 2510.10071): the copy's residual writers start at zero, so the expanded model computes exactly
what the base computes.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from adept_bench.errors import InputError
from adept_bench.models.anatomy import anatomy, decoder_layers, evaluating, probe_tokens, text_config
from adept_bench.models.depth import Rebuilt, deeper_fields


@dataclass(frozen=True)
class Expansion:
    """Where the copies are.

    sources: base indices of the copied layers, ascending.
    copies: their copies' indices in the expanded model, ascending, aligned with `sources`.
    """

    base_layers: int
    sources: tuple[int, ...]
    copies: tuple[int, ...]

    @property
    def origin(self) -> tuple[int, ...]:
        """Index in the expanded model -> index of the base layer that it is or copies."""
        chosen = set(self.sources)
        return tuple(i for base in range(self.base_layers) for i in [base] * (2 if base in chosen else 1))


def plan_expansion(base_layers: int, layers: Sequence[int], *, option: str = "layers") -> Expansion:
    """The expansion of a model of `base_layers` layers by copies of `layers`.

    Raises InputError for no layer, a layer twice, or one out of range.
    """
    chosen = sorted(operator.index(layer) for layer in layers)
    if not chosen:
        raise InputError(f"{option}: none given; expected at least one layer to copy")
    for layer in chosen:
        if not 0 <= layer < base_layers:
            raise InputError(f"{option}: {layer} is out of range; expected 0 to {base_layers - 1}")
        if chosen.count(layer) > 1:
            raise InputError(f"{option}: {layer} is given twice; expected each layer once")
    return Expansion(base_layers, tuple(chosen), tuple(layer + 1 + i for i, layer in enumerate(chosen)))


def expand(model: Any, layers: Sequence[int], *, option: str = "layers") -> Expansion:
    """Expand `model` in place: after each of `layers` (base indices, any order) a copy that adds nothing yet.

    Configuration and layer numbers follow, so that caching, generation and save_pretrained / from_pretrained work.
    Raises InputError, and leaves the model as it was, for bad `layers`, for a family whose residual writers or depth
    cannot be read, and where the expanded model's logits would differ from the base's.
    """
    plan = plan_expansion(len(decoder_layers(model)[1]), layers, option=option)
    found = anatomy(model)
    refuse_shared(model, found.path, plan.sources)
    changes = deeper_fields(model.config, plan.origin)
    rebuilt = Rebuilt(model, found.path, plan.origin, changes)
    expected = _logits(model)
    undo_config = {name: getattr(text_config(model.config), name) for name in changes}
    undo: list[tuple[nn.Module, str, Any]] = []
    inserted: list[int] = []
    try:
        for source, place in zip(plan.sources, plan.copies, strict=True):
            found.layers.insert(place, _silent_copy(found.layers[place - 1], found.silent[source]))
            inserted.append(place)
        _set_config(model, changes)
        undo = rebuilt.adopt(model)
        logits = _logits(model)
        if (logits - expected).abs().max() > _tolerance(expected, model.dtype):
            names = ", ".join(sorted({name for _, name, _ in undo}))
            raise InputError(
                f"{type(model).__name__}: cannot be expanded without changing its function: "
                f"it depends on the layers' numbers or the depth (through {names})"
            )
    except BaseException:
        for module, name, value in reversed(undo):
            setattr(module, name, value)
        for place in reversed(inserted):
            del found.layers[place]
        _set_config(model, undo_config)
        raise
    return plan


def _silent_copy(layer: nn.Module, silent: dict[str, float]) -> nn.Module:
    # modules keep a reference to the model's one configuration: the copy shares it
    configs = {id(v): v for m in layer.modules() for v in vars(m).values() if hasattr(v, "to_diff_dict")}
    twin = copy.deepcopy(layer, configs)
    with torch.no_grad():
        for name, value in silent.items():
            twin.get_parameter(name).fill_(value)
    for parameter in twin.parameters():
        parameter.grad = None
    return twin


def refuse_shared(model: nn.Module, path: str, sources: Sequence[int]) -> None:
    """Raise InputError for a layer of the list at `path` whose parameters are also someone else's: it would have no
    copy of its own in the saved checkpoint."""
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    for source in sources:
        prefix = f"{path}.{source}."
        for parameter in model.get_submodule(prefix[:-1]).parameters():
            if others := [name for name in owners[id(parameter)] if not name.startswith(prefix)]:
                raise InputError(
                    f"{type(model).__name__}: {prefix[:-1]} cannot be copied: it shares its parameters with {others[0]}"
                )


def _set_config(model: Any, fields: dict[str, Any]) -> None:
    config = text_config(model.config)
    for name, value in fields.items():
        setattr(config, name, value)


def _logits(model: Any) -> torch.Tensor:
    with torch.no_grad(), evaluating(model):
        return model(input_ids=probe_tokens(model), use_cache=False).logits.float()


def _tolerance(logits: torch.Tensor, dtype: torch.dtype) -> float:
    # silent layers add exact zeros; the slack is for kernels whose result varies from run to run
    return max(1e-5, torch.finfo(dtype).eps) * max(float(logits.abs().max()), 1e-6)
