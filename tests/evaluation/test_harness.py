"""The lm-eval bridge against a plain scorer: direct forwards and greedy decoding by hand, item by item."""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import qwen3
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from adept_bench import progress
from adept_bench.errors import InputError
from adept_bench.evaluation.entries import group_means
from adept_bench.evaluation.harness import _evaluate_one, _set_fewshot, evaluate

WORDS = [f"v{number}" for number in range(30)]
ITEMS = 24


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<unk>", "<eos>", "Question:", "?", "Answer:", "Problem:", "Steps:", *map(str, range(10)), *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>")


@pytest.fixture(scope="module")
def model() -> Qwen3ForCausalLM:
    return qwen3(
        seed=8,  # of twelve tried, the one whose model writes an answer most often
        vocab_size=47,
        intermediate_size=64,
        num_hidden_layers=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        tie_word_embeddings=False,
        eos_token_id=1,
    )


def question(rng: random.Random, longest: int = 9) -> str:
    return f"Question: {' '.join(rng.choices(WORDS, k=rng.randint(1, longest)))} ? Answer:"


def likeliest(model: Any, tokenizer: Any, item: dict[str, Any]) -> int:
    """The choice of the highest summed log-probability, one choice and one forward at a time."""
    scores = []
    context = tokenizer(item["question"])["input_ids"]
    for choice in item["choices"]:
        ids = tokenizer(f"{item['question']} {choice}")["input_ids"]
        with torch.no_grad():
            log_probabilities = torch.log_softmax(model(torch.tensor([ids])).logits[0], dim=-1)
        scores.append(sum(float(log_probabilities[at - 1, ids[at]]) for at in range(len(context), len(ids))))
    return scores.index(max(scores))


def written(model: Any, tokenizer: Any, item: dict[str, Any], tokens: int = 32) -> str:
    """Greedy decoding with no cache, no batch and no padding; the number behind the first "Answer:"."""
    ids = tokenizer(item["question"])["input_ids"]
    start = len(ids)
    while len(ids) < start + tokens and "Problem:" not in tokenizer.decode(ids[start:]) and ids[-1] != 1:
        with torch.no_grad():
            ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
    text = tokenizer.decode(ids[start:], skip_special_tokens=True).split("Problem:")[0].split("\n")[0]
    found = re.search(r"Answer:\s*(-?\d+)", text)
    return found[1] if found else ""


