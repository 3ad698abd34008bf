"""Masked forward passes that share what they have in common.

Masking layer l changes nothing below it. So each batch goes up the layers once, and for each layer l a variant that
bypassed it goes on from there: L(L+1)/2 layer runs, where L+1 whole passes take L(L+1). Variants of neighbouring
layers travel together as rows of one batch.

No family's forward is written out here. The model's own forward is called with its decoder layers answering as told:
once to learn what each layer is called with, and once to turn a last hidden state into logits. `SharedForward.works`
compares the outcome with whole passes, as a family may do more between its layers than call them in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adept_bench.models.head import head_answering, linear_head, vocabulary
from adept_bench.probing.blockwise import token_losses
from adept_bench.probing.loss import Batch, batch_losses
from adept_bench.probing.rowwise import upcast

# called with (layer index, the layer's forward, positional arguments, keyword arguments); returns the layer's output
Answer = Callable[[int, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 16384}  # rows x length of what a layer is called with, at most
# of a layer's widest activation, on a processor: larger temporaries fall out of the cache, and malloc hands their
# memory back to the system after each, which maps and zeroes it again (a sixth of a layer's time at twice the size)
WIDEST_BYTES = 1 << 23
LOGIT_BYTES = {"cpu": 1 << 27, "cuda": 1 << 30}  # the logits held at once, in float32


class _Stop(Exception):
    """Leaves a forward pass whose rest is not needed."""


@contextmanager
def answering(layers: nn.ModuleList, answer: Answer) -> Iterator[None]:
    """Every layer's forward is answered by `answer`; the layers' own forwards come back at the end."""
    before = [vars(layer).get("forward") for layer in layers]

    def replaced(index: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: answer(index, forward, args, kwargs)

    try:
        for index, layer in enumerate(layers):
            layer.forward = replaced(index, layer.forward)
        yield
    finally:
        for layer, own in zip(layers, before):
            # some libraries (accelerate) have put a forward of their own on the instance
            if own is None:
                vars(layer).pop("forward", None)
            else:
                layer.forward = own


def hidden_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The hidden states a layer was called with."""
    return args[0] if args else kwargs["hidden_states"]


def replace_hidden(output: Any, hidden: Tensor) -> Any:
    """A layer's output (a tensor, or a tuple that opens with it) with other hidden states."""
    return hidden if isinstance(output, Tensor) else (hidden, *output[1:])


@contextmanager
def bypassed(layers: nn.ModuleList, masked: int | None) -> Iterator[None]:
    """Layer `masked` hands its input on as its output: the definition of masking, as plain as can be."""

    def answer(index: int, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = forward(*args, **kwargs)
        return replace_hidden(output, hidden_input(args, kwargs)) if index == masked else output

    with answering(layers, answer):
        yield


def plain_masked_losses(model: nn.Module, layers: nn.ModuleList, batch: Batch) -> Tensor:
    """As `SharedForward.masked_losses`, by L+1 whole passes."""
    rows = []
    for masked in [*range(len(layers)), None]:
        with bypassed(layers, masked):
            rows.append(batch_losses(model, batch).double().cpu())
    return torch.stack(rows)


@dataclass(frozen=True)
class _Call:
    """What a layer is called with beside its hidden states."""

    positional: bool
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, layer: nn.Module, hidden: Tensor, rows: int) -> Tensor:
        """The layer's hidden states for `hidden`, whose rows are those of the call (`rows`) a number of times over."""
        times = hidden.shape[0] // rows
        args, kwargs = (_repeat(part, rows, times) for part in (self.args, self.kwargs))
        output = layer(hidden, *args, **kwargs) if self.positional else layer(*args, hidden_states=hidden, **kwargs)
        return output if isinstance(output, Tensor) else output[0]


def _repeat(value: Any, rows: int, times: int) -> Any:
    """Tensors that hold a row a document, `times` over; what broadcasts over documents stays as it is."""
    if times == 1 or rows == 1:
        return value
    if isinstance(value, Tensor):
        return value.repeat(times, *[1] * (value.dim() - 1)) if value.dim() and value.shape[0] == rows else value
    if isinstance(value, dict):
        return {key: _repeat(part, rows, times) for key, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_repeat(part, rows, times) for part in value)
    return value


