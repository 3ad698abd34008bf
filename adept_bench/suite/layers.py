"""Whether the base model has the layers that methods and analyses ask for: known before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from adept_bench.errors import InputError
from adept_bench.suite.texts import LAB

if TYPE_CHECKING:
    from adept_bench.config.schema import ModelConfig, RunConfig


def check_layers(methods: Iterable[tuple[str, RunConfig]]) -> None:
    """Raise InputError where a method asks for a layer, or for more layers, than its base has by the configuration.

    methods: of the registry, each with its configuration. A base that does not say its depth is not checked.
    """
    from adept_bench.methods.registry import get

    depths: dict[str, int | None] = {}
    for composition, config in methods:
        chosen = get(composition, config.options).layers
        analysed = config.analyses.activation_layers if config.analyses is not None else None
        if chosen is None and not analysed:
            continue
        key = config.model.model_dump_json()
        if key not in depths:
            depths[key] = _depth(config.model)
        if (depth := depths[key]) is None:
            continue
        if chosen is not None:
            chosen.check(depth)
        for layer in analysed or ():
            if layer >= depth:
                raise InputError(f"analyses.activation_layers: {layer} is not a layer; expected 0 to {depth - 1}")


def _depth(model: ModelConfig) -> int | None:
    from adept_bench.models.declared import declared_layers
    from adept_bench.planning.architectures import lab_folder

    if model.source.startswith(LAB):  # all bases of a kind are as deep
        return declared_layers(lab_folder(model.source.removeprefix(LAB)))
    return declared_layers(model.source, model.revision, model.trust_remote_code)
