"""Evaluation gives a plain scorer's numbers whatever the tokenizer: what it puts around a text, where it cuts it."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from builders import qwen3
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizer_kinds import FRAMES, KINDS, build

from adept_bench.errors import InputError
from adept_bench.evaluation.encoding import Encoder
from adept_bench.evaluation.harness import evaluate
from adept_bench.evaluation.scorer import Scorer

WORDS = "blood heart lung kidneys fever cough sugar insulin aspirin symptoms chambers liver four water".split()


@pytest.fixture(scope="module")
def model() -> Any:
    return qwen3(
        seed=8,
        vocab_size=360,
        intermediate_size=64,
        num_hidden_layers=2,
        max_position_embeddings=256,
        initializer_range=0.5,
        tie_word_embeddings=False,
    )


def scorer_of(model: Any, tokenizer: Any, **options: Any) -> Scorer:
    return Scorer(model, tokenizer, **{"batch_size": 4, "max_length": None, "on_items": lambda count: None, **options})


def requests_of(pairs: list[tuple[str, str]]) -> list[Instance]:
    return [
        Instance("loglikelihood", {}, pair, 0, metadata=("some_task", number, 1)) for number, pair in enumerate(pairs)
    ]


def plainly(model: Any, tokenizer: Any, frame: str, context: str, answer: str) -> tuple[float, list[int]]:
    """One forward pass over BOS (where the tokenizer puts one) and the text; the sum over the tokens that hold a
    character of the answer, to which white space at the end of the context belongs. Knows characters, not cuts."""
    found = tokenizer(context + answer, add_special_tokens=False, return_offsets_mapping=True)
    ids = found["input_ids"]
    join = len(context.rstrip())
    count = sum(end > join for start, end in found["offset_mapping"])
    if frame in ("bos", "both") and ids[:1] != [1]:
        ids = [1, *ids]
    if count == len(ids):
        ids = [1, *ids]
    with torch.no_grad():
        log_probabilities = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    scored = range(len(ids) - count, len(ids))
    return sum(float(log_probabilities[at - 1, ids[at]]) for at in scored), ids[len(ids) - count :]


def prompts(rng: random.Random, count: int) -> list[str]:
    return [f"Question: {' '.join(rng.choices(WORDS, k=rng.randint(1, 6)))}? Answer:" for _ in range(count)]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_choices_are_those_of_a_plain_scorer(model: Any, kind: str, frame: str) -> None:
    tokenizer = build(kind, frame)
    rng = random.Random(4)
    items, expected = [], []
    for number, question in enumerate(prompts(rng, 40)):
        choices = [" ".join(pair) for pair in rng.sample([(a, b) for a in WORDS for b in WORDS if a < b], 4)]
        scores = [plainly(model, tokenizer, frame, question, f" {choice}")[0] for choice in choices]
        best, right = scores.index(max(scores)), rng.random() < 0.5
        answer = best if right else (best + 1) % 4
        items.append({"id": f"{number}", "question": question, "choices": choices, "answer": answer})
        expected.append(int(right))
    found = evaluate(model, tokenizer, {"g": ["lab_general"]}, batch_size=8, items=lambda name: items)
    assert found["tasks"]["lab_general"]["items"] == expected
    assert "details" not in found["tasks"]["lab_general"]


JOINS = [
    ("Question: which organ? Answer:", " the heart"),
    ("Question: which organ? Answer: ", "the heart"),
    ("Question: which organ? Answer:", "\nthe heart"),
    ("Question: which organ?\nAnswer:\n\n", "blood"),
    ("The lung breathes; the hea", "rt pumps the blood"),
    ("The lung breathes; the hea", "rt"),
    ("Antibiotics kill b", "acteria."),
    ("", "The heart"),
    ("\n", "blood"),
    ("  ", "The heart"),
    ("aspirin ☃", "☃☃ lowers"),
    ("aspirin ☃", "☃"),
    ("aspirin ☃", " fever"),
]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_join_is_scored_as_by_a_plain_scorer(model: Any, kind: str, frame: str) -> None:
    tokenizer = build(kind, frame)
    scorer = scorer_of(model, tokenizer)
    found = scorer.loglikelihood(requests_of(JOINS))
    for (context, answer), (value, _) in zip(JOINS, found, strict=True):
        pair = scorer.encoder.pair(context, answer)
        expected, ids = plainly(model, tokenizer, frame, context, answer)
        # where the answer changes how the context before its last token is read, those tokens count as well
        earlier = len(pair.answer) - len(ids)
        assert pair.answer[earlier:] == ids, (context, answer)
        if not earlier:
            assert value == pytest.approx(expected, abs=1e-4), (context, answer)
    plain = {number for number, (_, answer) in enumerate(JOINS) if answer.startswith(" ")}
    joined = {number for _, number in scorer.seen["joined"]}
    assert not plain & joined
    assert scorer.seen["empty"] == scorer.seen["truncated"] == set()


def test_a_token_across_the_join_is_the_answers(model: Any) -> None:
    """By hand: ":" and the line break are one token, and so the answer's first; all before it is the context."""
    tokenizer = build("joining", "eos")
    colon, line = tokenizer.convert_tokens_to_ids([":", ":Ċ"])
    assert None not in (colon, line)
    pair = Encoder(tokenizer, 2).pair("Answer:", "\nfour")
    assert pair.joined
    assert pair.answer[0] == line
    assert [*pair.context, colon] == tokenizer.encode("Answer:", add_special_tokens=False)
    assert pair.context + pair.answer == tokenizer.encode("Answer:\nfour", add_special_tokens=False)


