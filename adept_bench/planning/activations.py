"""What the forward pass keeps for the backward pass, counted without computing anything.

The formula is torch's own bookkeeping: a model of the method's widths and three layers runs one forward pass on tensors
that have shapes and no data, with the precision, batch and attention of the training, and what autograd saves is added
up by layer. Layers of a kind (trained, frozen but passed by gradients, below the lowest trained) save the same, so that
the whole model's sum follows from its numbers of layers of each kind. docs/plan.md spells it out for one architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from adept_bench.planning.shapes import Shape

_OUTSIDE = -1
_BELOW, _TRAINED, _ABOVE = 0, 1, 2  # the three layers of the small model


@dataclass(frozen=True)
class Saved:
    """Bytes that one forward and backward pass of a batch holds, weights, gradients and optimizer apart.

    trained, above: what one layer that trains, or a frozen one above the lowest that trains, saves. inputs: its input.
    outside: saved outside the layers (final norm, logits' log-probabilities). working: the loss's gradients, which
    live while those are still there. below: of a frozen layer that no gradient reaches; 0 unless a family is unusual.
    """

    trained: int
    above: int
    below: int
    inputs: int
    outside: int
    working: int

    def total(self, trained: int, above: int, below: int, checkpointing: bool) -> int:
        """Bytes at the start of the backward pass, with so many layers of each kind."""
        reached = trained + above
        if not reached:
            return self.outside + self.working
        if not checkpointing:
            layers = trained * self.trained + above * self.above + below * self.below
            return layers + self.outside + self.working
        # every reached layer keeps its input; the backward pass makes one layer's savings again at a time, when the
        # loss's own are gone
        again = max(self.trained if trained else 0, self.above if above else 0)
        return reached * self.inputs + below * self.below + max(self.outside + self.working, again)


@dataclass(frozen=True)
class Reach:
    """How many layers train, are frozen above the lowest that trains, or lie below it."""

    trained: int
    above: int
    below: int


def reach(shape: Shape) -> Reach:
    """The layers of a method's model by kind."""
    from adept_bench.probing.decoder import decoder
    from adept_bench.training.cost import lowest_trained

    found = decoder(shape.model)
    depth = len(found.layers)
    trained = {layer for name in shape.names if (layer := found.layer_of(name)) is not None}
    lowest = min(depth, lowest_trained(shape.names, found))
    return Reach(len(trained), depth - lowest - len(trained), lowest)


def saved(
    shape: Shape,
    *,
    batch_size: int,
    length: int,
    precision: str,
    attention: str | None = None,
    packing: str = "blocks",
) -> Saved:
    """What a batch of `batch_size` sequences of `length` tokens saves in training `shape`'s trainable parameters."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    model, path = _small(shape, precision)
    if attention not in (None, "auto", "flash_attention_2"):  # the last saves what sdpa does
        model.set_attn_implementation(attention)
    with FakeTensorMode(), _grouped():
        _without_data(model)
        masked = packing == "documents" and attention != "flash_attention_2"
        return _traced(model, path, batch_size, length, precision, masked)


@contextmanager
def _grouped() -> Iterator[None]:
    """Experts' products of every precision: torch's own shape rule for them knows bfloat16 alone.

    The product of all tokens with one expert has the same shape and saves the same, the tokens and the weights. It is
    taken outside autocast, which leaves grouped products alone.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    names = {getattr(torch, "_grouped_mm", None), getattr(torch.nn.functional, "grouped_mm", None)} - {None}

    class OneExpert(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in names:
                with torch.autocast("cpu", enabled=False):
                    return args[0] @ args[1][0]
            return function(*args, **(kwargs or {}))

    with OneExpert():
        yield


def _small(shape: Shape, precision: str) -> tuple[Any, str]:
    """Three layers of the shape's widths on the meta device: below, training as the shape does, above."""
    import torch

    from adept_bench.config.schema import MethodOptions
    from adept_bench.methods.edits import LowRank
    from adept_bench.models.depth import deeper_fields
    from adept_bench.models.onelayer import with_fields
    from adept_bench.models.shapes import base_shape
    from adept_bench.planning.shapes import PlanContext
    from adept_bench.probing.decoder import decoder

    found = decoder(shape.model)
    layers = sorted({layer for name in shape.names if (layer := found.layer_of(name)) is not None})
    depth, place = len(found.layers), layers[0] if layers else 0
    config = shape.model.config
    config = with_fields(config, deeper_fields(config, [0, place, depth - 1]))
    dtype = str(next(shape.model.parameters()).dtype).removeprefix("torch.")
    model = base_shape(config, dtype, trust_remote_code=True)  # the full depth was built before, as trusted or not
    made = shape.edit.description
    if "rank" in made:
        with torch.device("meta"):
            edit = LowRank(made["rank"], made["alpha"], made["dropout"], match=1)
            edit.apply(model, PlanContext(3, 0, MethodOptions()))
    everywhere = len(layers) == depth
    prefix = f"{found.path}.{place}."
    own = {name.removeprefix(prefix) for name in shape.names if name.startswith(prefix)}
    outside = {name for name in shape.names if found.layer_of(name) is None}
    small = decoder(model)
    for name, parameter in model.named_parameters():
        layer = small.layer_of(name)
        inner = name.removeprefix(f"{small.path}.{layer}.")
        on = name in outside if layer is None else inner in own and (everywhere or layer == _TRAINED)
        parameter.requires_grad_(on)
        if (on or precision == "fp32") and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return model.train(), small.path


def _without_data(model: Any) -> None:
    """Parameters and buffers of the model as tensors of the mode in force, tied ones still tied."""
    import torch

    made: dict[int, Any] = {}
    for module in model.modules():
        for kind in (module._parameters, module._buffers):
            for name, old in kind.items():
                if old is None:
                    continue
                if id(old) not in made:
                    new: torch.Tensor = torch.empty(old.shape, dtype=old.dtype)
                    if isinstance(old, torch.nn.Parameter):
                        new = torch.nn.Parameter(new, requires_grad=old.requires_grad)
                    made[id(old)] = new
                kind[name] = made[id(old)]


def _traced(model: Any, path: str, batch_size: int, length: int, precision: str, masked: bool) -> Saved:
    import torch

    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    found: dict[int, dict[int, int]] = {place: {} for place in (_OUTSIDE, _BELOW, _TRAINED, _ABOVE)}
    inputs: dict[int, int] = {}
    here = _OUTSIDE

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and all(storage._cdata not in one for one in found.values()):
            found[here][storage._cdata] = storage.nbytes()
        return tensor

    def enter(layer: int, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal here
        here = layer
        hidden = args[0] if args else kwargs["hidden_states"]
        inputs[layer] = hidden.numel() * hidden.element_size()

    def leave(*_: Any) -> None:
        nonlocal here
        here = _OUTSIDE

    for layer, module in enumerate(model.get_submodule(path)):
        module.register_forward_pre_hook(partial(enter, layer), with_kwargs=True)
        module.register_forward_hook(leave)
    ids = torch.zeros(batch_size, length, dtype=torch.long)
    keep: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor  # noqa: E731
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, keep),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        # with a cache transformers does not look for packed sequences in the positions, which have no values here; it
        # would make a mask, which a real pass of packed documents needs and any other, having looked, does without
        positions = {"position_ids": torch.arange(length).expand(batch_size, -1)} if masked else {}
        output = model(input_ids=ids, labels=ids, use_cache=not masked, **positions)
    logits = output.logits
    del output
    sums = {place: sum(one.values()) for place, one in found.items()}
    # the log-probabilities are saved in float32; the backward pass makes their gradient and the logits' beside them
    working = 2 * 4 * logits.numel()
    return Saved(sums[_TRAINED], sums[_ABOVE], sums[_BELOW], max(inputs.values()), sums[_OUTSIDE], working)


def of_kind(shape: Shape) -> tuple[Any, ...]:
    """What `saved` depends on beside batch and precision: shapes of equal kind save the same."""
    from adept_bench.probing.decoder import decoder

    found = decoder(shape.model)
    layers = {layer for name in shape.names if (layer := found.layer_of(name)) is not None}
    first = min(layers, default=0)
    prefix = f"{found.path}.{first}."
    own = frozenset(name.removeprefix(prefix) for name in shape.names if name.startswith(prefix))
    outside = frozenset(name for name in shape.names if found.layer_of(name) is None)
    return own, outside, len(layers) == len(found.layers), shape.edit.description.get("rank")
