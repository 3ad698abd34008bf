"""lm-eval's models with our progress and a count of truncated prompts: transformers in this process here.

`vllm_scorer` has the other one; `backends` opens either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.huggingface import HFLM

from adept_bench.distributed.group import gathered, group
from adept_bench.errors import InputError

OnItems = Callable[[int], None]
REMEMBERED = 1 << 25  # characters of text whose tokens are kept, a tokenizer


class _Ticker:
    """Stands where lm-eval's response cache would: told of every answered request, it counts finished items."""

    def __init__(self, requests: list[Any], on_items: OnItems) -> None:
        self.requests = max(len(requests), 1)
        self.items = len({(request.task_name, request.doc_id) for request in requests})
        self.answered = 0
        self.on_items = on_items

    def add_partial(self, attr: str, req: Any, res: Any) -> None:
        before = self.answered * self.items // self.requests
        self.answered += 1
        done = self.answered * self.items // self.requests - before
        if done:
            self.on_items(done)


class Counting(TemplateLM):
    """What is added to a model class of lm-eval's, standing before it among the bases.

    `truncated` collects (task name, document number) of prompts that were cut; `on_items` is told of finished items.
    """

    on_items: OnItems
    truncated: set[tuple[str, int]]
    spare: int
    """Tokens of context and continuation beyond `max_length` that are scored without a cut."""

    def count(self, on_items: OnItems) -> None:
        """Begin counting; for the end of a constructor."""
        self.on_items = on_items
        self.truncated = set()
        self._requests: list[Any] = []

    @contextmanager
    def _following(self, requests: list[Any]) -> Iterator[None]:
        before = self.cache_hook
        self._requests = requests
        self.set_cache_hook(_Ticker(requests, self.on_items))
        try:
            yield
        finally:
            self.set_cache_hook(before)
            self._requests = []

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        with self._following(requests):
            return super().loglikelihood(requests, disable_tqdm=True)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        with self._following(requests):
            return super().loglikelihood_rolling(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        if len(requests) == len(self._requests):  # rolling windows never are too long
            for request, (_, context, continuation) in zip(self._requests, requests):
                if len(context) + len(continuation) > self.max_length + self.spare:
                    self.truncated.add((request.task_name, request.doc_id))
        return super()._loglikelihood_tokens(requests, disable_tqdm=True, **kwargs)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        with self._following(requests):
            for request in requests:
                context, options = request.args[:2]
                room = self.max_length - options.get("max_gen_toks", self.max_gen_toks)
                if len(self.tok_encode(context)) > room:
                    self.truncated.add((request.task_name, request.doc_id))
            return super().generate_until(requests, disable_tqdm=True)


class _Encoded:
    """Tokens of texts that were encoded before. An item's context comes once a choice, and all of a suite's cells are
    asked the same items: encoding them anew took two fifths of an evaluation of the lab."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], tuple[int, ...]] = {}
        self.room = REMEMBERED

    def of(self, key: tuple[Any, ...], text: str, encode: Callable[[], list[int]]) -> list[int]:
        """`encode()`, or what it gave for this key and text before; the list is the caller's own."""
        found = self.known.get((text, *key))
        if found is None:
            found = tuple(encode())
            if len(text) <= self.room:
                self.room -= len(text)
                self.known[(text, *key)] = found
        return list(found)


_encoded: WeakKeyDictionary[Any, _Encoded] = WeakKeyDictionary()


class Scorer(Counting, HFLM):
    """Scores requests as HFLM does, with a model in this process; processes that work together share the documents out.

    Differs in nothing that is measured, but for log-probabilities taken in float32 also of a bf16 model, where two
    choices would otherwise tie more often.
    """

    spare = 1  # the last token is only predicted

    def __init__(
        self, model: torch.nn.Module, tokenizer: Any, *, batch_size: int, max_length: int | None, on_items: OnItems
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise InputError("the tokenizer has no end-of-text token, which evaluation needs")
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            max_length=max_length,
            softmax_dtype="float32",
        )
        self.count(on_items)
        here = group()
        self._rank, self._world_size = here.rank, here.size
        self._tokens = _encoded.setdefault(tokenizer, _Encoded())

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **kwargs: Any,
    ) -> list[int]:
        options = add_special_tokens, left_truncate_len, *sorted(kwargs.items())
        # a tokenizer that was given further tokens, or whose kind of special tokens was set, encodes otherwise
        key = (len(self.tokenizer), self.add_bos_token, self.prefix_token_id, *options)
        return self._tokens.of(
            key, string, lambda: HFLM.tok_encode(self, string, add_special_tokens, left_truncate_len, **kwargs)
        )

    # lm-eval gives each process every size-th document and puts the answers together through these three

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.stack(gathered(tensor.cpu()))

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        values = gathered(obj)
        return values if self.rank == dst else None

    def barrier(self) -> None:
        gathered(None)
