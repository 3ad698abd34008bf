"""Two or more domains' adapted models of one base into one (paper, appendix on merging)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adept_bench.errors import InputError
from adept_bench.guarded import RECORD, read_json
from adept_bench.models.certificate import parameter_digests
from adept_bench.models.checkpoints import check_readable, load_model
from adept_bench.models.expansion import Expansion, expand, plan_expansion
from adept_bench.models.places import local_folder
from adept_bench.models.renumbering import layer_name_candidates
from adept_bench.models.tensorfiles import Stored, same_bytes


@dataclass(frozen=True)
class Adapted:
    """An adapted checkpoint as its folder describes it. `layers`: base layers that have a copy, if any."""

    folder: Path
    base_hash: str
    base_layers: int
    layers: tuple[int, ...]

    @property
    def copy_of(self) -> dict[int, int]:
        """Base layer -> index of its copy in this model."""
        if not self.layers:
            return {}
        plan = plan_expansion(self.base_layers, self.layers)
        return dict(zip(plan.sources, plan.copies, strict=True))


def describe(folder: str | Path) -> Adapted:
    """What adaptation.json or expansion.json of an adapted checkpoint says. Raises InputError where neither does."""
    folder = Path(folder).expanduser()
    if not folder.exists():
        raise InputError(f"--models: no folder {str(folder)!r}; expected a checkpoint written by `adept-bench adapt`")
    place = local_folder(str(folder), "--models")
    assert place is not None  # what exists is no Hub id
    for name in ("expansion.json", "adaptation.json"):
        path = place / name
        if path.is_file():
            return _described(folder, path)
    raise InputError(
        f"--models: {folder} holds neither expansion.json nor adaptation.json; "
        "expected a checkpoint written by `adept-bench adapt` or `expand`"
    )


def _described(folder: Path, path: Path) -> Adapted:
    try:
        record = read_json(path, RECORD, "the record of an adapted checkpoint", "--models")
        if path.name == "expansion.json":
            found = Adapted(folder, record["base_hash"], record["base_layers"], tuple(record["layers"]))
        else:
            found = Adapted(folder, record["model"]["hash"], record["trained"]["base_layers"], ())
        numbers = (found.base_layers, *found.layers)
        if not isinstance(found.base_hash, str) or not all(type(one) is int for one in numbers):
            raise TypeError("a hash that is no text, or layers that are no whole numbers")
        return found
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as the record of an adapted checkpoint ({error!r})") from None


def check_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """Weights that add up to 1, by default equal ones. Raises InputError for a wrong number of them, or one below 0."""
    if weights is None:
        return [1 / count] * count
    if len(weights) != count:
        raise InputError(f"--weights: {len(weights)} given for {count} models; expected one a model")
    if not all(map(math.isfinite, weights)) or min(weights) < 0 or not sum(weights) > 0:
        raise InputError(f"--weights: {', '.join(map(str, weights))}; expected numbers from 0 that are not all 0")
    return [weight / sum(weights) for weight in weights]


def merge(
    folders: Sequence[str | Path], weights: Sequence[float] | None = None, **loading: Any
) -> tuple[Any, Expansion | None]:
    """One model of the adapted ones, and where its copies are (None for models without copies).

    Copies of a layer that several models copied are averaged by `weights`, normalised over those models; a copy that
    only one model has is taken as it is. What is not a copy must be the same in all. Models without copies (`full`,
    `replay`, `frozen`, `lora`) are averaged parameter by parameter. `loading`: as for `load_model`.
    Raises InputError for fewer than two models, models of different bases, models of which some have copies and
    some not, and frozen parameters that differ.
    """
    found = comparable(folders, weights)
    shares = check_weights(weights, len(found))
    if not found[0].layers:
        return _averaged(found, shares, loading), None
    return _united(found, shares, loading)


def comparable(folders: Sequence[str | Path], weights: Sequence[float] | None) -> list[Adapted]:
    """The models to merge, as their folders describe them; before any is loaded. Raises InputError as `merge` does."""
    found = [describe(folder) for folder in folders]
    if len(found) < 2:
        raise InputError(f"--models: {len(found)} given; expected at least two, separated by a comma")
    shares = check_weights(weights, len(found))
    for other in found[1:]:
        if (other.base_hash, other.base_layers) != (found[0].base_hash, found[0].base_layers):
            raise InputError(f"--models: {found[0].folder} and {other.folder} were adapted from different bases")
        if bool(other.layers) != bool(found[0].layers):
            raise InputError(
                f"--models: of {found[0].folder} and {other.folder} only one has copied layers; merge like with like"
            )
    for layer in sorted({layer for one in found for layer in one.layers}):
        if not sum(share for one, share in zip(found, shares, strict=True) if layer in one.layers) > 0:
            raise InputError(f"--weights: only models of weight 0 copied layer {layer}; expected a weight above 0")
    return found


def check_frozen(found: Sequence[Adapted]) -> None:
    """Raise InputError where the files of models with copies differ in a tensor that is no copy's.

    From file to file, a piece of a tensor in memory at a time. Tensors of other names or types are left to the
    comparison of the loaded models (`merge`).
    """
    if not found[0].layers:
        return
    first, *others = (_frozen_tensors(one) for one in found)
    for one, tensors in zip(found[1:], others, strict=True):
        for name in sorted(first.keys() & tensors.keys()):
            mine, theirs = first[name], tensors[name]
            if (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape) and not same_bytes(mine, theirs):
                raise _differ(found[0], one, name)


def _frozen_tensors(adapted: Adapted) -> dict[str, Stored]:
    """The stored tensors that are no copy's, by their name in the base; none where names do not number the layers."""
    folder = local_folder(str(adapted.folder), "--models")
    assert folder is not None  # `describe` has found it
    stored = check_readable(folder, str(adapted.folder), "--models").tensors
    names = next(iter(layer_name_candidates(stored, adapted.base_layers + len(adapted.layers), "layers")), None)
    if names is None:
        return {}
    copies = set(adapted.copy_of.values())
    original = {place: layer for layer, place in _places_of_originals(adapted).items()}
    kept = {}
    for name, tensor in stored.items():
        part = names.split(name)
        if part is None:
            kept[name] = tensor
        elif part[0] not in copies and part[0] in original:
            kept[names.at(original[part[0]], part[1])] = tensor
    return kept