def test_an_answer_that_changes_earlier_tokens(model: Any) -> None:
    """By hand: with "c", the context "ab" is read as "a" and "bc". What is scored is all that the context's own tokens
    do not hold, so that the tokens of context and answer are always those of the whole text."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<s>": 0, "</s>": 1, "x": 2, "a": 3, "b": 4, "c": 5, "bc": 6, "ab": 7}
    backend = Tokenizer(models.BPE(vocabulary, [("b", "c"), ("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    assert tokenizer.encode("xab") == [2, 7]
    pair = Encoder(tokenizer, 0).pair("xab", "c")
    assert (pair.context, pair.answer, pair.joined) == ([2], [3, 6], True)
    assert Encoder(tokenizer, 0).pair("ab", "c").context == [0]


@pytest.mark.parametrize("frame", FRAMES)
def test_special_tokens_in_an_item_are_tokens_and_never_doubled(model: Any, frame: str) -> None:
    tokenizer = build("byte-level", frame)
    encoder = Encoder(tokenizer, 1)
    bare = tokenizer.encode("Answer:", add_special_tokens=False)
    assert encoder.prompt("<s>Answer:") == [1, *bare]
    assert encoder.prompt("Answer:") == ([1, *bare] if frame in ("bos", "both") else bare)
    pair = encoder.pair("<s>Answer:</s>", " four</s>")
    assert pair.context == [1, *bare, 2]
    assert pair.answer == [*tokenizer.encode(" four", add_special_tokens=False), 2]


def test_an_answer_of_no_token_is_certain_and_counted(model: Any) -> None:
    """As the sum over no tokens has it. White space is no token of this tokenizer."""
    tokenizer = build("wordpiece", "both")
    scorer = scorer_of(model, tokenizer)
    pairs = [("Answer:", " heart"), ("Answer:", "  "), ("Answer:", ""), ("", "")]
    found = scorer.loglikelihood(requests_of(pairs))
    assert found[1:] == [(0.0, True)] * 3
    assert found[0][0] == pytest.approx(plainly(model, tokenizer, "both", *pairs[0])[0], abs=1e-4)
    assert scorer.seen["empty"] == {("some_task", number) for number in (1, 2, 3)}


def test_results_say_how_many_items_are_special(model: Any, tmp_path: Any) -> None:
    import json

    tokenizer = build("joining", "eos")
    items = [
        {"question": "Answer:", "answers": ["\nfour", " heart"], "label": 0},
        {"question": "Answer:", "answers": [" four", ""], "label": 0},
        {"question": "Answer:", "answers": [" blood", " heart"], "label": 0},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, items)))
    (tmp_path / "own.yaml").write_text(
        f"task: own\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\nnum_fewshot: 0\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path}/rows.jsonl}}, cache_dir: {tmp_path}/cache}}\n"
        "doc_to_text: question\ndoc_to_choice: answers\ndoc_to_target: label\ntarget_delimiter: ''\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    from lm_eval.tasks import TaskManager

    from adept_bench.evaluation.harness import _evaluate_one, _set_fewshot

    loaded = TaskManager(include_path=str(tmp_path), include_defaults=False).load(["own"])
    _set_fewshot(loaded["tasks"]["own"], None)
    entry = _evaluate_one("own", "g", loaded, scorer_of(model, tokenizer), None, None)["own"]
    assert entry["details"] == {"joined": 1, "empty_answers": 1}
    assert entry["items"][1] == 0  # the empty answer is the likeliest


def test_answers_of_different_length_to_one_text(model: Any) -> None:
    """Context and answer are cut at different places of texts that differ in the last token only."""
    tokenizer = build("byte-level", "bos")
    pairs = [
        ("Answer:", " heart blood"),
        ("Answer: heart", " blood"),
        ("Answer: heart", " fever"),
        ("Answer:", " heart"),
    ]
    found = scorer_of(model, tokenizer).loglikelihood(requests_of(pairs))
    for pair, (value, _) in zip(pairs, found, strict=True):
        assert value == pytest.approx(plainly(model, tokenizer, "bos", *pair)[0], abs=1e-4)


def test_an_answer_longer_than_the_context_is_refused_by_name(model: Any) -> None:
    scorer = scorer_of(model, build("byte-level", "bos"), max_length=8)
    fits = scorer.loglikelihood(requests_of([("Answer:", " heart")]))
    assert len(fits) == 1
    with pytest.raises(InputError, match=r"'some_task', item 1: an answer of \d+ tokens; expected fewer than 9,"):
        scorer.loglikelihood(requests_of([("Answer:", " heart"), ("Answer:", " heart blood" * 9)]))


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", ["byte-level", "unigram"])
def test_prompts_to_be_continued_end_where_the_text_ends(model: Any, kind: str, frame: str) -> None:
    tokenizer = build(kind, frame)
    texts = [*prompts(random.Random(2), 5), "<s>Answer:"]
    asked = [
        Instance("generate_until", {}, (text, {"until": [], "max_gen_toks": 6, "do_sample": False}), 0)
        for text in texts
    ]
    for request in asked:
        request.task_name, request.doc_id = "some_task", 0
    found = scorer_of(model, tokenizer).generate_until(asked)
    for text, written in zip(texts, found, strict=True):
        ids = tokenizer.encode(text, add_special_tokens=False)
        ids = [1, *ids] if frame in ("bos", "both") and ids[0] != 1 else ids
        start = len(ids)
        while len(ids) < start + 6 and (len(ids) == start or ids[-1] != 2):
            with torch.no_grad():
                ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
        assert written == tokenizer.decode(ids[start:], skip_special_tokens=True)


def test_a_prompt_that_leaves_no_room_to_write_is_refused_by_name(model: Any) -> None:
    request = Instance("generate_until", {}, ("Answer:", {"until": [], "max_gen_toks": 300}), 0)
    request.task_name, request.doc_id = "some_task", 0
    with pytest.raises(InputError, match="'some_task' lets the model write 300 tokens; expected fewer than 256"):
        scorer_of(model, build("byte-level", "none")).generate_until([request])


@pytest.mark.parametrize("frame", FRAMES)
def test_rolling_predicts_the_text_from_one_bos(model: Any, frame: str) -> None:
    tokenizer = build("byte-level", frame)
    for text in ("The heart pumps the blood.", "<s>The heart pumps the blood."):
        request = Instance("loglikelihood_rolling", {}, (text,), 0)
        (found,) = scorer_of(model, tokenizer).loglikelihood_rolling([request])
        ids = [1, *tokenizer.encode("The heart pumps the blood.", add_special_tokens=False)]
        with torch.no_grad():
            log_probabilities = torch.log_softmax(model(torch.tensor([ids])).logits[0], dim=-1)
        expected = sum(float(log_probabilities[at - 1, ids[at]]) for at in range(1, len(ids)))
        assert found == pytest.approx(expected, abs=1e-4)


def test_the_labs_tokens_are_lm_evals_own() -> None:
    """Every context and choice of the lab's items is cut as HFLM cuts it, so that stored results stay what they are."""
    from adept_bench.lab.items import TASKS, items
    from adept_bench.lab.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    theirs = HFLM.__new__(HFLM)
    theirs.backend, theirs.tokenizer, theirs.add_bos_token, theirs.custom_prefix_token_id = (
        "causal",
        tokenizer,
        None,
        None,
    )
    ours = Encoder(tokenizer, tokenizer.eos_token_id)
    for name in TASKS:
        for item in items(name)[::3]:
            assert ours.prompt(item["question"]) == tokenizer.encode(item["question"])
            for choice in item.get("choices", []):
                pair = ours.pair(item["question"], f" {choice}")
                assert (pair.context, pair.answer) == theirs._encode_pair(item["question"], f" {choice}")
                assert pair.answer
                assert not pair.joined
