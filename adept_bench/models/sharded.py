"""Expansion of a checkpoint file by file: its tensors go from disk to disk, and only single layers are ever loaded.

Memory holds one decoder layer and its copy, whatever the size of the model. Structure is found as for a whole model,
from what the layers compute (`residual_writers`), on one layer of each kind at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from adept_bench.errors import InputError
from adept_bench.files import write_whole
from adept_bench.guarded import MODEL, read_json
from adept_bench.models.anatomy import decoder_layers, text_config
from adept_bench.models.depth import deeper_fields
from adept_bench.models.expansion import Expansion, plan_expansion
from adept_bench.models.fit import on_meta, read_config, refuse_stored_not_finite, without_quantisation
from adept_bench.models.folders import check_room
from adept_bench.models.layerproof import compare_tensors, layers_to_run, run_layer, silent_tensors
from adept_bench.models.onelayer import (
    Family,
    NotStreamable,
    deeper_skeleton,
    skeleton,
    what_becomes_of,
    with_fields,
)
from adept_bench.models.renumbering import LayerNames, expanded_config, layer_name_candidates, new_number
from adept_bench.models.tensorfiles import Checkpoint, Planned, read_checkpoint, write_checkpoint
from adept_bench.progress import reporter

# what is never copied: weights in any format, and what belongs to the base alone
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".gguf", ".onnx", ".npz", ".ot"}
_OWN = {
    "config.json",
    "README.md",
    "expansion.json",
    "adaptation.json",
    "merge.json",
    "trainer_state.json",
    "trainer_log.jsonl",
}
_FOLDERS = ("additional_chat_templates",)
_ONES = {  # the bytes of -1
    "F64": b"\x00\x00\x00\x00\x00\x00\xf0\xbf",
    "F32": b"\x00\x00\x80\xbf",
    "F16": b"\x00\xbc",
    "BF16": b"\x80\xbf",
}


def expand_files(
    base: Checkpoint, output: Path, layers: Sequence[int], *, trust_remote_code: bool = False
) -> tuple[Expansion, dict[str, Any]]:
    """Write the checkpoint `base`, expanded after `layers`, to the folder `output`; returns (where, certificate).

    Raises InputError for bad layers, damaged files and an output that fails its certificate, and NotStreamable
    (an InputError) where this family cannot be expanded layer by layer.
    """
    refuse_stored_not_finite(base)
    family, shape = _family(base, output, trust_remote_code)
    plan = plan_expansion(family.depth, layers, option="--layers")
    deeper = deeper_skeleton(shape, plan.origin, family.dtype, trust_remote_code)
    names, made = _names(family, base, plan)
    kinds = {layer: _kind(base, names, layer) for layer in range(family.depth)}
    run = layers_to_run(shape, deeper, family.path, plan, kinds)
    silent: dict[int, dict[str, bytes]] = {}
    writers: dict[int, list[str]] = {}
    for layer in plan.sources:
        if kinds[layer] not in made:
            made[kinds[layer]] = _made(family, base, names, layer)
        writers[layer], values = silent_tensors(family, layer, base, names, made[kinds[layer]])
        stored = names.of_layer(base.tensors, layer)
        silent[layer] = {rest: _bytes(base.tensors[stored[rest]], value) for rest, value in values.items()}
    copy_files(base.folder, output, trust_remote_code)
    _write_config(base.folder, output, family, plan, names, trust_remote_code)
    planned = _planned(base, names, plan, silent)
    check_room(output, sum(one.size for one in planned), "the expanded checkpoint")
    reporter().log(f"writing {sum(one.size for one in planned) / 2**30:.2f} GiB")
    limit = None if base.files == (base.folder / "model.safetensors",) else base.largest_file
    write_checkpoint(output, planned, limit, base.metadata)
    return plan, _certificate(family, shape, deeper, plan, base, output, names, silent, writers, run)


def _certificate(
    family: Family,
    shape: Any,
    deeper: Any,
    plan: Expansion,
    base: Checkpoint,
    folder: Path,
    names: LayerNames,
    silent: dict[int, dict[str, bytes]],
    writers: dict[int, list[str]],
    run: list[int],
) -> dict[str, Any]:
    output = read_checkpoint(folder, "--output")
    certificate: dict[str, Any] = {
        "sources": list(plan.sources),
        "copies": list(plan.copies),
        **compare_tensors(base, output, names, plan, silent),
        "weights_all_found": _all_found(folder, family),
        "layers_run": run,
    }
    with reporter().task("running layers", len(run), unit="layer") as task:
        for layer in run:
            for name, verdict in run_layer(
                family, shape, deeper, plan, layer, output, names, writers.get(layer, [])
            ).items():
                known = certificate.get(name, True)
                certificate[name] = None if None in (known, verdict) else known and verdict
            task.update(1)
    return certificate


def _family(base: Checkpoint, output: Path, trust_remote_code: bool) -> tuple[Family, Any]:
    """What the layers share, and the base's skeleton."""
    config = without_quantisation(read_config(base.folder, trust_remote_code))
    dtype = getattr(config, "dtype", None) or getattr(text_config(config), "dtype", None)
    dtype = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(dtype, torch.dtype) or dtype.itemsize < 2:
        stored = {one.dtype for one in base.tensors.values()}
        dtype = torch.bfloat16 if stored & {"BF16", "F8_E4M3", "F8_E5M2"} else torch.float16
        dtype = torch.float32 if "F32" in stored and not stored & {"BF16", "F16"} else dtype
    shape = skeleton(config, dtype, trust_remote_code)
    path, _ = decoder_layers(shape)
    return Family(config, path, dtype, base.folder, output, trust_remote_code), shape


