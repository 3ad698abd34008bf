"""The package's task files: their names, how they render, and what lm-eval makes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adept_bench.errors import InputError
from adept_bench.evaluation.tasks import names, render

LAB = [
    "lab_general",
    "lab_general_statement",
    "lab_general_validation",
    "lab_math_choice",
    "lab_math_generate",
    "lab_math_validation",
    "lab_medical_known",
    "lab_medical_new",
    "lab_medical_once",
    "lab_medical_once_validation",
    "lab_medical_validation",
]


def items(name: str) -> list[dict]:
    if name == "lab_math_generate":
        return [{"id": "a", "question": "Problem: 1 + 1 ? Steps:", "answer": "2"}]
    return [{"id": name, "question": "Question: what?", "choices": [" one", "two ", "three"], "answer": 2}]


def test_names() -> None:
    assert names() == sorted([*LAB, "cmb", "medquad_heldout", "medquad_train", "mmcu_medical"])


def test_names_need_no_heavy_import() -> None:
    code = (
        "import sys; from adept_bench.evaluation.tasks import definitions_hash, names; names(); definitions_hash();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'lm_eval', 'datasets', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_task_renders_and_loads(tmp_path: Path) -> None:
    folder = tmp_path / "a folder 'with' signs"
    folder.mkdir()
    manager = render(LAB, folder, items)
    assert manager.all_tasks == LAB
    loaded = manager.load(LAB)["tasks"]
    for name, task in loaded.items():
        document = task.eval_docs[0]
        context = task.fewshot_context(document, 0)
        assert context == items(name)[0]["question"]
        requests = task.construct_requests(document, context, metadata=(name, 0, 1))
        if name == "lab_math_generate":
            assert requests.args[1] == {
                "until": ["\n", "Problem:"],
                "do_sample": False,
                "temperature": 0.0,
                "max_gen_toks": 32,
            }
            assert task.doc_to_target(document) == "2"
        else:
            # one space before each choice, however the items are written
            assert [request.args[1] for request in requests] == [" one", " two", " three"]
            assert task.doc_to_target(document) == 2
        assert task.VERSION == 1.0


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    manager = render(["lab_general"], tmp_path, items)
    assert manager.all_tasks == ["lab_general"]
    assert [json.loads(line)["id"] for line in (tmp_path / "lab_general.jsonl").open()] == ["lab_general"]


def test_the_labs_items_render(tmp_path: Path) -> None:
    lab = pytest.importorskip("adept_bench.lab.items")
    assert sorted(lab.TASKS) == LAB
    loaded = render(LAB, tmp_path).load(LAB)["tasks"]
    for name, task in loaded.items():
        assert [document["id"] for document in task.eval_docs] == [item["id"] for item in lab.items(name)]


@pytest.mark.parametrize("item", [{"choices": ["a", "b"], "answer": 2}, {"choices": ["a", " a"], "answer": 0}])
def test_items_that_lm_eval_would_score_wrong(tmp_path: Path, item: dict) -> None:
    with pytest.raises(ValueError, match="lab_general: item 'x'"):
        render(["lab_general"], tmp_path, lambda name: [{"id": "x", "question": "?", **item}])


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'lab_math_choice'"):
        render(["lab_math_choise"], tmp_path, items)


def test_the_hash_of_the_definitions_follows_every_task_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adept_bench.evaluation import tasks

    copied = tmp_path / "tasks"
    shutil.copytree(tasks.TEMPLATES, copied)
    shipped = tasks.definitions_hash()
    monkeypatch.setattr(tasks, "TEMPLATES", copied)
    assert tasks.definitions_hash() == shipped
    seen = {shipped}
    for path in sorted(copied.glob("*.yaml")):  # shared parts included
        path.write_text(path.read_text() + "# changed\n")
        seen.add(tasks.definitions_hash())
    (copied / "lab_general.yaml").rename(copied / "lab_other.yaml")
    seen.add(tasks.definitions_hash())
    assert len(seen) == len(LAB) + 3 + 2
