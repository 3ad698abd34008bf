"""lm-eval's own benchmarks on rows of their true format: prompts, targets, extraction and scores against plain ones.

Each `Case` builds its prompts from the benchmark's published format, without lm-eval. Rows are written here, so that
every check runs everywhere; where ../shared lies beside the checkout, true rows and a pretrained model are used too.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adept_bench.errors import InputError
from adept_bench.evaluation.builtin import leaves, manager_of
from adept_bench.evaluation.harness import InTurn, _set_fewshot, evaluate
from adept_bench.evaluation.tasks import load

Row = dict[str, Any]
LETTERS = ["A", "B", "C", "D"]
SEED = 1234  # lm-eval's, of the examples


@dataclass(frozen=True)
class Case:
    """A benchmark as published: `shots` examples from `pool`, the first ones or drawn for each question."""

    shots: int
    question: Callable[[Row], str]
    choices: Callable[[Row], list[str]]
    gold: Callable[[Row], int]
    description: str = ""
    pool: str = "dev"
    drawn: bool = False
    norm: bool = True

    def contexts(self, rows: list[Row], pool: list[Row], shots: int) -> list[str]:
        rng = random.Random(SEED)
        found = []
        for row in rows:
            shown = (rng.sample(pool, shots) if self.drawn else pool[:shots]) if shots else []
            examples = "".join(f"{self.question(one)} {self.choices(one)[self.gold(one)]}\n\n" for one in shown)
            found.append(self.description + examples + self.question(row))
        return found


def lettered(question: str, options: list[str], answer: str) -> str:
    return f"{question}\n" + "".join(f"{letter}. {text}\n" for letter, text in zip(LETTERS, options)) + answer


ARC = Case(
    shots=0,
    question=lambda row: f"Question: {row['question']}\nAnswer:",
    choices=lambda row: row["choices"]["text"],
    gold=lambda row: row["choices"]["label"].index(row["answerKey"]),
    pool="train",
    drawn=True,
)
CASES = {
    "mmlu_anatomy": Case(
        shots=5,
        description="The following are multiple choice questions (with answers) about anatomy.\n\n",
        question=lambda row: lettered(row["question"].strip(), row["choices"], "Answer:"),
        choices=lambda row: LETTERS,
        gold=lambda row: row["answer"],
        norm=False,
    ),
    "cmmlu_anatomy": Case(
        shots=5,
        description="以下是关于解剖学的单项选择题，请直接给出正确答案的选项。\n\n",
        question=lambda row: lettered(row["Question"].strip(), [row[letter] for letter in LETTERS], "答案："),
        choices=lambda row: LETTERS,
        gold=lambda row: LETTERS.index(row["Answer"]),
    ),
    "arc_easy": ARC,
    "arc_challenge": ARC,
    "medqa_4options": Case(
        shots=0,
        question=lambda row: lettered(
            f"Question: {row['sent1']}", [row[f"ending{number}"] for number in range(4)], "Answer:"
        ),
        choices=lambda row: LETTERS,
        gold=lambda row: row["label"],
        pool="train",
        drawn=True,
    ),
}


def own_rows(name: str, count: int, seed: int) -> list[Row]:
    """Rows in the columns of the data set, with the odd cases of the true ones."""
    rng = random.Random(f"{name} {seed}")

    def text(words: int = 4) -> str:
        return " ".join(rng.choice(["nerve", "bone", "cell", "artery", "heart", "3.5", "骨"]) for _ in range(words))

    rows: list[Row] = []
    for number in range(count):
        options = [f"{text(rng.randint(1, 4))} {one}" for one in range(4)]
        if name.startswith("mmlu"):
            rows.append({"question": f" {text()}? ", "subject": "anatomy", "choices": options, "answer": number % 4})
        elif name.startswith("cmmlu"):
            rows.append({"Question": f"{text()}是", **dict(zip(LETTERS, options)), "Answer": LETTERS[number % 4]})
        elif name.startswith("arc"):
            labels = ["1", "2", "3", "4"] if number % 3 == 0 else [*LETTERS, "E"][: 3 + number % 3]
            texts = [f"{text(rng.randint(1, 4))} {one}" for one in range(len(labels))]
            choices = {"text": texts, "label": labels}
            rows.append({"id": f"q{number}", "question": f"{text()}?", "choices": choices, "answerKey": labels[-1]})
        else:
            ends = {f"ending{one}": option for one, option in enumerate(options)}
            rows.append({"id": f"q{number}", "sent1": f"{text(9)}?", "sent2": "", **ends, "label": number % 4})
    return rows


def write_split(folder: Path, split: str, rows: list[Row]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shots", [None, 2])
def test_prompts_targets_and_scores(
    name: str, shots: int | None, tmp_path: Path, make_model: Any, plain_log_likelihood: Any
) -> None:
    case = CASES[name]
    rows, pool = own_rows(name, 6, 1), own_rows(name, 7, 2)
    write_split(tmp_path / "data", "test", rows)
    write_split(tmp_path / "data", case.pool, pool)
    asked = case.shots if shots is None else shots
    contexts = case.contexts(rows, pool, asked)
    endings = [f" {choice}" for row in rows for choice in case.choices(row)]
    model, tokenizer = make_model([*contexts, *endings])
    requests = requests_of(name, tmp_path / "data", asked, tmp_path)
    assert requests == [(context, f" {choice}") for context, row in zip(contexts, rows) for choice in case.choices(row)]
    check_scores(name, rows, contexts, tmp_path / "data", asked, model, tokenizer, plain_log_likelihood)


def test_prompts_that_are_cut(tmp_path: Path, make_model: Any, plain_log_likelihood: Any) -> None:
    case, name = CASES["mmlu_anatomy"], "mmlu_anatomy"
    rows, pool = own_rows(name, 6, 1), own_rows(name, 7, 2)
    write_split(tmp_path, "test", rows)
    write_split(tmp_path, "dev", pool)
    contexts = case.contexts(rows, pool, 1)
    longest = sorted(len(context) for context in contexts)[3]
    model, tokenizer = make_model(contexts)
    entry = check_scores(name, rows, contexts, tmp_path, 1, model, tokenizer, plain_log_likelihood, longest)
    assert 0 < entry["truncated"] < 6


def test_several_processes_show_each_document_the_same_examples(tmp_path: Path) -> None:
    write_split(tmp_path / "data", "test", own_rows("arc_easy", 7, 1))
    write_split(tmp_path / "data", "train", own_rows("arc_easy", 9, 2))
    (tmp_path / "files").mkdir()
    task = load("arc_easy", tmp_path / "files", source=str(tmp_path / "data"))["tasks"]["arc_easy"]

    def contexts(rank: int, processes: int) -> dict[int, str]:
        _set_fewshot(task, None, 3)
        own = task.sampler
        task.sampler = InTurn(own, rank, processes) if processes > 1 else own
        task.build_all_requests(rank=rank, world_size=processes)
        task.sampler = own
        return {instance.doc_id: instance.args[0] for instance in task.instances}

    alone = contexts(0, 1)
    assert len(alone) == 7
    assert contexts(0, 3) | contexts(1, 3) | contexts(2, 3) == alone


def requests_of(name: str, source: Path, shots: int, tmp_path: Path) -> list[tuple[str, str]]:
    """What lm-eval asks of a model: (context, continuation) in the order of documents and choices."""
    place = tmp_path / f"requests{shots}"
    place.mkdir()
    task = load(name, place, source=str(source))["tasks"][name]
    _set_fewshot(task, None, shots)
    task.build_all_requests(rank=0, world_size=1)
    return [instance.args for instance in task.instances]


def check_scores(
    name: str,
    rows: list[Row],
    contexts: list[str],
    source: Path,
    shots: int,
    model: Any,
    tokenizer: Any,
    plain: Callable[..., float],
    longest: int | None = None,
) -> dict[str, Any]:
    """evaluate()'s entry against accuracy and length-normalised accuracy of plain forward passes."""
    case = CASES[name]
    right, right_norm, cut = [], [], 0
    for row, context in zip(rows, contexts):
        choices = case.choices(row)
        sums = [plain(model, tokenizer, context, f" {choice}", longest) for choice in choices]
        norms = [value / len(choice) for value, choice in zip(sums, choices)]
        right.append(int(sums.index(max(sums)) == case.gold(row)))
        right_norm.append(int(norms.index(max(norms)) == case.gold(row)))
        lengths = [len(tokenizer(f"{context} {choice}")["input_ids"]) for choice in choices]
        cut += longest is not None and max(lengths) > longest + 1
    result = evaluate(
        model,
        tokenizer,
        {"g": [name]},
        batch_size=4,
        fewshot={name: shots},
        data={name: str(source)},
        max_length=longest,
    )
    entry = result["tasks"][name]
    assert entry["items"] == right
    assert (entry["metric"], entry["num_fewshot"], entry["truncated"]) == ("acc", shots, cut)
    assert entry["chance"] == pytest.approx(sum(1 / len(case.choices(row)) for row in rows) / len(rows))
    if case.norm:
        assert entry["details"]["metrics"]["acc_norm,none"] == pytest.approx(sum(right_norm) / len(rows))
    assert entry["details"]["data"] == str(source)
    return entry


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("arc_easy", {"test.jsonl": '{"question": "?"}'}, "the data of 'arc_easy' cannot be loaded .*'choices'"),
        (
            "arc_easy",
            {"test.jsonl": "{"},
            r"the data of 'arc_easy' cannot be loaded .*local copy in tasks\.data\.arc_easy",
        ),
        ("arc_easy", {"train.jsonl": "{}"}, r"tasks\.data\.arc_easy: no test\.jsonl, \.json or \.parquet in"),
        ("mmlu_other", {}, r"tasks\.data\.mmlu_other: no test\.jsonl, .* in .*/business_ethics"),
    ],
)
def test_local_data_that_cannot_be_used(
    name: str, files: dict[str, str], message: str, tmp_path: Path, make_model: Any
) -> None:
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        evaluate(*make_model(["x"]), {"g": [name]}, batch_size=4, data={name: str(tmp_path)})