def _names(family: Family, base: Checkpoint, plan: Expansion) -> tuple[LayerNames, dict[Any, dict[str, set[str]]]]:
    """How the checkpoint numbers its layers, shown by loading one; and what that layer's kind becomes in the model."""
    refused: InputError | None = None
    for names in layer_name_candidates(base.tensors, family.depth, family.path):
        try:
            layer = plan.sources[0]
            return names, {_kind(base, names, layer): _made(family, base, names, layer)}
        except NotStreamable as error:
            refused = refused or error
    if refused is not None:
        raise refused
    raise NotStreamable(f"the names of the stored tensors do not number {family.depth} decoder layers")


def _kind(base: Checkpoint, names: LayerNames, layer: int) -> Any:
    """What two layers must share to be taken apart alike: the same tensors, in the same shapes and dtypes."""
    of_layer = names.of_layer(base.tensors, layer)
    return tuple(sorted((rest, base.tensors[n].dtype, base.tensors[n].shape) for rest, n in of_layer.items()))


def _made(family: Family, base: Checkpoint, names: LayerNames, layer: int) -> dict[str, set[str]]:
    tensors = {rest: base.tensors[name] for rest, name in names.of_layer(base.tensors, layer).items()}
    return what_becomes_of(family, layer, tensors, names)


def _bytes(stored: Any, value: float) -> bytes:
    """The stored form of `value`, 0 or -1, in the tensor's dtype."""
    if value == 0:
        return b"\x00" * max(1, stored.size // max(1, stored.elements))
    if value == -1 and stored.dtype in _ONES:
        return _ONES[stored.dtype]
    raise NotStreamable(f"{stored.name} ({stored.dtype}) would have to hold {value}")


def _planned(
    base: Checkpoint, names: LayerNames, plan: Expansion, silent: dict[int, dict[str, bytes]]
) -> list[Planned]:
    """All tensors of the output; a copied tensor stands behind its source."""
    planned = []
    for name, stored in base.tensors.items():
        part = names.split(name)
        if part is None:
            planned.append(Planned(name, stored))
            continue
        layer, rest = part
        number = new_number(plan, layer)
        planned.append(Planned(names.at(number, rest), stored))
        if layer in plan.sources:
            quiet = silent[layer].get(rest)
            planned.append(Planned(names.at(number + 1, rest), stored, quiet))
    return planned


def copy_files(folder: Path, output: Path, trust_remote_code: bool) -> None:
    """Tokenizer, generation configuration, chat templates, licence: byte by byte; code only where it is trusted."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name in _FOLDERS:
            shutil.copytree(path, output / path.name)
        if not path.is_file() or path.name.startswith(".") or path.name in _OWN:
            continue
        if path.suffix in _WEIGHTS or path.name.endswith(".index.json"):
            continue
        if path.suffix == ".py" and not trust_remote_code:
            reporter().log(f"{path.name} is not copied: it is code, and --trust-remote-code is not given")
            continue
        shutil.copyfile(path, output / path.name)


def _write_config(
    folder: Path, output: Path, family: Family, plan: Expansion, names: LayerNames, trust_remote_code: bool
) -> None:
    raw = read_json(folder / "config.json", MODEL, "a model's configuration", "--model")
    changes = deeper_fields(family.config, plan.origin)
    text = json.dumps(expanded_config(raw, family.config, changes, names, plan), indent=2, ensure_ascii=False)
    write_whole(output / "config.json", text + "\n")
    wanted = with_fields(family.config, changes).to_dict()
    found = without_quantisation(read_config(output, trust_remote_code)).to_dict()
    for name in sorted(wanted.keys() | found.keys()):
        if name not in ("transformers_version", "_name_or_path") and wanted.get(name) != found.get(name):
            raise NotStreamable(f"config.json cannot say the expanded {name}: it reads back as {found.get(name)}")


def _all_found(folder: Path, family: Family) -> bool:
    """Whether plain transformers finds a stored tensor of the right shape for every weight of the expanded model."""
    config = without_quantisation(read_config(folder, family.trust_remote_code))
    _, info = on_meta(folder, config, family.dtype, family.trust_remote_code)
    return not info["missing_keys"] and not info["mismatched_keys"]