class SharedForward:
    """Losses of a model with each of its layers masked in turn, every common prefix run once.

    `tokens_at_once` bounds the tokens (rows times length) that a layer is called with, of prefix and variants together,
    and with it the memory: hidden states of at most that many tokens beside one batch's. One document with one of its
    variants travels in any case. None: by device and width of the layers. 0: one variant of a whole batch at a time.
    Use it in evaluation mode and without gradients.
    """

    def __init__(self, model: nn.Module, layers: nn.ModuleList, *, tokens_at_once: int | None = None) -> None:
        self.model, self.layers, self.tokens_at_once = model, layers, tokens_at_once
        self._tuples: dict[int, int] = {}  # layer -> length of the tuple it returns, for those that return one
        self._linear = linear_head(model)

    def works(self, batch: Batch) -> bool:
        """Whether sharing reproduces whole passes on `batch`: nothing masked, and the middle layer masked.

        Learns on the way what the layers return, so it comes first. False too where a layer cannot be called by hand.
        """
        middle = len(self.layers) // 2
        unmasked = self._observe(batch)
        with bypassed(self.layers, middle):
            masked = batch_losses(self.model, batch)
        try:
            shared = self.masked_losses(batch, masks=range(middle - 1, middle + 1))
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever breaks when a layer is called by hand, whole passes do without
            return False
        expected = torch.stack([masked, unmasked]).double().cpu()
        close = max(2e-5, 2 * torch.finfo(unmasked.dtype).eps, 2 * torch.finfo(_dtype(self.model)).eps)
        difference = (shared[[middle, -1]] - expected).abs()
        return bool((difference <= close * expected.abs().clamp(min=1.0)).all())

    def masked_losses(
        self, batch: Batch, on_layers: Callable[[int], None] | None = None, masks: Collection[int] | None = None
    ) -> Tensor:
        """Each document's loss with layer 0, 1, ... L-1 masked and, last, with none: float64 [L+1, B] on the CPU.

        `on_layers` is called with the number of layers whose loss has just been measured. `masks`: the layers to mask,
        None for all; the losses of the others are nan.
        """
        wanted = range(len(self.layers)) if masks is None else masks
        tokens, length = self._tokens(), batch.ids.shape[1]
        parts = batch.split(self.rows_at_once(length) or len(batch.lengths))
        recorded = [self._record(part) for part in parts]
        prefixes = [prefix for _, prefix in recorded]
        together = max(1, tokens // (length * len(parts[0].lengths)) - 1)
        losses = torch.full((len(self.layers) + 1, len(batch.lengths)), torch.nan, dtype=torch.float64)
        columns = torch.arange(len(batch.lengths)).split(len(parts[0].lengths))
        for start in range(0, len(self.layers), together):
            stop = min(start + together, len(self.layers))
            chosen = [index for index in range(start, stop) if index in wanted]
            for place, part in enumerate(parts):
                prefixes[place], variants = self._climb(recorded[place][0], prefixes[place], start, stop, chosen)
                for index, states in zip(chosen, variants.split(len(part.lengths))):
                    losses[index, columns[place]] = part.means(states, self._token_losses)
                del variants
            if on_layers:
                on_layers(stop - start)
        for place, part in enumerate(parts):
            losses[-1, columns[place]] = part.means(prefixes[place], self._token_losses)
        return losses

    def rows_at_once(self, length: int) -> int:
        """How many documents of so many tokens share a layer's run, with a variant of each; 0 for any number."""
        tokens = self._tokens()
        return max(1, tokens // (2 * length)) if tokens else 0

    def _climb(
        self, calls: Sequence[_Call], prefix: Tensor, start: int, stop: int, masks: Collection[int]
    ) -> tuple[Tensor, Tensor]:
        """From the input of layer `start`: the input of layer `stop`, and the last hidden states of the variants
        that bypass one of `masks`, of start..stop-1, in turn, as [len(masks) * B, T, d]."""
        rows, variants = prefix.shape[0], prefix[:0]
        for index in range(start, stop):
            joined = torch.cat([prefix, variants.to(prefix.device)]) if len(variants) else prefix
            outputs = calls[index].run(self.layers[index], joined, rows)
            if index in masks:
                variants = torch.cat([outputs[rows:], prefix.to(outputs.device)])
            else:
                variants = outputs[rows:]
            # a copy, so that the prefix does not keep all variants' rows alive
            prefix = outputs[:rows].clone() if len(outputs) > rows else outputs
        for index in range(stop, len(self.layers) if len(variants) else stop):
            variants = calls[index].run(self.layers[index], variants, rows)
        return prefix, variants

    def _observe(self, batch: Batch) -> Tensor:
        """An ordinary pass's losses; notes which layers return a tuple, so that skipping one can do alike."""

        def answer(index: int, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            output = forward(*args, **kwargs)
            if isinstance(output, tuple):
                self._tuples[index] = len(output)
            return output

        with answering(self.layers, answer):
            return batch_losses(self.model, batch)

    def _output(self, index: int, hidden: Tensor) -> Any:
        """`hidden` in the form in which layer `index` returns it."""
        length = self._tuples.get(index, 0)
        return (hidden, *[None] * (length - 1)) if length else hidden

    def _record(self, batch: Batch) -> tuple[list[_Call], Tensor]:
        """What each layer is called with, and the input of layer 0. Runs no layer and no output head."""
        calls: list[_Call] = []
        first: list[Tensor] = []

        def answer(index: int, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            hidden = hidden_input(args, kwargs)
            first.append(hidden)
            rest = {key: value for key, value in kwargs.items() if args or key != "hidden_states"}
            calls.append(_Call(bool(args), args[1:], rest))
            if index == len(self.layers) - 1:
                raise _Stop
            return self._output(index, hidden)

        with answering(self.layers, answer), suppress(_Stop):
            self.model(**batch.inputs)
        if len(calls) != len(self.layers):
            raise RuntimeError(f"{len(calls)} calls of {len(self.layers)} layers")
        return calls, first[0]

    def _token_losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """The cross entropy of single tokens, [N], from last hidden states [N, d] and their targets [N]."""
        if self._linear is not None:
            found: list[Tensor] = []
            head = self._linear

            def answer(states: Tensor) -> Tensor:
                found.append(token_losses(states[:, 0], targets, head))
                return states

            with head_answering(head, answer):
                self._head(hidden)
            return found[0]
        size = max(1, self._budget(LOGIT_BYTES) // (4 * vocabulary(self.model)))
        pieces = []
        for states, wanted in zip(hidden.split(size), targets.split(size)):
            logits = self._head(states)
            pieces.append(functional.cross_entropy(upcast(logits), wanted.to(logits.device), reduction="none"))
        return torch.cat(pieces)

    def _head(self, hidden: Tensor) -> Tensor:
        """What the model makes of last hidden states [N, d]: logits [N, V], by its own final norm, head and scaling.

        Each token is a row of length 1, so that no length limit of the model is met.
        """
        last = len(self.layers) - 1

        def answer(index: int, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return self._output(index, hidden[:, None] if index == last else hidden_input(args, kwargs))

        device = self.model.get_input_embeddings().weight.device  # type: ignore[operator]
        ids = torch.zeros(hidden.shape[0], 1, dtype=torch.long, device=device)
        with answering(self.layers, answer):
            return self.model(input_ids=ids, use_cache=False).logits[:, 0]

    def _tokens(self) -> int:
        if self.tokens_at_once is not None:
            return self.tokens_at_once
        device = next(self.model.parameters()).device
        most = self._budget(TOKENS_AT_ONCE)
        if device.type != "cpu":
            return most
        widest = max(max(weight.shape[-2:]) * weight.element_size() for weight in self.layers.parameters())
        return min(most, WIDEST_BYTES // widest)

    def _budget(self, by_device: dict[str, int]) -> int:
        return by_device.get(next(self.model.parameters()).device.type, by_device["cpu"])


def _dtype(model: nn.Module) -> torch.dtype:
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