def chosen_items(model: Any, tokenizer: Any, words: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Items of 16 choices of up to `words` tokens, and their true correctness: about half are right, in no pattern."""
    rng = random.Random(words)
    items: list[dict[str, Any]] = []
    expected = []
    for number in range(ITEMS):
        options: list[str] = []
        while len(options) < 16:
            option = " ".join(rng.choices(WORDS, k=rng.randint(1, words)))
            if option not in options:
                options.append(option)
        item = {"id": f"item {number}", "question": question(rng), "choices": options}
        best = likeliest(model, tokenizer, item)
        right = rng.random() < 0.5
        items.append(item | {"answer": best if right else (best + rng.randint(1, 15)) % 16})
        expected.append(int(right))
    return items, expected


def written_items(model: Any, tokenizer: Any) -> tuple[list[dict[str, Any]], list[int]]:
    rng = random.Random(5)
    items: list[dict[str, Any]] = []
    expected = []
    for number in range(ITEMS):
        item = {"id": f"sum {number}", "question": question(rng).replace("Answer:", "Steps:")}
        answer = written(model, tokenizer, item)
        right = bool(answer) and rng.random() < 0.5
        items.append(item | {"answer": answer if right else f"{answer}1"})
        expected.append(int(right))
    return items, expected


@pytest.mark.parametrize("words", [1, 3])
def test_choices_agree_with_direct_forwards(model: Any, tokenizer: Any, words: int) -> None:
    items, expected = chosen_items(model, tokenizer, words)
    assert 0 < sum(expected) < ITEMS
    result = evaluate(model, tokenizer, {"general": ["lab_general"]}, batch_size=5, items=lambda name: items)
    entry = result["tasks"]["lab_general"]
    accuracy = sum(expected) / ITEMS
    assert entry["items"] == expected
    assert entry["value"] == pytest.approx(accuracy)
    assert entry["stderr"] == pytest.approx(math.sqrt(accuracy * (1 - accuracy) / (ITEMS - 1)))
    assert entry["chance"] == pytest.approx(1 / 16)
    assert entry["value_chance_corrected"] == pytest.approx((accuracy - 1 / 16) / (15 / 16))
    kept = {key: entry[key] for key in ("group", "metric", "n", "num_fewshot", "truncated", "version")}
    assert kept == {"group": "general", "metric": "acc", "n": 24, "num_fewshot": 0, "truncated": 0, "version": "1.0"}
    alone = evaluate(model, tokenizer, {"general": ["lab_general"]}, batch_size=1, items=lambda name: items)
    assert alone == result


def test_generation_agrees_with_greedy_decoding_by_hand(model: Any, tokenizer: Any) -> None:
    items, expected = written_items(model, tokenizer)
    assert 2 < sum(expected) < ITEMS - 2
    result = evaluate(model, tokenizer, {"domain": ["lab_math_generate"]}, batch_size=7, items=lambda name: items)
    entry = result["tasks"]["lab_math_generate"]
    assert entry["items"] == expected
    assert (entry["metric"], entry["filter"], entry["chance"]) == ("exact_match", "answer", 0.0)
    assert result["groups"] == result["groups_chance_corrected"] == {"domain": pytest.approx(sum(expected) / ITEMS)}


class Titles(progress.Silent):
    """A reporter that keeps the tasks' descriptions."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    @contextmanager
    def task(self, description: str, total: int | None = None, unit: str = "") -> Iterator[progress.Task]:
        self.titles.append(description)
        yield progress.Task(description, total)


def test_groups_limit_and_progress(model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, expected = chosen_items(model, tokenizer, 1)
    second, expected_second = chosen_items(model, tokenizer, 2)
    provided = {"lab_general": first, "lab_medical_new": second, "lab_math_choice": first}
    groups = {"general": ["lab_general"], "domain": ["lab_medical_new", "lab_math_choice"]}
    seen: list[tuple[str, int, int]] = []
    shown = Titles()
    monkeypatch.setattr(progress, "_current", shown)
    result = evaluate(
        model,
        tokenizer,
        groups,
        batch_size=8,
        limit=10,
        num_fewshot=3,
        items=provided.__getitem__,
        on_progress=lambda *step: seen.append(step),
        title="adept seed 3",
    )
    assert result["tasks"]["lab_medical_new"]["items"] == expected_second[:10]
    assert shown.titles == [f"adept seed 3 {name}" for name in provided]
    assert result["groups"]["general"] == pytest.approx(sum(expected[:10]) / 10)
    assert result["groups"]["domain"] == pytest.approx((sum(expected[:10]) + sum(expected_second[:10])) / 20)
    # ours are zero-shot whatever a suite says for the others
    assert {entry["num_fewshot"] for entry in result["tasks"].values()} == {0}
    for name in provided:
        counts = [done for task, done, total in seen if task == name]
        assert counts == list(range(1, 11))
        assert {total for task, _, total in seen if task == name} == {10}


def test_items_hash_is_of_documents_and_not_of_the_model(model: Any, tokenizer: Any) -> None:
    items, _ = chosen_items(model, tokenizer, 1)
    other_model = Qwen3ForCausalLM(model.config)

    def hash_of(items: list[dict[str, Any]], scored: Any = model) -> str:
        result = evaluate(scored, tokenizer, {"general": ["lab_general"]}, batch_size=8, items=lambda name: items)
        return result["tasks"]["lab_general"]["items_hash"]

    original = hash_of(items)
    assert hash_of(items, other_model) == original
    changed = [{**items[0], "answer": (items[0]["answer"] + 1) % 16}, *items[1:]]
    reordered = [items[1], items[0], *items[2:]]
    assert len({original, hash_of(changed), hash_of(reordered), hash_of(items[:-1])}) == 4


def test_truncated_prompts_are_counted(model: Any, tokenizer: Any) -> None:
    items, _ = chosen_items(model, tokenizer, 2)
    longest = [max(len(tokenizer(f"{i['question']} {c}")["input_ids"]) for c in i["choices"]) for i in items]
    room = sorted(longest)[ITEMS // 2]
    result = evaluate(
        model, tokenizer, {"g": ["lab_general"]}, batch_size=8, max_length=room - 1, items=lambda name: items
    )
    expected = sum(length > room for length in longest)
    assert 0 < expected < ITEMS
    assert result["tasks"]["lab_general"]["truncated"] == expected
    sums, _ = written_items(model, tokenizer)
    lengths = sorted(len(tokenizer(item["question"])["input_ids"]) for item in sums)
    result = evaluate(
        model,
        tokenizer,
        {"g": ["lab_math_generate"]},
        batch_size=8,
        max_length=32 + lengths[10],
        items=lambda name: sums,
    )
    assert result["tasks"]["lab_math_generate"]["truncated"] == sum(length > lengths[10] for length in lengths) > 0


def test_nothing_is_disturbed_and_nothing_printed(
    model: Any, tokenizer: Any, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_current", progress.Silent())  # a command run before may have left its own
    items, _ = chosen_items(model, tokenizer, 1)
    sums, _ = written_items(model, tokenizer)
    model.train()
    model.model.layers[0].eval()
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    modes = [module.training for module in model.modules()]
    tokenizer.pad_token = None  # as if no evaluation had come before
    settings = (tokenizer.padding_side, tokenizer.pad_token)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    capfd.readouterr()
    try:
        evaluate(
            model,
            tokenizer,
            {"general": ["lab_general"], "domain": ["lab_math_generate"]},
            batch_size=8,
            items=lambda name: sums if name == "lab_math_generate" else items,
        )
        assert [module.training for module in model.modules()] == modes
    finally:
        model.eval()
    assert capfd.readouterr() == ("", "")
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    assert (tokenizer.padding_side, tokenizer.pad_token) == settings
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_group_of_lm_evals_is_one_task(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Subtasks of different sizes and few-shot, from files of a user's own, as mmlu is made."""
    from adept_bench.evaluation.scorer import Scorer
    from adept_bench.evaluation.tasks import render

    first, expected = chosen_items(model, tokenizer, 1)
    second, expected_second = chosen_items(model, tokenizer, 2)
    provided = {"lab_general": first, "lab_medical_new": second[:9]}
    render(provided, tmp_path, provided.__getitem__)
    (tmp_path / "both.yaml").write_text(
        "group: both\ntask: [lab_general, lab_medical_new]\n"
        "aggregate_metric_list: [{metric: acc, weight_by_size: true}]\nmetadata: {version: 3}\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    scorer = Scorer(model, tokenizer, batch_size=8, max_length=None, on_items=lambda done: None)
    tasks = _evaluate_one("both", "general", manager.load(["both"]), scorer, None, None)
    assert list(tasks) == ["both"]
    entry = tasks["both"]
    assert entry["items"] == expected + expected_second[:9]
    assert (entry["n"], entry["version"], entry["group"]) == (ITEMS + 9, "3", "general")
    assert entry["value"] == pytest.approx(sum(entry["items"]) / (ITEMS + 9))
    assert entry["stderr"] > 0
    assert group_means(tasks)["groups"]["general"] == pytest.approx(entry["value"])


def test_few_shot_prompts(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """A task that doesn't fix the number of examples gets the suite's; the prompt, and so the items' hash, differ."""
    from adept_bench.evaluation.scorer import Scorer
    from adept_bench.evaluation.tasks import render

    items, _ = chosen_items(model, tokenizer, 1)
    render(["lab_general"], tmp_path, lambda name: items)
    (tmp_path / "free.yaml").write_text("task: free\ninclude: lab_general.yaml\nnum_fewshot: null\n")
    entries = {}
    for shots in (None, 2):
        manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
        scorer = Scorer(model, tokenizer, batch_size=8, max_length=None, on_items=lambda done: None)
        loaded = manager.load(["free"])
        _set_fewshot(loaded["tasks"]["free"], shots)
        entries[shots] = _evaluate_one("free", "general", loaded, scorer, None, None)["free"]
    assert (entries[None]["num_fewshot"], entries[2]["num_fewshot"]) == (0, 2)
    assert entries[None]["items_hash"] != entries[2]["items_hash"]


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ({"general": ["lab_genral"]}, {}, r"unknown task 'lab_genral'.*did you mean 'lab_general'"),
        ({"a": ["lab_general"], "b": ["lab_general"]}, {}, r"tasks\.b: task 'lab_general' is in group 'a' already"),
        ({"a": ["lab_general"]}, {"limit": 0}, r"tasks\.limit: 0"),
        ({"a": ["lab_general"]}, {"batch_size": 0}, r"tasks\.batch_size: 0"),
        ({"a": ["lab_general"]}, {"num_fewshot": -1}, r"tasks\.num_fewshot: -1"),
    ],
)
def test_bad_input(model: Any, tokenizer: Any, groups: dict, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(model, tokenizer, groups, **({"batch_size": 4} | options))


def test_no_tasks(model: Any, tokenizer: Any) -> None:
    assert evaluate(model, tokenizer, {}, batch_size=4) == {"tasks": {}, "groups": {}, "groups_chance_corrected": {}}


def test_tokenizer_without_an_end(model: Any, tokenizer: Any) -> None:
    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, unk_token="<unk>")
    items, _ = chosen_items(model, tokenizer, 1)
    with pytest.raises(InputError, match="no end-of-text token"):
        evaluate(model, endless, {"a": ["lab_general"]}, batch_size=4, items=lambda name: items)


def test_remembered_tokens_are_those_of_the_tokenizer(model: Any, tokenizer: Any) -> None:
    """A text again, with other options, changed by a caller, and after tokens were added: as the tokenizer has it."""
    from adept_bench.evaluation.scorer import Scorer

    tokenizer = copy.deepcopy(tokenizer)
    scorer = Scorer(model, tokenizer, batch_size=2, max_length=None, on_items=lambda count: None)
    again = Scorer(model, tokenizer, batch_size=2, max_length=None, on_items=lambda count: None)
    for text in ("Question: What is the", "x x x"):
        plain = tokenizer.encode(text)
        scorer.tok_encode(text).append(7)  # the list is the caller's
        assert again.tok_encode(text) == scorer.tok_encode(text) == plain
        assert scorer.tok_encode(text, left_truncate_len=1) == plain[-1:]
        bare = tokenizer.encode(text, add_special_tokens=False)
        assert scorer.tok_encode(text, add_special_tokens=False) == bare
    tokenizer.add_tokens(["x x"])
    assert scorer.tok_encode("x x x") == tokenizer.encode("x x x") != plain