def test_a_number_of_examples_for_one_task_only(tmp_path: Path, make_model: Any) -> None:
    for name in ("arc_easy", "medqa_4options"):
        write_split(tmp_path / name, "test", own_rows(name, 2, 1))
        write_split(tmp_path / name, "train", own_rows(name, 4, 2))
    names = ["arc_easy", "medqa_4options"]
    model, tokenizer = make_model(["x"])
    data = {name: str(tmp_path / name) for name in names}
    options = {"batch_size": 4, "data": data, "fewshot": {"arc_easy": 3}}
    tasks = evaluate(model, tokenizer, {"g": names}, num_fewshot=1, **options)["tasks"]
    assert {name: tasks[name]["num_fewshot"] for name in names} == {"arc_easy": 3, "medqa_4options": 1}


def test_a_group_on_local_copies(tmp_path: Path, make_model: Any, plain_log_likelihood: Any) -> None:
    """mmlu_other: a group of lm-eval's, of a tag, of 13 subtasks; its number of examples and its score as one task."""
    subtasks = list(leaves("mmlu_other", manager_of("mmlu").task_index))
    assert len(subtasks) == 13
    for number, entry in enumerate(subtasks):
        write_split(tmp_path / entry.cfg["dataset_name"], "test", own_rows("mmlu", 1 + number % 2, number))
        write_split(tmp_path / entry.cfg["dataset_name"], "dev", own_rows("mmlu", 5, 99))
    model, tokenizer = make_model([f"{row}" for row in own_rows("mmlu", 5, 99)] + LETTERS)
    options = {"batch_size": 8, "data": {"mmlu_other": str(tmp_path)}}
    result = evaluate(model, tokenizer, {"general": ["mmlu_other"]}, fewshot={"mmlu_other": 1}, **options)
    (name, entry), *rest = result["tasks"].items()
    assert (name, rest, entry["n"], entry["num_fewshot"]) == ("mmlu_other", [], 19, 1)
    expected = []
    for number, subtask in enumerate(subtasks):
        case = CASES["mmlu_anatomy"]
        rows, pool = own_rows("mmlu", 1 + number % 2, number), own_rows("mmlu", 5, 99)
        about = subtask.cfg["description"]
        for row, context in zip(rows, case.contexts(rows, pool, 1)):
            context = about + context.removeprefix(case.description)
            sums = [plain_log_likelihood(model, tokenizer, context, f" {letter}") for letter in LETTERS]
            expected.append(int(sums.index(max(sums)) == row["answer"]))
    assert entry["items"] == expected
    assert entry["value"] == pytest.approx(sum(expected) / 19)
    # a subject is a cluster
    assert entry["clusters"] == {"by": "task", "sizes": [1 + number % 2 for number in range(13)]}


