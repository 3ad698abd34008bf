"""A question's context run once for all of its answers, by transformers' key and value cache.

Questions of nearly one length make a batch: what all of their contexts have at least, but for a last token, is run
first, and the rest of each context with each answer behind it. So no row is padded but behind its end, and every
position and mask is what it is in the plain computation.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

LEAST = 32  # tokens of a context: below it, two passes of few tokens cost more than one of more
SAVES = 2.0  # how many times fewer tokens must be run
WITHIN = 16  # a batch's contexts differ by a 16th of the longest: what is beyond the shortest is run for each answer
TOLERANCE = 1e-4  # nats
NAMES = ("cache", "past_key_values")  # of a cache among a model's arguments and outputs: newer, older transformers
MOVING = ("dynamic", "longrope")  # rotary positions whose angles depend on how long the whole text is

Request = tuple[Any, list[int], list[int]]  # (what it is known by, context's tokens, answer's tokens)
Answers = dict[int, tuple[float, bool]]


@dataclass
class Question:
    """The requests of one context, by what is run for them: an answer's tokens but for the last, which is only
    predicted. Requests are numbers of a list of requests."""

    context: list[int]
    rows: dict[tuple[int, ...], list[int]] = field(default_factory=dict)

    def pays(self) -> bool:
        """Whether sharing the context runs so many tokens fewer that it is worth its two passes."""
        own = sum(map(len, self.rows)) + len(self.rows)
        plain = own + len(self.rows) * (len(self.context) - 1)
        return len(self.context) >= LEAST and plain >= SAVES * (own + len(self.context) - 1)

    @property
    def requests(self) -> list[int]:
        return [index for indices in self.rows.values() for index in indices]


def questions(requests: Sequence[Request], longest: int) -> list[Question]:
    """The questions that it pays to share, the longest first. One that must be cut to `longest` tokens is none."""
    found: dict[tuple[int, ...], Question] = {}
    for index, (_, context, answer) in enumerate(requests):
        question = found.setdefault(tuple(context), Question(context))
        question.rows.setdefault(tuple(answer[:-1]), []).append(index)
    fit = (q for q in found.values() if len(q.context) + max(map(len, q.rows)) <= longest)
    return sorted((q for q in fit if q.pays()), key=lambda q: -len(q.context))


def batches(asked: Sequence[Question], size: int) -> Iterator[list[Question]]:
    """Questions in turn, of nearly one length, of at most `size` rows together (one question may have more)."""
    batch: list[Question] = []
    rows = 0
    for question in asked:
        apart = bool(batch) and len(batch[0].context) - len(question.context) > len(batch[0].context) // WITHIN
        if batch and (apart or rows + len(question.rows) > size):
            yield batch
            batch, rows = [], 0
        batch.append(question)
        rows += len(question.rows)
    if batch:
        yield batch


def can_share(model: Any) -> bool:
    """Whether the model keeps plain keys and values of all tokens (no window, no state, no positions that move), in
    float32 or finer: a coarser one rounds by more than `TOLERANCE` as soon as a pass has another shape."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    fine = model.get_input_embeddings().weight.dtype in (torch.float32, torch.float64)
    if not fine or _cache_name(model) is None or _moving(model.config):
        return False
    cache = _cached(model, torch.zeros((1, 2), dtype=torch.long, device=_device(model)))
    return type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers)


def _cache_name(model: Any) -> str | None:
    """What the model's forward pass calls a cache; None where it takes none, or cannot leave logits out."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft's own passes all on
    known = inspect.signature(inner.forward).parameters
    if not {"use_cache", "logits_to_keep"} <= set(known):
        return None
    return next((name for name in NAMES if name in known), None)


def _device(model: Any) -> torch.device:
    return model.get_input_embeddings().weight.device


def _moving(config: Any) -> bool:
    """Whether rotary angles change with the length of the text, so that keys of a context are not those of a text."""
    settings = getattr(config.get_text_config(), "rope_parameters", None) or {}
    each = [settings, *(value for value in settings.values() if isinstance(value, Mapping))]
    return any(one.get("rope_type") in MOVING for one in each)


def score(model: Any, batch: Sequence[Question], requests: Sequence[Request], size: int) -> Answers:
    """(log-probability, whether greedy) of the batch's requests by number; at most `size` rows run at a time."""
    device = _device(model)
    shared = min(len(question.context) for question in batch) - 1
    contexts = torch.tensor([question.context[:shared] for question in batch], device=device)
    kept = [(layer.keys, layer.values) for layer in _cached(model, contexts).layers]
    rows = [(place, row) for place, question in enumerate(batch) for row in question.rows]
    found: Answers = {}
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        tails = [batch[place].context[shared:] for place, _ in some]
        texts = [[*tail, *row] for tail, (_, row) in zip(tails, some)]
        logits = _logits(model, _padded(texts, device), _repeated(kept, [place for place, _ in some]))
        for (place, row), tail, mine in zip(some, tails, logits):
            scored = mine[len(tail) - 1 : len(tail) + len(row)]
            logged = torch.log_softmax(scored.float(), dim=-1)
            found |= {index: _answer(logged, requests[index][2]) for index in batch[place].rows[row]}
    return found


def close(one: Answers, other: Answers) -> bool:
    """Whether every log-probability is the same within `TOLERANCE`."""
    return all(abs(one[index][0] - other[index][0]) <= TOLERANCE for index in one)


@torch.no_grad()
def _cached(model: Any, ids: torch.Tensor) -> Any:
    """The cache that the model makes of `ids`; its logits, most of a small model's work, are left out."""
    return model(input_ids=ids, use_cache=True, logits_to_keep=1)[_cache_name(model)]


@torch.no_grad()
def _logits(model: Any, ids: torch.Tensor, cache: Any) -> torch.Tensor:
    return model(input_ids=ids, use_cache=True, **{str(_cache_name(model)): cache}).logits


def _repeated(kept: Sequence[tuple[torch.Tensor, torch.Tensor]], places: list[int]) -> Any:
    """A cache whose rows are those of `kept` at `places`; a run adds to it, and leaves `kept` as it is."""
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    for number, (keys, values) in enumerate(kept):
        chosen = torch.tensor(places, device=keys.device)
        cache.update(keys[chosen], values[chosen], number)
    return cache


def _padded(texts: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """int64 [texts, longest]; what stands behind a text's end is read by nothing before it."""
    longest = max(map(len, texts))
    return torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)


def _answer(logged: torch.Tensor, answer: list[int]) -> tuple[float, bool]:
    """Of log-probabilities [tokens, vocabulary] at the answer's positions."""
    ids = torch.tensor(answer, device=logged.device)
    value = logged.gather(1, ids[:, None]).sum()
    return float(value), bool((logged.argmax(dim=-1) == ids).all())
