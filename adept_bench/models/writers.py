"""Which parameters of a decoder layer write to the residual stream, read off the computation itself.

A pre-norm layer computes x + attention(...) + mlp(...). Its writers are, on each branch, the parameters nearest to the
output that silence the branch when they are zero: an output projection and its bias, the stacked projections of a
mixture of experts, or, where a norm follows the block (Gemma 2, OLMo 2), that norm's gain. Zeroing the projection
behind such a norm would also silence the branch, but the norm would blow the first tiny update up to full size, so
the copy would no longer start from the base model's function.

The autograd graph of one forward pass through the layer tells which these are, whatever the family calls them; the
answer is then checked by running the layer with the writers silenced.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from adept_bench.errors import InputError

# A sum of their inputs, or a rearrangement of them: zero when every input is.
_UNION = {
    "Add",
    "Sub",
    "IndexAdd",
    "IndexPut",
    "Cat",
    "Stack",
    "ScatterAdd",
    "Scatter",
    "Where",
    "CopySlices",
    "Addcmul",
}
# input 0 is added to the product of the others
_BIAS_FIRST = {"Addmm", "Baddbmm", "Addbmm", "Addmv"}
# (input, weight, bias): the product of the first two plus the third
_BIAS_LAST = {"Linear", "MkldnnLinear", "NativeLayerNorm", "FusedRmsNorm", "NativeGroupNorm", "Convolution"}
_NUMERATOR_ONLY = {"Div"}
_NEVER_ZERO = {"Softmax", "LogSoftmax", "Sigmoid", "Softplus", "Exp", "Rsqrt", "Reciprocal", "Cos"}

Found = tuple[int, frozenset[str]]  # steps from the output to the farthest writer; their names


class _Search:
    """The cheapest set of parameters whose zeros make a node of the graph zero, found depth first with a memo."""

    def __init__(self, parameters: dict[int, str], entry: torch.Tensor) -> None:
        self.parameters, self.entry, self.identity = parameters, entry, False
        self.memo: dict[tuple[Any, bool], Found | None] = {}

    def silence(self, node: Any, residual: bool) -> Found | None:
        """None where no set of parameters can. `residual`: still on the stream, where the layer's input may stay."""
        key = (node, residual)
        if key not in self.memo:
            self.memo[key] = self._silence(node, residual)
        return self.memo[key]

    def _silence(self, node: Any, residual: bool) -> Found | None:
        if hasattr(node, "variable"):
            return self._leaf(node.variable, residual)
        kind = re.sub(r"Backward\d*$", "", node.name().rsplit("::", 1)[-1]).lstrip("_")
        inputs = [child for child, _ in node.next_functions]
        if kind in _NEVER_ZERO:
            return None
        if kind in _NUMERATOR_ONLY:
            inputs = inputs[:1]
        present = [child for child in inputs if child is not None]
        if kind in _UNION or len(present) == 1:
            return self._all(present, residual)
        if kind in _BIAS_FIRST:
            return _union([self._all(inputs[:1], residual), self._any(inputs[1:])])
        if kind in _BIAS_LAST:
            return _union([self._any(inputs[:2]), self._all(inputs[2:], False)])
        return self._any(inputs)

    def _leaf(self, variable: torch.Tensor, residual: bool) -> Found | None:
        if variable is self.entry:
            self.identity |= residual
            return (0, frozenset()) if residual else None
        name = self.parameters.get(id(variable))
        return (0, frozenset([name])) if name else None

    def _all(self, nodes: list[Any], residual: bool) -> Found | None:
        return _union([self.silence(node, residual) for node in nodes if node is not None])

    def _any(self, nodes: list[Any]) -> Found | None:
        found = [self.silence(node, False) for node in nodes if node is not None]
        kept = [one for one in found if one is not None]
        return (min(kept, key=lambda one: one[0])[0] + 1, min(kept, key=lambda one: one[0])[1]) if kept else None


def _union(found: list[Found | None]) -> Found | None:
    steps, names = 0, frozenset[str]()
    for one in found:
        if one is None:
            return None
        steps, names = max(steps, one[0] + 1), names | one[1]
    return steps, names


def residual_writers(
    layer: nn.Module, hidden: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, float]:
    """The layer's writers: name relative to the layer -> the value that silences it (0; -1 for a gain of 1 + w).

    `hidden` ([batch, time, width]) and the remaining `args`, `kwargs` are what the model itself calls the layer with.
    Raises InputError (without the layer's number, which the caller adds) where the layer is not input plus branches.
    """
    names = _traced(layer, hidden, args, kwargs)
    names = _with_siblings(layer, names)
    generator = torch.Generator(device="cpu").manual_seed(0)
    noise = torch.randn(hidden.shape, generator=generator).to(hidden) * hidden.float().std().to(hidden)
    for values in _silent_values(layer, names):
        zeros = {name: torch.full_like(layer.get_parameter(name), value) for name, value in values.items()}
        with torch.no_grad():
            if all(torch.equal(_output(functional_call(layer, zeros, (x, *args), kwargs)), x) for x in (hidden, noise)):
                return values
    raise InputError(f"silencing {', '.join(sorted(names))} does not make the layer's output its input")


def _traced(layer: nn.Module, hidden: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> set[str]:
    """The writers that the autograd graph of one pass through the layer shows."""
    # detached views share the weights' memory and leave the model's own requires_grad flags alone
    leaves = {n: p.detach().requires_grad_() for n, p in layer.named_parameters() if p.is_floating_point()}
    entry = hidden.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = _output(functional_call(layer, leaves, (entry, *args), kwargs))
    if output.grad_fn is None:
        raise InputError("its output does not depend on its parameters")
    search = _Search({id(leaf): name for name, leaf in leaves.items()}, entry)
    found = search.silence(output.grad_fn, True)
    if found is None or not search.identity or not found[1]:
        raise InputError("its output is not its input plus branches that parameters of its own can silence")
    return set(found[1])


def _with_siblings(layer: nn.Module, names: set[str]) -> set[str]:
    """Add the same parameter of every sibling in a module list: experts that no token reached are not in the graph."""
    patterns = set()
    for name in names:
        parts = name.split(".")
        for i, part in enumerate(parts):
            if part.isdigit() and isinstance(layer.get_submodule(".".join(parts[:i])), nn.ModuleList):
                parts[i] = "*"
        patterns.add(r"\d+".join(re.escape(piece) for piece in ".".join(parts).split("*")))
    matches = re.compile("|".join(f"(?:{pattern})" for pattern in sorted(patterns)))
    return {name for name, _ in layer.named_parameters() if matches.fullmatch(name)}


def _silent_values(layer: nn.Module, names: set[str]) -> list[dict[str, float]]:
    """What to try: zeros, then -1 for the gains of norms, which some families store as an offset from one."""
    zeros = dict.fromkeys(sorted(names), 0.0)
    gains = {
        n
        for n in names
        if n.endswith("weight") and "norm" in type(layer.get_submodule(n.rpartition(".")[0])).__name__.lower()
    }
    return [zeros, zeros | dict.fromkeys(sorted(gains), -1.0)] if gains else [zeros]


def _output(result: Any) -> torch.Tensor:
    return result[0] if isinstance(result, tuple) else result
