"""What shows, without the whole model in memory, that an expanded checkpoint computes what its base computes.

If every tensor of the base is there unchanged, every layer of the base computes the same at its new number, and every
copy returns its input, then by induction over the layers the expanded model computes the base's function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from adept_bench.models.anatomy import layer_calls, probe_tokens, text_config
from adept_bench.models.certificate import reference
from adept_bench.models.depth import deeper_fields
from adept_bench.models.expansion import Expansion
from adept_bench.models.onelayer import Family, NotStreamable, alone, layers_alone, pair_of
from adept_bench.models.renumbering import LayerNames, new_number
from adept_bench.models.tensorfiles import Checkpoint, Planned, Stored, digest, is_filled
from adept_bench.models.writers import residual_writers


def silent_tensors(
    family: Family, layer: int, base: Checkpoint, names: LayerNames, made: dict[str, set[str]]
) -> tuple[list[str], dict[str, float]]:
    """What writes to the residual stream in base layer `layer`: the parameters' names in the layer's module, and
    rest of the name -> silencing value of the stored tensors that they are made of.

    `made`: what the layer's parameters are made of (`what_becomes_of`). Raises InputError where the writers cannot be
    found, and NotStreamable where they are stored in one tensor with something else.
    """
    tensors = names.of_layer(base.tensors, layer)
    planned = [Planned(names.at(0, rest), base.tensors[name]) for rest, name in tensors.items()]
    with layers_alone(family, [layer], planned, family.dtype) as model:
        layers = alone(family, model, 1)
        values = residual_writers(layers[0], *layer_calls(model, layers)[0])
    silent = {rest: value for name, value in values.items() for rest in made[name]}
    for name, sources in made.items():
        if name not in values and (both := sorted(sources & silent.keys())):
            raise NotStreamable(
                f"{both[0]} of layer {layer} is stored together with {name}, which is not to be silenced"
            )
    return sorted(values), silent


def layers_to_run(base: Any, expanded: Any, path: str, plan: Expansion, kinds: dict[int, Any]) -> list[int]:
    """The base layers that the proof must run: the copied ones, and of every kind of layer that gets another number
    the last; all of those whose buffers depend on the number.

    `kinds`: base layer -> what distinguishes its stored tensors. Raises NotStreamable where something outside of the
    layers depends on the depth.
    """
    ours, theirs = base.get_submodule(path), expanded.get_submodule(path)
    chosen = set(plan.sources)
    last: dict[Any, int] = {}
    for layer in range(plan.base_layers):
        number = new_number(plan, layer)
        if number == layer:
            continue
        last[repr((kinds[layer], type(ours[layer]), _settings(ours[layer], layer, theirs[number], number)))] = layer
        if not _same_buffers(ours[layer], theirs[number]):
            chosen.add(layer)
    outside = {n: m for n, m in base.named_modules() if not f"{n}.".startswith(f"{path}.")}
    for name, module in outside.items():
        other = expanded.get_submodule(name)
        floats = [{k: v for k, v in vars(one).items() if isinstance(v, float)} for one in (module, other)]
        if floats[0] != floats[1] or not _same_buffers(module, other, recurse=False):
            raise NotStreamable(f"{type(base).__name__}: {name or 'the model'} depends on the depth")
    return sorted(chosen | set(last.values()))


def _settings(layer: nn.Module, old: int, moved: nn.Module, new: int) -> list[tuple[str, str, Any]]:
    """The plain settings of a layer, those aside that are its number: `old` there, `new` in the `moved` layer."""
    there = dict(moved.named_modules())
    return [
        (name, attribute, value)
        for name, module in layer.named_modules()
        for attribute, value in sorted(vars(module).items())
        if isinstance(value, (bool, str, float, int))
        and not (type(value) is int and value == old and vars(there[name]).get(attribute) == new)
    ]


def _same_buffers(one: nn.Module, other: nn.Module, recurse: bool = True) -> bool:
    there = dict(other.named_buffers(recurse=recurse))
    return all(n in there and torch.equal(b, there[n]) for n, b in one.named_buffers(recurse=recurse))


def run_layer(
    family: Family,
    base: Any,
    expanded: Any,
    plan: Expansion,
    layer: int,
    output: Checkpoint,
    names: LayerNames,
    writers: Sequence[str],
) -> dict[str, bool | None]:
    """Run base layer `layer`, and its copy if it has one, from the tensors of the `output`; verdicts by name.

    `base`, `expanded`: the skeletons; `writers`: the layer's own, if it is copied. layers_equal: the layer computes at
    its new number, with the expanded configuration, exactly what it computes at its old one. copies_add_nothing: the
    copy returns its input exactly. pair_logits_equal, pair_decoding_equal: a model of layer and copy has the logits of
    a model of the layer alone, in one pass, and with a cache in chunks and then token by token (None where there is no
    cache).
    """
    number = new_number(plan, layer)
    ours, theirs = base.get_submodule(family.path)[layer], expanded.get_submodule(family.path)
    moved, quiet = True, True
    ends = []
    with _stored_layer(family, layer, output, names, number) as (model, weights), torch.no_grad():
        hidden, args, kwargs = layer_calls(model, alone(family, model))[0]
        noise = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0)).to(hidden)
        for entry in (hidden, noise):
            ends.append(_call(theirs[number], weights, entry, args, kwargs))
            moved &= _same(_call(ours, weights, entry, args, kwargs), ends[-1])
        kept = {name: weights.get_parameter(name).detach().clone() for name in writers}
    del model, weights  # before the copy is loaded: memory holds one of them
    if layer not in plan.sources:
        return {"layers_equal": moved}
    with _stored_layer(family, layer, output, names, number + 1) as (model, weights), torch.no_grad():
        _, args, kwargs = layer_calls(model, alone(family, model))[0]
        for end in ends:
            quiet &= _same(end, _call(theirs[number + 1], weights, end, args, kwargs))
        return {"layers_equal": moved, "copies_add_nothing": quiet} | _pair(family, model, kept, layer)


@contextmanager
def _stored_layer(
    family: Family, layer: int, output: Checkpoint, names: LayerNames, number: int
) -> Iterator[tuple[Any, nn.Module]]:
    """(model, its only layer): what `output` stores as layer `number`, as a model of base layer `layer`."""
    of_layer = names.of_layer(output.tensors, number)
    planned = [Planned(names.at(0, rest), output.tensors[name]) for rest, name in of_layer.items()]
    with layers_alone(family, [layer], planned, family.dtype) as model:
        yield model, alone(family, model)[0]


def _call(at: nn.Module, weights: nn.Module, hidden: torch.Tensor, args: Any, kwargs: Any) -> torch.Tensor:
    """The layer `at` of a skeleton, with the weights of a loaded layer."""
    result = functional_call(at, weights.state_dict(), (hidden, *args), kwargs)
    return result[0] if isinstance(result, tuple) else result


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.isfinite(one).all()) and torch.equal(one, other)


def _pair(family: Family, twin: Any, kept: dict[str, torch.Tensor], layer: int) -> dict[str, bool | None]:
    model = pair_of(family, layer, twin, kept)
    tokens = probe_tokens(model, batch=2, length=12)
    pair = reference(model, tokens)
    del alone(family, model, 2)[1]
    for name, value in deeper_fields(family.config, [layer]).items():
        setattr(text_config(model.config), name, value)
    single = reference(model, tokens)
    cached = None
    if single.cached is not None:
        cached = pair.cached is not None and _same(single.cached, pair.cached)
    return {"pair_logits_equal": _same(single.full, pair.full), "pair_decoding_equal": cached}


def compare_tensors(
    base: Checkpoint, output: Checkpoint, names: LayerNames, plan: Expansion, silent: dict[int, dict[str, bytes]]
) -> dict[str, Any]:
    """Read both checkpoints from disk and compare them, tensor by tensor, by the SHA-256 of their bytes.

    `silent`: copied layer -> rest of the name -> what the tensor of that name in its copy is filled with.
    """
    left = set(output.tensors)
    changed: list[str] = []
    wrong: list[str] = []
    filled = 0
    for name, stored in base.tensors.items():
        part = names.split(name)
        expected = digest(stored)
        place = name if part is None else names.at(new_number(plan, part[0]), part[1])
        if not _is(output, place, stored, expected):
            changed.append(name)
        left.discard(place)
        if part is None or part[0] not in plan.sources:
            continue
        twin = names.at(new_number(plan, part[0]) + 1, part[1])
        left.discard(twin)
        quiet = silent[part[0]].get(part[1])
        filled += quiet is not None
        right = _is(output, twin, stored, expected) if quiet is None else _is_silent(output, twin, stored, quiet)
        if not right:
            wrong.append(twin)
    return {
        "base_tensors": len(base.tensors),
        "base_tensors_identical": not changed,
        "copied_tensors": len(output.tensors) - len(base.tensors),
        "copied_tensors_right": not wrong,
        "silent_tensors": filled,
        "no_other_tensors": not left,
        "changed_tensors": _first(changed + wrong + sorted(left)),
    }


def _is(output: Checkpoint, name: str, stored: Stored, expected: str) -> bool:
    there = output.tensors.get(name)
    return (
        there is not None and (there.dtype, there.shape) == (stored.dtype, stored.shape) and digest(there) == expected
    )


def _is_silent(output: Checkpoint, name: str, stored: Stored, pattern: bytes) -> bool:
    there = output.tensors.get(name)
    alike = there is not None and (there.dtype, there.shape) == (stored.dtype, stored.shape)
    return there is not None and alike and is_filled(there, pattern)


def _first(names: Iterable[str]) -> list[str]:
    return list(names)[:10]
