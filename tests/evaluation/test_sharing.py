"""A question's context run once for all its answers: the same numbers as one plain pass an answer, or none of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from builders import from_sizes, scattered
from families import COMMON, FAMILIES
from tokenizer_kinds import build

from adept_bench.evaluation import sharing
from adept_bench.evaluation.scorer import Scorer

SHARED = ["qwen3", "llama", "gemma", "granite", "gpt2", "bloom", "opt", "mixtral", "deepseek-v3"]
APART = ["mistral", "qwen2", "gemma2", "gemma3", "gpt-oss", "mamba"]
ENDS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
LONGEST = 64


def family(name: str, **changes: Any) -> Any:
    kind, sizes = FAMILIES[name]
    return scattered(kind, **{**COMMON, **ENDS, **sizes, **changes})


def requests(seed: int = 0, sizes: tuple[int, ...] = (33, 34, 34, 40, 41, 55, 57, 57)) -> list[sharing.Request]:
    """Four answers of 1 to 5 tokens to a context of each size; some begin alike, and two differ in the last token."""
    draw = random.Random(seed)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(96) for _ in range(count)]

    found: list[sharing.Request] = []
    for size in sizes:
        context, answer = tokens(size), tokens(4)
        answers = [answer, [*answer[:3], (answer[3] + 1) % 96], answer[:2], tokens(draw.randint(1, 5))]
        found += [((f"{size}", f"{number}"), context, answer) for number, answer in enumerate(answers)]
    draw.shuffle(found)
    return found


def scorer_of(model: Any, size: int, **options: Any) -> Scorer:
    settings = {"max_length": LONGEST, "on_items": lambda count: None, **options}
    return Scorer(model, build("byte-level", "none"), batch_size=size, **settings)


def plainly(model: Any, context: list[int], answer: list[int]) -> tuple[float, bool]:
    with torch.no_grad():
        logits = model(torch.tensor([[*context, *answer[:-1]]]), use_cache=False).logits[0].double()
    logged = torch.log_softmax(logits, dim=-1)[len(context) - 1 :]
    value = sum(float(logged[at, token]) for at, token in enumerate(answer))
    return value, logged.argmax(dim=-1).tolist() == answer


@contextmanager
def passes(model: Any) -> Iterator[list[tuple[int, int]]]:
    """(rows, tokens) of every forward pass."""
    seen: list[tuple[int, int]] = []

    def note(module: Any, arguments: Any, named: dict[str, Any]) -> None:
        seen.append(tuple((arguments[0] if arguments else named["input_ids"]).shape))

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def rows_of(seen: list[tuple[int, int]], tokens: int) -> int:
    """Rows run with at least so many tokens, so with a whole context."""
    return sum(rows for rows, length in seen if length >= tokens)


def agree(model: Any, asked: list[sharing.Request], found: list[tuple[float, bool]]) -> None:
    for (_, context, answer), (value, greedy) in zip(asked, found, strict=True):
        expected, expected_greedy = plainly(model, context, answer)
        assert value == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy


@pytest.mark.parametrize("size", [1, 6, 64])
@pytest.mark.parametrize("name", SHARED)
def test_answers_are_those_of_plain_passes_in_any_batch(name: str, size: int) -> None:
    model, asked = family(name), requests()
    with passes(model) as seen:
        found = scorer_of(model, size).score(asked)
    agree(model, asked, found)
    # each context once, but for the longest, which is also run plainly in rows of its own to compare
    assert rows_of(seen, 30) <= 8 + 3
    assert max(rows for rows, _ in seen) <= size


@pytest.mark.parametrize("name", APART)
def test_windows_and_states_are_not_shared(name: str) -> None:
    model, asked = family(name), requests()
    assert not sharing.can_share(model)
    with passes(model) as seen:
        found = scorer_of(model, 8).score(asked)
    agree(model, asked, found)
    assert rows_of(seen, 30) == 8 * 3  # two answers differ in the last token only


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
        {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 40,
            "short_factor": [1.0] * 4,
            "long_factor": [3.0] * 4,
        },
    ],
)
def test_positions_that_depend_on_the_length_are_not_shared(rope: dict[str, Any]) -> None:
    model = from_sizes("llama", **{**COMMON, "rope_parameters": rope})
    assert not sharing.can_share(model)
    asked = requests(sizes=(38, 39, 39, 45))
    for (_, context, answer), (value, _) in zip(asked, scorer_of(model, 1).score(asked), strict=True):
        assert value == pytest.approx(plainly(model, context, answer)[0], abs=1e-4)


def test_coarse_numbers_are_not_shared() -> None:
    """In bf16 a pass of other shape rounds otherwise, by more than the tolerance."""
    model = family("qwen3").to(torch.bfloat16)
    with passes(model) as seen:
        scorer_of(model, 8).score(requests())
    assert rows_of(seen, 30) == 8 * 3


def test_a_difference_beyond_the_tolerance_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest question is scored both ways; with no difference allowed, nothing is shared."""
    monkeypatch.setattr(sharing, "TOLERANCE", -1.0)
    model, asked = family("qwen3"), requests()
    with passes(model) as seen:
        found = scorer_of(model, 8).score(asked)
    agree(model, asked, found)
    assert rows_of(seen, 30) == 8 * 3 + 1  # that one's context, for the comparison


