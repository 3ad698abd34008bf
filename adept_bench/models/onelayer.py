"""One decoder layer at a time, loaded by plain transformers from a small checkpoint made of the layer's own tensors.

The small checkpoint has the model's configuration with one or two layers and a vocabulary of a few words. What the
layer's tensors become in the model, what it writes to the residual stream and whether a copy of it is silent can then
be seen without the rest of the model, whatever the family calls its weights on disk.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adept_bench.errors import InputError
from adept_bench.models.anatomy import decoder_layers, text_config
from adept_bench.models.checkpoints import quiet_transformers
from adept_bench.models.depth import Rebuilt, deeper_fields
from adept_bench.models.renumbering import LayerNames
from adept_bench.models.tensorfiles import SINGLE, Planned, Stored, write_tensors

WORDS = 64  # vocabulary of the small checkpoints
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_FIRST_DYE, _LAST_DYE = 0x3F80, 0x7F7F  # bit patterns of bfloat16 from 1 to the largest number, all different


class NotStreamable(InputError):
    """The checkpoint cannot be expanded piece by piece; as a whole it perhaps can."""


@dataclass(frozen=True)
class Family:
    """What all layers of a checkpoint share.

    config: without quantisation, since layers are looked at in plain numbers. path: the layers' module name. dtype:
    what transformers would load the checkpoint in. folder: the base's, for its own code. temporary: for small
    checkpoints, on the output's disk.
    """

    config: Any
    path: str
    dtype: torch.dtype
    folder: Path
    temporary: Path
    trust_remote_code: bool = False

    @property
    def depth(self) -> int:
        return int(text_config(self.config).num_hidden_layers)


def skeleton(config: Any, dtype: torch.dtype, trust_remote_code: bool) -> Any:
    """The model that `config` describes, at full depth: its parameters have shapes and no memory, its buffers values.

    Raises NotStreamable where it cannot be built so.
    """
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    with _not_streamable("cannot be built without its weights"), quiet_transformers(), _own_generator():
        with init_empty_weights(include_buffers=False):
            model = AutoModelForCausalLM.from_config(
                copy.deepcopy(config), dtype=dtype, trust_remote_code=trust_remote_code
            )
        return model.eval()


def deeper_skeleton(base: Any, origin: Sequence[int], dtype: torch.dtype, trust_remote_code: bool) -> Any:
    """The skeleton of the expanded model, for the `base` skeleton; refuses what `Rebuilt` refuses."""
    changes = deeper_fields(base.config, origin)
    path = decoder_layers(base)[0]
    Rebuilt(base, path, origin, changes)
    return skeleton(with_fields(base.config, changes), dtype, trust_remote_code)


def with_fields(config: Any, changes: dict[str, Any]) -> Any:
    """A copy of `config` with the decoder's fields changed, as it comes back from its own config.json."""
    config = copy.deepcopy(config)
    for name, value in changes.items():
        setattr(text_config(config), name, value)
    return type(config).from_dict(config.to_dict())


@contextmanager
def layers_alone(
    family: Family, sources: Sequence[int], tensors: Sequence[Planned], dtype: torch.dtype
) -> Iterator[Any]:
    """A model of the layers `sources` (base numbers, one per layer) made of `tensors`, loaded by plain transformers.

    `tensors` have the names of layers 0, 1, ... What belongs to no layer is random. Raises NotStreamable where the
    loader does not find all of the layers' weights.
    """
    from transformers import AutoModelForCausalLM

    folder = Path(tempfile.mkdtemp(dir=family.temporary))
    try:
        changes = deeper_fields(family.config, sources)
        with _not_streamable("has layers that cannot be loaded one by one"), one_thread(), _own_generator():
            config = few_words(with_fields(family.config, changes))
            config.save_pretrained(folder)
            if family.trust_remote_code:
                for code in family.folder.glob("*.py"):
                    shutil.copyfile(code, folder / code.name)
            write_tensors(folder / SINGLE, tensors, {"format": "pt"})
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                trust_remote_code=family.trust_remote_code,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
            model, info = loaded
            missing = sorted(name for name in info["missing_keys"] if name.startswith(f"{family.path}."))
            odd = missing + sorted(str(one[0]) for one in info["mismatched_keys"])
            if odd:
                raise NotStreamable(f"transformers finds no fitting weights for {odd[0]} in the layer's own tensors")
        yield model.eval()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def few_words(config: Any) -> Any:
    """`config` with a vocabulary of at most WORDS, in place."""
    text = text_config(config)
    text.vocab_size = min(WORDS, text.vocab_size)
    for one in (config, text):
        if isinstance(getattr(one, "pad_token_id", None), int):
            one.pad_token_id = min(one.pad_token_id, text.vocab_size - 1)
    return config