def _differ(one: Adapted, other: Adapted, name: str) -> InputError:
    return InputError(
        f"--models: {one.folder} and {other.folder} differ in parameters that are no copies, first {name}; expected "
        "models of one base that was frozen"
    )


def _averaged(found: Sequence[Adapted], shares: Sequence[float], loading: dict[str, Any]) -> Any:
    """The weighted mean of every parameter, in float32, in the first model's dtype."""
    model = _load(found[0], loading)
    totals = {name: shares[0] * value.float() for name, value in model.state_dict().items()}
    for other, share in zip(found[1:], shares[1:], strict=True):
        for name, value in _load(other, loading).state_dict().items():
            totals[name] += share * value.float()
    model.load_state_dict({name: value.to(model.state_dict()[name].dtype) for name, value in totals.items()})
    return model


def _united(found: Sequence[Adapted], shares: Sequence[float], loading: dict[str, Any]) -> tuple[Any, Expansion]:
    """The first model with a copy after every layer that any of them copied; then each copy's weights."""
    first, base_layers = found[0], found[0].base_layers
    plan = plan_expansion(base_layers, sorted({layer for one in found for layer in one.layers}))
    model = _load(first, loading)
    frozen = _frozen_digests(model, first)
    more = [layer for layer in plan.sources if layer not in first.layers]
    if more:
        place = _places_of_originals(first)
        expand(model, [place[layer] for layer in more], option="--models")
    where = dict(zip(plan.sources, plan.copies, strict=True))
    mass = {layer: sum(w for one, w in zip(found, shares, strict=True) if layer in one.layers) for layer in where}
    totals: dict[tuple[int, str], torch.Tensor] = {}
    for one, share in zip(found, shares, strict=True):
        source = model if one is first else _load(one, loading)
        if one is not first and (others := _frozen_digests(source, one)) != frozen:
            raise _differ(first, one, min(name for name, _ in others.items() ^ frozen.items()))
        copies = where if one is first else one.copy_of
        for layer in one.layers:
            for name, value in _layer(source, copies[layer]).state_dict().items():
                weighted = share / mass[layer] * value.float()
                totals[layer, name] = totals[layer, name] + weighted if (layer, name) in totals else weighted
    for layer, index in where.items():
        target = _layer(model, index)
        dtypes = {name: value.dtype for name, value in target.state_dict().items()}
        target.load_state_dict({name: totals[layer, name].to(dtype) for name, dtype in dtypes.items()})
    return model, plan


def inserted(first: Adapted, plan: Expansion) -> Expansion | None:
    """What merging inserted into the first model: the copies of `plan`, the merged model's, that it had not."""
    place = _places_of_originals(first)
    more = [place[layer] for layer in plan.sources if layer not in first.layers]
    return plan_expansion(first.base_layers + len(first.layers), more) if more else None


def _load(adapted: Adapted, loading: dict[str, Any]) -> Any:
    return load_model(str(adapted.folder), option="--models", **{"dtype": "auto", **loading})


def _layer(model: Any, index: int) -> Any:
    from adept_bench.probing.decoder import decoder

    return decoder(model).layers[index]


def _places_of_originals(adapted: Adapted) -> dict[int, int]:
    """Base layer -> its index in the adapted model."""
    copied = sorted(adapted.layers)
    return {layer: layer + sum(other < layer for other in copied) for layer in range(adapted.base_layers)}


def _frozen_digests(model: Any, adapted: Adapted) -> dict[str, str]:
    """Digest of every parameter that is no copy, by its name in the base."""
    from adept_bench.probing.decoder import decoder

    found = decoder(model)
    copies = set(adapted.copy_of.values())
    original = {place: layer for layer, place in _places_of_originals(adapted).items()}
    kept = {}
    for name in dict(model.named_parameters()):
        layer = found.layer_of(name)
        if layer is None:
            kept[name] = name
        elif layer not in copies:
            kept[name] = name.replace(f"{found.path}.{layer}.", f"{found.path}.{original[layer]}.", 1)
    digests = parameter_digests(model, list(kept))
    return {kept[name]: digest for name, digest in digests.items()}
