"""Layer numbers in the names of a checkpoint's tensors, and in its configuration.

A checkpoint's own names need not be the module names: transformers renames and fuses some families' weights as it
loads them. What is read here is only where the number of a decoder layer stands in a name; that the reading is right
is for the loader to show.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from adept_bench.models.anatomy import text_config
from adept_bench.models.expansion import Expansion


@dataclass(frozen=True)
class LayerNames:
    """Names of the form `prefix`<layer number>.<rest>, such as prefix "model.layers."."""

    prefix: str

    def split(self, name: str) -> tuple[int, str] | None:
        """(layer number, rest), or None for a tensor of no layer. Only the number after the prefix counts: experts
        within a layer have numbers of their own."""
        if not name.startswith(self.prefix):
            return None
        number, _, rest = name[len(self.prefix) :].partition(".")
        return (int(number), rest) if number.isdigit() and rest else None

    def at(self, layer: int, rest: str) -> str:
        """The name of `rest` in `layer`."""
        return f"{self.prefix}{layer}.{rest}"

    def of_layer(self, names: Iterable[str], layer: int) -> dict[str, str]:
        """rest -> name of the tensors of `layer`."""
        parts = ((name, self.split(name)) for name in names)
        return {part[1]: name for name, part in parts if part is not None and part[0] == layer}


def layer_name_candidates(names: Iterable[str], depth: int, path: str) -> list[LayerNames]:
    """Every way in which `names` can number `depth` decoder layers, the likeliest first.

    `path` is the layers' module name: of several candidates (a vision tower may be as deep) the one that shares the
    longest ending with it is tried first. Numbered lists inside a numbered layer are no candidates.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        parts = name.split(".")
        for place, part in enumerate(parts[:-1]):
            if part.isdigit():
                numbers["".join(f"{one}." for one in parts[:place])].add(int(part))
                break  # a later number belongs to a list inside this one
    found = [prefix for prefix, seen in numbers.items() if seen >= set(range(depth))]

    def shared(prefix: str) -> int:
        ours, theirs = prefix.rstrip(".").split(".")[::-1], path.split(".")[::-1]
        return next((i for i, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))

    return [LayerNames(prefix) for prefix in sorted(found, key=lambda prefix: (-shared(prefix), len(prefix)))]


def new_number(expansion: Expansion, layer: int) -> int:
    """Base layer -> its number after expansion. What is numbered beyond the last layer (prediction heads that some
    checkpoints carry and transformers ignores) stays beyond it."""
    return layer + sum(source < layer for source in expansion.sources)


def expanded_config(
    raw: dict[str, Any], config: Any, changes: dict[str, Any], names: LayerNames, plan: Expansion
) -> Any:
    """The expanded checkpoint's config.json: `raw`, the base's, with the decoder's `changes` and nothing else changed.

    `config` is `raw` as transformers reads it. A field that the file writes under another name (GPT-2's n_layer) keeps
    that name; layer names that a quantisation excepts are renumbered, and hold for the copies too.
    """
    raw = copy.deepcopy(raw)
    text = text_config(config)
    decoder = raw
    if text is not config:
        inner = next(name for name, value in vars(config).items() if value is text)
        decoder = raw.setdefault(inner, {})
    alias = getattr(text, "attribute_map", {})
    for name, value in changes.items():
        own = alias.get(name, name)
        stored = list(value) if isinstance(value, tuple) else value
        for key in {own, name} & decoder.keys() or {own}:
            decoder[key] = stored
    if "quantization_config" in raw:
        raw["quantization_config"] = _renamed(raw["quantization_config"], names, plan)
    return raw


def _renamed(value: Any, names: LayerNames, plan: Expansion) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(one, names, plan) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    result: list[Any] = []
    pattern = re.compile(rf"({re.escape(names.prefix)})(\d+)(?=\.|$)")
    for one in value:
        match = pattern.search(one) if isinstance(one, str) else None
        if match is None:
            result.append(_renamed(one, names, plan))
            continue
        layer = int(match[2])
        numbers = [new_number(plan, layer)]
        numbers += [number + 1 for number in numbers if layer in plan.sources]
        result += [f"{one[: match.start(2)]}{number}{one[match.end(2) :]}" for number in numbers]
    return result