def pair_of(family: Family, layer: int, twin: Any, kept: dict[str, torch.Tensor]) -> Any:
    """A model of base layer `layer` and its copy, from the copy alone: they differ in the writers.

    `twin`: the model of `layers_alone` that holds the copy; `kept`: the layer's own writers by their names in it. All
    else is shared, so that memory holds one layer and some writers.
    """
    changes = deeper_fields(family.config, [layer, layer])
    config = few_words(with_fields(family.config, changes))
    pair = skeleton(config, family.dtype, family.trust_remote_code)
    there = twin.state_dict(keep_vars=True)
    for name in pair.state_dict():
        first = name.removeprefix(f"{family.path}.0.")
        value = kept.get(first) if first != name else None
        if value is None:
            value = there[name.replace(f"{family.path}.1.", f"{family.path}.0.", 1)]
        where, _, leaf = name.rpartition(".")
        module = pair.get_submodule(where)
        kind = module._parameters if leaf in module._parameters else module._buffers
        kind[leaf] = nn.Parameter(value.detach(), requires_grad=False) if kind is module._parameters else value
    return pair


def alone(family: Family, model: Any, count: int = 1) -> nn.ModuleList:
    """The decoder layers of a model of `layers_alone`."""
    layers = model.get_submodule(family.path)
    if not isinstance(layers, nn.ModuleList) or len(layers) != count:
        raise NotStreamable(f"{type(model).__name__}: {family.path} does not hold {count} layers at that depth")
    return layers


def what_becomes_of(family: Family, layer: int, tensors: dict[str, Stored], names: LayerNames) -> dict[str, set[str]]:
    """Each parameter of the layer's module -> the stored tensors (`rest` of their names) that it is made of.

    `tensors`: rest -> tensor of base layer `layer`; `names`: the LayerNames to store them under. Every tensor is
    replaced by a number of its own, and the numbers that arrive in a parameter tell where it comes from, also where
    the loader transposes, stacks or fuses. Raises NotStreamable where other numbers arrive.
    """
    dyes: dict[int, str] = {}
    planned = []
    for rest, stored in tensors.items():
        if stored.dtype in _FLOATS and _FIRST_DYE + len(dyes) <= _LAST_DYE:
            dye = _FIRST_DYE + len(dyes)
            dyes[dye] = rest
            planned.append(Planned(names.at(0, rest), stored, dye.to_bytes(2, "little"), "BF16"))
        else:
            planned.append(Planned(names.at(0, rest), stored))
    made: dict[str, set[str]] = {}
    with layers_alone(family, [layer], planned, torch.bfloat16) as model:
        for name, parameter in alone(family, model, 1)[0].named_parameters():
            if not parameter.is_floating_point():
                continue
            seen = _numbers(parameter)
            if unknown := seen - dyes.keys():
                raise NotStreamable(f"{name} of a layer is computed from its stored tensors, not taken ({unknown})")
            made[name] = {dyes[number] for number in seen}
    return made


def _numbers(parameter: torch.Tensor) -> set[int]:
    """The bit patterns (as bfloat16) that occur in the parameter."""
    found: set[int] = set()
    for piece in parameter.detach().reshape(-1).split(2**16):
        bits = piece.to(torch.bfloat16).view(torch.int16)
        low, high = map(int, torch.aminmax(bits))
        found |= {low} if low == high else set(torch.unique(bits).tolist())
    return {number & 0xFFFF for number in found}


@contextmanager
def one_thread() -> Iterator[None]:
    """Transformers loading quietly and in this thread: what other threads release, their allocators keep."""
    name = "HF_DEACTIVATE_ASYNC_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        with quiet_transformers():
            yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _own_generator() -> Iterator[None]:
    """What is random (weights that a small checkpoint lacks) is the same each time and disturbs nobody."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@contextmanager
def _not_streamable(what: str) -> Iterator[None]:
    try:
        yield
    except NotStreamable:
        raise
    except Exception as error:
        # transformers, accelerate and a family's own code raise anything
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise NotStreamable(f"the model {what}: {lines[0] if lines else type(error).__name__}") from error