def test_the_groups_have_all_their_subtasks_though_few_files_are_read() -> None:
    for name, count in (("mmlu", 57), ("cmmlu", 67)):
        manager = manager_of(name)
        assert len(list(leaves(name, manager.task_index))) == count
        assert len(manager.all_tasks) < 1000  # of more than 14,000


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("8 + 9 = 17\n#### 17", True, True),
        ("It is 17", False, True),
        ("#### 17\nQuestion: more #### 3", True, False),
        ("#### 18, no, 17", False, True),
        ("#### 17.", True, True),
        ("#### -17", False, False),
        ("seventeen", False, False),
        ("#### $17", False, True),
    ],
)
def test_gsm8k_extraction(tmp_path: Path, text: str, strict: bool, flexible: bool) -> None:
    assert extracted(tmp_path, text, "8 + 9 = <<8+9=17>>17\n#### 17") == (strict, flexible)


@pytest.mark.parametrize(
    ("gold", "text", "strict", "flexible"),
    [
        ("#### 1,450", "#### 1,450", True, True),
        ("#### 1,450", "#### 1450", True, True),
        ("#### 1450", "They earn $1,450.", False, True),
        ("#### -5", "#### -5", True, True),
        ("#### -5", "so -5", False, True),
        ("#### 5", "#### -5", False, False),
        ("#### 0.5", "#### 0.5", True, True),
    ],
)
def test_gsm8k_signs_and_separators(tmp_path: Path, gold: str, text: str, strict: bool, flexible: bool) -> None:
    assert extracted(tmp_path, text, gold) == (strict, flexible)


