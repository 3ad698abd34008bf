"""lm-eval's models with our tokens, progress and counts: transformers in this process here.

`vllm_scorer` has the other one; `backends` opens either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.huggingface import HFLM

from adept_bench.distributed.group import gathered, group
from adept_bench.errors import InputError
from adept_bench.evaluation import sharing
from adept_bench.evaluation.encoding import Encoder, Pair

OnItems = Callable[[int], None]
SEEN = ("truncated", "joined", "empty")


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
    """What is added to a model class of lm-eval's, standing before it among the bases: tokens of prompts and answers as
    `encoding` defines them, and counts of what a result says.

    `seen` collects (task name, document number) by what happened: "truncated", the prompt was cut; "joined", a token
    spans the join of context and answer; "empty", an answer has no token. `on_items` is told of finished items.
    """

    on_items: OnItems
    seen: dict[str, set[tuple[str, int]]]
    spare: int
    """Tokens of context and continuation beyond `max_length` that are scored without a cut."""

    def count(self, on_items: OnItems) -> None:
        """Begin counting; for the end of a constructor."""
        self.on_items = on_items
        self.seen = {what: set() for what in SEEN}
        self.encoder = Encoder(self.tokenizer, self.prefix_token_id)
        self._rolling = False

    def forget(self) -> None:
        """Count anew."""
        for found in self.seen.values():
            found.clear()

    @contextmanager
    def _following(self, requests: list[Any]) -> Iterator[None]:
        before = self.cache_hook
        self.set_cache_hook(_Ticker(requests, self.on_items))
        try:
            yield
        finally:
            self.set_cache_hook(before)

    def tok_encode(
        self,
        string: Any,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Token ids of a text, or of each of several: as `Encoder.prompt` has them, or bare where no special tokens are
        wanted, the last `left_truncate_len`. lm-eval's backends ask for prompts and for documents through it."""
        if not isinstance(string, str):
            return [self.tok_encode(text, add_special_tokens, left_truncate_len) for text in string]
        encode = self.encoder.rolling if self._rolling else self.encoder.prompt
        ids = (self.encoder.bare if add_special_tokens is False else encode)(string)
        return ids[-left_truncate_len:] if left_truncate_len else ids

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability of the answer in nats, whether each of its tokens is the likeliest) of each request.

        An answer without a token has log-probability 0. Raises InputError for one that is longer than the context.
        """
        with self._following(requests):
            pairs = [self._paired(request) for request in requests]
            asked = [index for index, pair in enumerate(pairs) if pair.answer]
            encoded = [(requests[index].args, pairs[index].context, pairs[index].answer) for index in asked]
            answers = dict(zip(asked, self.score(encoded)))
            for index, request in enumerate(requests):
                if index not in answers:
                    answers[index] = (0.0, True)
                    self.cache_hook.add_partial("loglikelihood", request.args, answers[index])
            return [answers[index] for index in range(len(requests))]

    def _paired(self, request: Any) -> Pair:
        pair = self.encoder.pair(*request.args)
        item = (request.task_name, request.doc_id)
        if len(pair.answer) >= self.max_length + self.spare:
            raise InputError(
                f"tasks: {request.task_name!r}, item {request.doc_id}: an answer of {len(pair.answer)} tokens; "
                f"expected fewer than {self.max_length + self.spare}, which the model reads at once"
            )
        if len(pair.context) + len(pair.answer) > self.max_length + self.spare:
            self.seen["truncated"].add(item)
        if pair.joined:
            self.seen["joined"].add(item)
        if not pair.answer:
            self.seen["empty"].add(item)
        return pair

    def score(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """As `loglikelihood`, of ((context, answer), context's tokens, answer's tokens), none of them empty."""
        return self._loglikelihood_tokens(requests, disable_tqdm=True) if requests else []

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        with self._following(requests):
            self._rolling = True
            try:
                return super().loglikelihood_rolling(requests, disable_tqdm=True)
            finally:
                self._rolling = False

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        with self._following(requests):
            for request in requests:
                context, options = request.args[:2]
                wanted = options.get("max_gen_toks", self.max_gen_toks)
                if wanted >= self.max_length:
                    raise InputError(
                        f"tasks: {request.task_name!r} lets the model write {wanted} tokens; expected fewer than "
                        f"{self.max_length}, which the model reads at once"
                    )
                if len(self.tok_encode(context)) > self.max_length - wanted:
                    self.seen["truncated"].add((request.task_name, request.doc_id))
            return super().generate_until(requests, disable_tqdm=True)


def _apart(requests: list[Any]) -> list[list[int]]:
    """The requests' indices in lists (as a rule one) that lm-eval scores right.

    It runs texts that differ in their last token once, and takes log-probabilities for answers of equal length from
    that run: a shorter one would be given those of the longer one's first tokens.
    """
    lists: list[list[int]] = []
    lengths: list[dict[tuple[int, ...], int]] = []
    for index, (_, context, answer) in enumerate(requests):
        text = (*context, *answer[:-1])
        fitting = (at for at, known in enumerate(lengths) if known.setdefault(text, len(answer)) == len(answer))
        place = next(fitting, len(lists))
        if place == len(lists):
            lists.append([])
            lengths.append({text: len(answer)})
        lists[place].append(index)
    return lists


class Scorer(Counting, HFLM):
    """Scores requests as HFLM does, with a model in this process; processes that work together share the documents out.

    Log-probabilities are taken in float32 also of a bf16 model, where two choices would otherwise tie more often.
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

    def score(self, requests: list[Any]) -> list[tuple[float, bool]]:
        answers = self._shared(requests)
        rest = [index for index in range(len(requests)) if index not in answers]
        answers |= self._plain(requests, rest)
        return [answers[index] for index in range(len(requests))]

    def _plain(self, requests: list[Any], indices: list[int]) -> sharing.Answers:
        """The answers to the requests of these numbers, by lm-eval."""
        answers: sharing.Answers = {}
        for some in _apart([requests[index] for index in indices]):
            here = [indices[place] for place in some]
            answers |= zip(here, super().score([requests[index] for index in here]))
        return answers

    def _shared(self, requests: list[Any]) -> sharing.Answers:
        """Answers to questions whose context is run once for all of them; to few or none where that is not the same.

        The longest question is scored both ways. One process only: several that hold a model's parts must run the same
        number of passes.
        """
        asked = sharing.questions(requests, self.max_length)
        if not asked or self.world_size > 1 or not sharing.can_share(self.model):
            return {}
        size = int(self.batch_size)
        answers = self._plain(requests, asked[0].requests)
        if not sharing.close(answers, sharing.score(self.model, asked[:1], requests, size)):
            return answers
        for batch in sharing.batches(asked[1:], size):
            found = sharing.score(self.model, batch, requests, size)
            for index, answer in found.items():
                self.cache_hook.add_partial("loglikelihood", requests[index][0], answer)
            answers |= found
        return answers

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(token ids, attention mask), both int64 [prompts, longest]: each prompt as `tok_encode` has it, padded."""
        prompts = [self.tok_encode(string) or [self.prefix_token_id] for string in strings]
        kept = [ids[-left_truncate_len:] if left_truncate_len else ids for ids in prompts]
        longest = max(map(len, kept))
        ids = torch.full((len(kept), longest), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(kept):
            place = slice(longest - len(tokens), longest) if padding_side == "left" else slice(len(tokens))
            ids[row, place], mask[row, place] = torch.tensor(tokens), 1
        return ids, mask

    # lm-eval gives each process every size-th document and puts the answers together through these three

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.stack(gathered(tensor.cpu()))

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        values = gathered(obj)
        return values if self.rank == dst else None

    def barrier(self) -> None:
        gathered(None)
