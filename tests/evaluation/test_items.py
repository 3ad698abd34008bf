"""Development and test items of lm-eval tasks with local data: which split, which text, how many of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager

from adept_bench.corpora.sources import find_source
from adept_bench.errors import InputError
from adept_bench.evaluation.items import development_texts, evaluated_texts

CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {files}}}
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\nA. {{{{choices[0]}}}}\\nB. {{{{choices[1]}}}}\\nAnswer:"
doc_to_choice: [A, B]
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""
LONG = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {files}}}
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc}}]
"""
WRITTEN = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {files}}}
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: exact_match}}]
"""


def rows(split: str, count: int, written: bool = False) -> list[dict[str, Any]]:
    return [
        {"question": f"{split} question {n}", "choices": ["yes", "no"], "answer": f"the {n}" if written else n % 2}
        for n in range(count)
    ]


def task(folder: Path, name: str, template: str, sizes: dict[str, int], splits: str, **extra: list[Any]) -> None:
    """A task of so many items a split; `extra` rows come in front of a split's own."""
    files = {}
    for split, count in sizes.items():
        path = folder / f"{name}-{split}.jsonl"
        mine = [*extra.get(split, []), *rows(split, count, template is WRITTEN)]
        path.write_text("".join(json.dumps(row) + "\n" for row in mine), encoding="utf-8")
        files[split] = str(path)
    text = template.format(name=name, files=json.dumps(files)) + splits
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskManager:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    leaked = {"question": "TEST question 1?", "choices": ["yes", "no"], "answer": 1}
    task(
        tmp_path,
        "shots",
        CHOICE,
        {"dev": 5, "validation": 7, "test": 9},
        "test_split: test\nvalidation_split: validation\nfewshot_split: dev\n",
        dev=[leaked],
    )
    task(
        tmp_path,
        "valid",
        LONG,
        {"train": 30, "validation": 20, "test": 4},
        "test_split: test\nvalidation_split: validation\ntraining_split: train\n",
    )
    task(tmp_path, "written", WRITTEN, {"train": 12, "test": 3}, "test_split: test\ntraining_split: train\n")
    task(tmp_path, "only", CHOICE, {"test": 3}, "test_split: test\nfewshot_split: test\n")
    task(
        tmp_path,
        "judged",
        CHOICE,
        {"validation": 3, "train": 2},
        "validation_split: validation\ntraining_split: train\n",
    )
    (tmp_path / "many.yaml").write_text("group: many\ntask: [shots, written]\n")
    return TaskManager(include_path=str(tmp_path), include_defaults=False)


def test_development_items_are_written_by_the_tasks_templates(manager: TaskManager) -> None:
    assert development_texts(["shots"], manager) == [
        f"dev question {n}\nA. yes\nB. no\nAnswer: {'AB'[n % 2]}" for n in range(5)
    ]
    assert development_texts(["written"], manager)[:2] == [
        "Question: train question 0\nAnswer: the 0",
        "Question: train question 1\nAnswer: the 1",
    ]
    assert development_texts(["valid"], manager)[1] == "Question: validation question 1\nAnswer: no"
    assert development_texts(["judged"], manager)[0].startswith("train question 0\n")


def test_tasks_are_balanced_and_in_blocks(manager: TaskManager) -> None:
    texts = development_texts(["shots", "valid", "written"], manager)
    assert len(texts) == 15
    # 5 of 20 and of 12 at even distances
    assert [text.split("\n")[0] for text in texts[5:]] == [
        *(f"Question: validation question {n}" for n in (0, 4, 8, 12, 16)),
        *(f"Question: train question {n}" for n in (0, 2, 4, 7, 9)),
    ]
    assert development_texts(["shots", "valid", "written"], manager) == texts


def test_no_item_of_the_evaluated_split_is_ever_among_them(manager: TaskManager) -> None:
    names = ["shots", "valid", "written", "many"]
    tested = {item[0] for items in evaluated_texts(names, manager).values() for item in items}
    assert len(tested) > 10
    for name in names:
        for text in development_texts([name], manager):
            assert not any(question in text for question in tested)
    # a test question stands among the few-shot items of "shots" as well, in other letters
    assert "TEST" not in "".join(development_texts(["shots"], manager))


def test_a_task_of_test_items_alone_is_refused(manager: TaskManager) -> None:
    with pytest.raises(InputError, match="'only' has no split beside 'test', whose items are test items"):
        development_texts(["only"], manager)
    with pytest.raises(InputError, match="items of 'nothing' cannot be had"):
        development_texts(["nothing"], manager)


def test_evaluated_items_are_question_choices_and_answer(manager: TaskManager) -> None:
    found = evaluated_texts(["valid", "written", "judged", "many"], manager)
    assert found["valid"][1] == ["Question: test question 1\nAnswer:", "yes no", "no"]
    assert found["written"][2] == ["Question: test question 2\nAnswer:", "", "the 2"]
    assert [item[0].split("\n")[0] for item in found["judged"]] == [f"validation question {n}" for n in range(3)]
    assert len(found["many"]) == 9 + 3


def test_a_lab_task_has_no_development_items() -> None:
    with pytest.raises(InputError, match="'lab_general' has no split beside 'test'"):
        list(find_source("tasks:lab_general", option="data.probe").texts())


def test_names_of_tasks_are_checked() -> None:
    for source in ("tasks:", "tasks:a,,b", "tasks:a,a"):
        with pytest.raises(InputError, match=r"data\.probe: .* expected tasks:NAME,NAME"):
            find_source(source, option="data.probe")
    with pytest.raises(InputError, match="unknown task 'lab_genral'"):
        list(find_source("tasks:lab_genral", option="data.probe").texts())