def extracted(tmp_path: Path, text: str, gold: str) -> tuple[bool, bool]:
    """Whether gsm8k counts `text` as the answer `gold`: (strict-match, flexible-extract)."""
    write_split(tmp_path / "data", "test", [{"question": "?", "answer": gold}])
    (tmp_path / "files").mkdir()
    task = load("gsm8k", tmp_path / "files", source=str(tmp_path / "data"))["tasks"]["gsm8k"]
    task.set_config(key="num_fewshot", value=0)
    task.build_all_requests(rank=0, world_size=1)
    (instance,) = task.instances
    instance.resps = [text]
    task.apply_filters()
    scores = [
        task.process_results(instance.doc, [instance.filtered_resps[name]])["exact_match"]
        for name in ("strict-match", "flexible-extract")
    ]
    return bool(scores[0]), bool(scores[1])


def test_gsm8k_prompts_and_generation(tmp_path: Path, make_model: Any, plain_writing: Any) -> None:
    """Five examples drawn for each question; the answer is what the model writes, found with the published rules."""
    rows = [{"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}"} for n in range(8)]
    test, train = rows[:2], rows[2:]
    rng = random.Random(SEED)
    contexts = []
    for row in test:
        shown = "".join(f"Question: {one['question']}\nAnswer: {one['answer']}\n\n" for one in rng.sample(train, 5))
        contexts.append(f"{shown}Question: {row['question']}\nAnswer:")
    model, tokenizer = make_model(contexts, likely="0123456789")
    flexible = []
    for row, context in zip(test, contexts):
        text = plain_writing(model, tokenizer, context, 256, ["Question:", "</s>", "<|im_end|>"])
        numbers = "".join(sign if sign in "0123456789" else " " for sign in text).split()
        if numbers and row is not test[0]:
            row["answer"] = f"#### {numbers[-1]}"
        flexible.append(bool(numbers) and row["answer"] == f"#### {numbers[-1]}")
    write_split(tmp_path / "data", "test", test)
    write_split(tmp_path / "data", "train", train)
    result = evaluate(model, tokenizer, {"domain": ["gsm8k"]}, batch_size=2, data={"gsm8k": str(tmp_path / "data")})
    entry = result["tasks"]["gsm8k"]
    assert (entry["metric"], entry["filter"], entry["num_fewshot"]) == ("exact_match", "strict-match", 5)
    assert entry["details"]["metrics"]["exact_match,flexible-extract"] == pytest.approx(sum(flexible) / 2)
    assert sum(flexible) > 0
    assert [request[0] for request in requests_of("gsm8k", tmp_path / "data", 5, tmp_path)] == contexts


SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not (SHARED / "eval").is_dir(), reason=f"no {SHARED / 'eval'}")


def true_rows(name: str) -> tuple[list[Row], list[Row]]:
    """(six test rows, examples) of ../shared, in the columns of the data set that lm-eval's task names."""
    folder = SHARED / "eval"
    if name == "mmlu_anatomy":
        return tuple(  # type: ignore[return-value]
            [
                {"question": line[0], "choices": line[1:5], "answer": LETTERS.index(line[5]), "subject": "anatomy"}
                for line in csv.reader((folder / "mmlu" / f"anatomy_{split}.csv").open(encoding="utf-8"))
            ][:6]
            for split in ("test", "dev")
        )
    if name == "cmmlu_anatomy":
        return tuple(  # type: ignore[return-value]
            [
                {key: value for key, value in line.items() if key}
                for line in csv.DictReader((folder / "cmmlu" / f"anatomy_{split}.csv").open(encoding="utf-8"))
            ][:6]
            for split in ("test", "dev")
        )
    file = "medqa_test_300" if name.startswith("medqa") else f"{name}_300"
    lines = [json.loads(line) for line in (folder / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()[:12]]
    if name.startswith("arc"):
        labels = [*LETTERS, "E"]
        rows = [
            {
                "id": line["id"],
                "question": line["question"],
                "choices": {"text": line["choices"], "label": labels[: len(line["choices"])]},
                "answerKey": labels[line["gold"]],
            }
            for line in lines
        ]
    else:
        rows = [
            {
                "id": str(number),
                "sent1": line["question"],
                "sent2": "",
                **{f"ending{one}": line["options"][letter] for one, letter in enumerate(LETTERS)},
                "label": LETTERS.index(line["answer_idx"]),
            }
            for number, line in enumerate(lines)
        ]
    return rows[:6], rows[6:]


@needs_shared
@pytest.mark.parametrize("name", CASES)
def test_true_rows_and_a_pretrained_model(name: str, tmp_path: Path, plain_log_likelihood: Any) -> None:
    """The examples of mmlu and cmmlu do not fit this model's 512 tokens: what is cut is cut alike, and counted."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(SHARED / "stories260K-hf").eval()
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "stories260K-hf")
    case = CASES[name]
    rows, pool = true_rows(name)
    write_split(tmp_path / "data", "test", rows)
    write_split(tmp_path / "data", case.pool, pool)
    shots = case.shots or 1
    contexts = case.contexts(rows, pool, shots)
    assert [context for context, _ in requests_of(name, tmp_path / "data", shots, tmp_path)] == [
        context for context, row in zip(contexts, rows) for _ in case.choices(row)
    ]
    entry = check_scores(
        name, rows, contexts, tmp_path / "data", shots, model, tokenizer, plain_log_likelihood, longest=512
    )
    assert (entry["truncated"] > 0) == name.startswith(("mmlu", "cmmlu", "medqa"))


@needs_shared
def test_true_rows_of_gsm8k(tmp_path: Path) -> None:
    """Every stored answer is found again by both rules, and no other question's is."""
    lines = (SHARED / "eval" / "gsm8k_test.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    rows = [json.loads(line) for line in lines]
    write_split(tmp_path / "data", "test", rows)
    (tmp_path / "files").mkdir()
    task = load("gsm8k", tmp_path / "files", source=str(tmp_path / "data"))["tasks"]["gsm8k"]
    task.set_config(key="num_fewshot", value=0)
    task.build_all_requests(rank=0, world_size=1)
    numbers = [row["answer"].split("#### ")[1].replace(",", "") for row in rows]
    for shift in (0, 1):
        for number, instance in enumerate(task.instances):
            instance.resps = [rows[(number + shift) % 200]["answer"]]
        task.apply_filters()
        for name in ("strict-match", "flexible-extract"):
            for number, instance in enumerate(task.instances):
                found = task.process_results(instance.doc, [instance.filtered_resps[name]])["exact_match"]
                assert bool(found) == (numbers[number] == numbers[(number + shift) % 200]), rows[number]
