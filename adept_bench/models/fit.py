"""Whether a checkpoint's files fit its configuration, from names and shapes; and what of them the model never holds.

The model is loaded without memory, so that a checkpoint of any size is checked before any work, and alike whether it
then goes through memory or from file to file.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from adept_bench.errors import InputError
from adept_bench.files import write_json
from adept_bench.models.anatomy import decoder_layers
from adept_bench.models.checkpoints import check_readable, quiet_transformers
from adept_bench.models.declared import check_special_ids
from adept_bench.models.expansion import Expansion
from adept_bench.models.fetching import local_files
from adept_bench.models.misfits import not_finite, prediction_layers, refuse_layers, refuse_misfits
from adept_bench.models.onelayer import one_thread
from adept_bench.models.renumbering import LayerNames, layer_name_candidates, new_number
from adept_bench.models.tensorfiles import INDEX, Checkpoint, Planned, Stored, pieces, read_checkpoint, write_tensors

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Beside:
    """Stored tensors that the model never holds though its configuration or family counts them: prediction heads.

    names: how layers are numbered in the names of those that are. size: bytes of all of the checkpoint's tensors.
    """

    tensors: dict[str, Stored] = field(default_factory=dict)
    names: LayerNames | None = None
    size: int = 0

    def planned(self, expansion: Expansion | None = None) -> Iterator[Planned]:
        """Them as they belong beside the model, expanded or not: what is numbered stays behind the last layer."""
        for name, stored in self.tensors.items():
            part = self.names.split(name) if self.names is not None and expansion is not None else None
            if part is None or self.names is None or expansion is None:
                yield Planned(name, stored)
            else:
                yield Planned(self.names.at(new_number(expansion, part[0]), part[1]), stored)


def read_config(folder: Path, trust_remote_code: bool, option: str = "--model") -> Any:
    """The configuration in `folder`, as transformers reads it; raises InputError."""
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{option}: cannot load the configuration of {folder}: {reason}") from error


def without_quantisation(config: Any) -> Any:
    """A copy of `config` that knows nothing of how its weights are stored."""
    config = copy.deepcopy(config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def on_meta(folder: Path, config: Any, dtype: torch.dtype | str, trust_remote_code: bool) -> tuple[Any, dict[str, Any]]:
    """(Model of `config` without memory, what transformers found for it in the files of `folder`)."""
    from transformers import AutoModelForCausalLM

    with one_thread():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder),
            config=config,
            dtype=dtype,
            device_map={"": "meta"},
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return loaded


def check_fit(stored: Checkpoint, trust_remote_code: bool, option: str = "--model") -> Beside:
    """What of the checkpoint is to be kept beside the model. Nothing of the weights is read.

    Raises InputError, naming `option`, for weights that are missing, of another shape, without a place in the model, or
    of layers that the configuration does not count. A family that cannot be built without its weights is not checked.
    """
    config = read_config(stored.folder, trust_remote_code, option)
    quantised = hasattr(config, "quantization_config")
    try:
        model, info = on_meta(stored.folder, without_quantisation(config), "auto", trust_remote_code)
    except Exception:  # its own code, or a version that lacks a kernel: loading it will say what there is to say
        return Beside(size=stored.size)
    if quantised:  # scales, which the plain model has no place for
        info = {**info, "unexpected_keys": set()}
    path, layers = decoder_layers(model)
    depth = len(layers)
    names = next(iter(layer_name_candidates(stored.tensors, depth, path)), None)
    numbers = _layer_numbers(stored, names)
    counted = range(depth, depth + prediction_layers(config))
    refuse_layers(numbers, depth, counted, stored.folder, option)
    refuse_misfits(info, model, stored.folder, option)
    ignored = _ignored(model)
    kept = {
        name: tensor
        for name, tensor in stored.tensors.items()
        if (numbers[name] >= depth if name in numbers else ignored is not None and _left_over(name, model, ignored))
    }
    return Beside(kept, names, stored.size)


def kept_beside(source: str, revision: str | None, trust_remote_code: bool, option: str = "--model") -> Beside:
    """`check_fit` of the checkpoint that `source` names, whose files are fetched where they are a Hub's.

    Raises InputError, too, for quantised weights: this is for what loads the model and writes it anew.
    """
    check_special_ids(source, revision, trust_remote_code, option)
    folder = local_files(source, revision, option)
    return check_fit(check_readable(folder, source, option), trust_remote_code, option)


def _layer_numbers(stored: Checkpoint, names: LayerNames | None) -> dict[str, int]:
    if names is None:
        return {}
    parts = ((name, names.split(name)) for name in stored.tensors)
    return {name: part[0] for name, part in parts if part is not None}


def _ignored(model: Any) -> re.Pattern[str] | None:
    """What the family's own patterns let pass without a place in the model."""
    patterns = getattr(model, "_keys_to_ignore_on_load_unexpected", None)
    return re.compile("|".join(f"(?:{pattern})" for pattern in sorted(patterns))) if patterns else None


def _left_over(name: str, model: Any, ignored: re.Pattern[str]) -> bool:
    prefix = f"{model.base_model_prefix}."
    held = {name, prefix + name, name.removeprefix(prefix)} & model.state_dict().keys()
    return not held and ignored.search(name) is not None


def refuse_stored_not_finite(stored: Checkpoint, option: str = "--model") -> None:
    """As `misfits.refuse_not_finite`, of a checkpoint's files, 4 MiB at a time; fp8 and integers are left out."""
    for name, tensor in stored.tensors.items():
        dtype = _DTYPES.get(tensor.dtype)
        if dtype is None:
            continue
        for piece in pieces(tensor):
            low, high = torch.aminmax(torch.frombuffer(bytearray(piece), dtype=dtype))
            if not bool(torch.isfinite(low) & torch.isfinite(high)):
                raise not_finite(name, stored.folder, option)


def write_beside(folder: Path, beside: Beside, expansion: Expansion | None = None) -> None:
    """Add the kept tensors to the checkpoint that transformers saved in `folder`: one more file, an index of all."""
    planned = list(beside.planned(expansion))
    if not planned:
        return
    saved = read_checkpoint(folder, "--output")
    count = len(saved.files) + 1
    name = "model-{:05d}-of-{:05d}.safetensors".format
    places = {}
    for number, file in enumerate(sorted(saved.files), 1):
        places[file] = name(number, count)
    weight_map = {key: places[tensor.file] for key, tensor in saved.tensors.items()}
    for file, new in places.items():
        file.rename(folder / new)
    write_tensors(folder / name(count, count), planned, saved.metadata)
    weight_map |= {one.name: name(count, count) for one in planned}
    size = saved.size + sum(one.size for one in planned)
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": weight_map})