def test_adapters_are_shared_too() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(family("qwen3"), LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj"]))
    asked = requests()
    with passes(model) as seen:
        found = scorer_of(model.eval(), 16).score(asked)
    agree(model, asked, found)
    assert rows_of(seen, 30) <= 8 + 3


def test_what_does_not_pay_is_as_before() -> None:
    """Short contexts, one answer, answers of one token, and texts that do not fit: lm-eval's own passes, bit by bit."""
    draw = random.Random(1)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(96) for _ in range(count)]

    short, alone, letters, long = tokens(31), tokens(40), tokens(40), tokens(62)
    asked = [("", short, tokens(2)), ("", short, tokens(3)), ("", alone, tokens(4))]
    asked += [("", letters, [letter]) for letter in range(4)]
    asked += [("", long, tokens(5)), ("", long, tokens(4))]
    assert sharing.questions(asked, LONGEST) == []
    model = family("qwen3")
    scorer = scorer_of(model, 4)
    assert scorer.score(asked) == scorer._loglikelihood_tokens(asked, disable_tqdm=True)


def test_no_item_of_the_lab_is_shared() -> None:
    from adept_bench.lab.items import TASKS, items
    from adept_bench.lab.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    for name in TASKS:
        asked = [
            ("", tokenizer.encode(item["question"]), tokenizer.encode(f"{item['question']} {choice}"))
            for item in items(name)
            for choice in item.get("choices", [])
        ]
        pairs = [(known, context, whole[len(context) :]) for known, context, whole in asked]
        assert sharing.questions(pairs, 512) == []


def test_a_lab_model_on_long_prompts(tmp_path: Any) -> None:
    """The lab's questions behind others, as examples would stand before them."""
    from adept_bench.config.schema import ModelConfig
    from adept_bench.lab.items import items
    from adept_bench.models.checkpoints import load_model, load_tokenizer
    from adept_bench.suite.inputs import model_place

    place = model_place(ModelConfig(source="lab:base"), 0)
    model, tokenizer = load_model(place, dtype="float32"), load_tokenizer(place)
    rows = items("lab_general")
    asked = []
    for start in range(0, 40, 5):
        context = tokenizer.encode(" ".join(item["question"] for item in rows[start : start + 5]))
        answers = [tokenizer.encode(f" {a} {b}") for a, b in zip(rows[start]["choices"], rows[start + 1]["choices"])]
        asked += [(("", ""), context, answer) for answer in answers]
    with passes(model) as seen:
        found = scorer_of(model, 16, max_length=None).score(asked)
    agree(model, asked, found)
    assert rows_of(seen, 50) < len(asked)


def test_every_request_is_told_of_once() -> None:
    told: list[Any] = []

    class Hook:
        def add_partial(self, attribute: str, request: Any, answer: Any) -> None:
            told.append(request)

    scorer, asked = scorer_of(family("qwen3"), 4), requests()
    scorer.set_cache_hook(Hook())
    scorer.score(asked)
    assert sorted(told) == sorted(known for known, _, _ in asked)
