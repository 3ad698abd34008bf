"""Everything about a model that depends on its depth: the configuration's fields and what modules keep of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from adept_bench.errors import InputError
from adept_bench.models.anatomy import text_config

# lists that may happen to be as long as the model is deep, but are not about its layers
_NOT_LAYERS = re.compile(r"token|architectures|language|section|factor|label|^mtp_|^_|dtype|ids_to")
_INDEX_LIST = re.compile(r"(layers|layer_ids|layer_indices|layer_idxs|idxs|layers_idx|layers_indices)$")
_FIRST_LAYERS = ("first_k_dense_replace", "num_dense_layers", "max_window_layers")
_LAST_LAYERS = ("num_kv_shared_layers",)


def deeper_fields(config: Any, origin: Sequence[int]) -> dict[str, Any]:
    """The decoder configuration's fields after expansion: name -> new value, only those that change.

    `origin` maps each layer of the expanded model to the base layer it is or copies. A copy takes its source's entry
    in every per-layer list, and its membership in every list of layer numbers and every count of first or last layers.
    """
    depth = text_config(config).num_hidden_layers
    fields = {name: value for name, value in vars(text_config(config)).items() if not _NOT_LAYERS.search(name)}
    changes: dict[str, Any] = {"num_hidden_layers": len(origin)}
    for name, value in fields.items():
        if isinstance(value, (list, tuple)) and _is_index_list(name, value, depth):
            changes[name] = type(value)(i for i, base in enumerate(origin) if base in value)
        elif isinstance(value, (list, tuple)) and len(value) == depth:
            changes[name] = type(value)(value[base] for base in origin)
        elif isinstance(value, str) and len(value) == depth and "pattern" in name:
            changes[name] = "".join(value[base] for base in origin)
        elif isinstance(value, int) and name in _FIRST_LAYERS:
            changes[name] = max(value - depth, 0) + sum(base < value for base in origin)
        elif isinstance(value, int) and name in _LAST_LAYERS:
            changes[name] = sum(base >= depth - value for base in origin)
    if fields.get("decoder_sparse_step", 1) not in (0, 1) and isinstance(fields.get("mlp_only_layers"), list):
        # "every n-th layer is sparse" cannot be said of an expanded model: name the dense layers instead
        step, dense = fields["decoder_sparse_step"], fields["mlp_only_layers"]
        changes["mlp_only_layers"] = [i for i, base in enumerate(origin) if base in dense or (base + 1) % step]
        changes["decoder_sparse_step"] = 1
    if fields.get("attention_types") and "attention_layers" in changes:
        changes["attention_types"] = [[changes["attention_layers"], 1]]  # the same list, as pattern and repetitions
    return changes


def _is_index_list(name: str, value: Sequence[Any], depth: int) -> bool:
    if not _INDEX_LIST.search(name) or not all(type(item) is int and 0 <= item < depth for item in value):
        return False
    flags = len(value) == depth and set(value) <= {0, 1}
    return not flags and list(value) == sorted(set(value))


class Rebuilt:
    """The model that `from_pretrained` would build, before and after the change of depth, without any weights.

    It shows what the configuration decides per layer. `adopt` gives the modules of the expanded model the values that
    a freshly built one would have (layer_idx and the like), so that memory and checkpoint are the same model.
    """

    def __init__(self, model: nn.Module, path: str, origin: Sequence[int], changes: dict[str, Any]) -> None:
        self.path, self.origin, self.name = path, origin, type(model).__name__
        self.base, self.expanded = self._skeleton(model, {}), self._skeleton(model, changes)
        self._compare_shapes()

    def _skeleton(self, model: nn.Module, changes: dict[str, Any]) -> nn.Module:
        config: Any = copy.deepcopy(model.config)
        for name, value in changes.items():
            setattr(text_config(config), name, value)
        try:
            # through the dictionary that is saved, as loading does
            config = type(config).from_dict(config.to_dict())
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                return type(model)(config)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"{self.name}: its configuration does not allow the expanded depth: {reason}") from error

    def _base_name(self, name: str) -> str:
        """The base model's name for a module or parameter of the expanded model."""
        prefix = f"{self.path}."
        if not name.startswith(prefix):
            return name
        index, _, rest = name[len(prefix) :].partition(".")
        return f"{prefix}{self.origin[int(index)]}" + (f".{rest}" if rest else "")

    def _compare_shapes(self) -> None:
        base = {name: tuple(p.shape) for name, p in self.base.named_parameters(remove_duplicate=False)}
        expanded = {name: tuple(p.shape) for name, p in self.expanded.named_parameters(remove_duplicate=False)}
        wanted = {self._base_name(name): (name, shape) for name, shape in expanded.items()}
        for name, (new, shape) in wanted.items():
            if base.get(name) != shape:
                found = f"shape {list(base[name])}" if name in base else "no such parameter"
                raise InputError(
                    f"{self.name}: cannot be expanded: {new} would have shape {list(shape)}, but {name} of the base "
                    f"has {found}; its structure depends on depth in a way the configuration cannot express"
                )
        if missing := sorted(base.keys() - wanted.keys()):
            raise InputError(f"{self.name}: cannot be expanded: {missing[0]} would not exist at the expanded depth")

    def adopt(self, model: nn.Module) -> list[tuple[nn.Module, str, Any]]:
        """Set what depends on depth on the expanded `model`; returns (module, attribute, old value) to undo it."""
        base, undo = dict(self.base.named_modules()), []
        ours = dict(model.named_modules())
        for name, module in self.expanded.named_modules():
            before, after = _plain(base[self._base_name(name)]), _plain(module)
            for attribute, value in after.items():
                if attribute not in before or before[attribute] != value:
                    undo.append((ours[name], attribute, vars(ours[name]).get(attribute)))
                    setattr(ours[name], attribute, value)
        return undo


def _plain(module: nn.Module) -> dict[str, Any]:
    """The module's own attributes that are plain values."""
    return {n: v for n, v in vars(module).items() if not n.startswith("_") and n != "training" and _is_plain(v)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
