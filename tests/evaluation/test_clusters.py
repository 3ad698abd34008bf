"""What items of a task belong together: named by its file, by a run, or by a group's subtasks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adept_bench.config.loading import load_suite, resolve
from adept_bench.errors import InputError
from adept_bench.evaluation import tasks
from adept_bench.evaluation.clusters import check, clusters_of
from adept_bench.evaluation.exams import exam_rows
from adept_bench.evaluation.harness import evaluate
from adept_bench.evaluation.medquad import make
from adept_bench.lab.items import items as lab_items
from adept_bench.lab.world import world
from adept_bench.results.schema import Clusters
from adept_bench.suite.evaluate import check_tasks

ANSWER = " ".join(f"word{number}" for number in range(40))


def task_of(documents: list[dict[str, Any]], cluster: str | None = None) -> Any:
    """As much of an lm-eval task as clusters are made from."""
    metadata = {"version": 1.0} | ({"cluster": cluster} if cluster else {})
    return SimpleNamespace(eval_docs=documents, config=SimpleNamespace(metadata=metadata))


def numbers(documents: list[dict[str, Any]], cluster: str | None, named: dict[str, str | None] | None = None) -> Any:
    found = clusters_of("t", {"t": task_of(documents, cluster)}, {"t": documents}, named or {})
    return found and Clusters(**found).numbers()


def own_task(name: str, folder: Path, items: Any = None) -> Any:
    """The task as lm-eval loads its file."""
    return tasks.load(name, folder, items)["tasks"]


@pytest.mark.parametrize(
    ("name", "population"),
    [("lab_general", "general"), ("lab_general_statement", "general"), ("lab_medical_new", "new")],
)
def test_a_cluster_of_the_lab_is_the_entity_that_is_asked_about(name: str, population: str, tmp_path: Path) -> None:
    loaded = own_task(name, tmp_path)
    check(name, loaded, {})
    found = clusters_of(name, loaded, {name: list(loaded[name].eval_docs)}, {})
    facts = [len(entity.facts) for entity in world().of(population, "test")]
    assert found is not None
    assert (found["sizes"], "of" in found, sum(facts)) == (facts, False, len(lab_items(name)))


def test_sums_are_independent(tmp_path: Path) -> None:
    loaded = own_task("lab_math_choice", tmp_path)
    assert (
        clusters_of("lab_math_choice", loaded, {"lab_math_choice": list(loaded["lab_math_choice"].eval_docs)}, {})
        is None
    )


def test_a_cluster_of_medquad_is_the_disease(tmp_path: Path) -> None:
    questions = ("What is (are) {} ?", "What causes {} ?")
    diseases = ["Amber illness (early)", "Birch illness", "childhood Cedar illness", "Dune Illness", "Ember illness"]
    made = make([f"{form.format(name)}\n{name[:2]} {ANSWER}" for name in diseases for form in questions], 200)
    assert len(made) == 10
    loaded = own_task("medquad_heldout", tmp_path, lambda name: made)
    found = clusters_of("medquad_heldout", loaded, {"medquad_heldout": list(loaded["medquad_heldout"].eval_docs)}, {})
    # questions of one type in turn, each about five diseases
    assert Clusters(**(found or {})).numbers() == (0, 1, 2, 3, 4) * 2


def test_a_cluster_of_cmb_is_the_examination(tmp_path: Path) -> None:
    kinds = [("医师考试", "规培结业"), ("医师考试", "规培结业"), ("护理考试", "护师"), ("医师考试", "规培结业")]
    rows = [
        {"exam_type": kind, "exam_class": exam, "question_type": "单项选择题", "question": f"问{number}"}
        | {"option": {"A": "一", "B": "二"}, "answer": "A", "id": number}
        for number, (kind, exam) in enumerate(kinds)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert len(exam_rows("cmb", str(tmp_path / "rows.json"))["test"]) == 4
    place = tmp_path / "task"
    place.mkdir()
    loaded = tasks.load("cmb", place, source=str(tmp_path / "rows.json"))["tasks"]
    check("cmb", loaded, {})
    found = clusters_of("cmb", loaded, {"cmb": list(loaded["cmb"].eval_docs)}, {})
    assert found is not None
    assert (found["sizes"], found["of"]) == ([2, 1, 1], [0, 1, 0])


def test_numbers_are_those_of_the_values_in_order_of_appearance() -> None:
    rng = np.random.default_rng(0)
    values = [[1, "1", None, "two", ["a"], {"b": 1}][at] for at in rng.integers(0, 6, 60)]
    found = numbers([{"passage": value, "id": at} for at, value in enumerate(values)], "passage")
    seen = [repr(value) for value in values]
    assert found == tuple(list(dict.fromkeys(seen)).index(one) for one in seen)


def test_what_a_run_names_stands_over_the_task() -> None:
    documents = [{"a": at // 2, "b": at // 3, "c": at} for at in range(6)]
    assert numbers(documents, "a") == (0, 0, 1, 1, 2, 2)
    assert numbers(documents, "a", {"t": "b"}) == (0, 0, 0, 1, 1, 1)
    assert numbers(documents, None, {"t": "{{b}}/{{a}}"}) == (0, 0, 1, 2, 3, 3)
    assert numbers(documents, "a", {"other": "b"}) == (0, 0, 1, 1, 2, 2)
    # nothing to store: told not to, not told, and each item on its own
    assert numbers(documents, "a", {"t": None}) is None
    assert numbers(documents, None) is None
    assert numbers(documents, "c") is None


def test_subtasks_of_a_group_are_its_clusters() -> None:
    documents = {"one": [{"a": 1}, {"a": 2}], "two": [{"a": 1}, {"a": 1}, {"a": 1}]}
    leaves = {leaf: task_of(rows) for leaf, rows in documents.items()}
    assert clusters_of("group", leaves, documents, {}) == {"by": "task", "sizes": [2, 3]}
    assert clusters_of("group", leaves, documents, {"group": None}) is None
    # a field parts the subtasks further; equal values of two subtasks are two clusters
    assert clusters_of("group", leaves, documents, {"group": "a"}) == {"by": "a", "sizes": [1, 1, 3]}


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (
            "pasage",
            "unknown field of the items of 't' 'pasage'; expected one of: passage, question; did you mean 'passage'",
        ),
        ("{{question}} {{titel}}", "unknown field of the items of 't' 'titel'; expected one of: passage, question"),
        ("{{question", "'{{question': unexpected end of template"),
    ],
)
def test_a_field_that_items_do_not_have(cluster: str, message: str) -> None:
    rows = [{"passage": "p", "question": "q"}]
    with pytest.raises(InputError) as refused:
        check("t", {"t": task_of(rows)}, {"t": cluster}, "my.yaml:7")
    assert str(refused.value).startswith(f"my.yaml:7: {message}")
    assert "\n" not in str(refused.value)


def test_one_item_without_the_field_is_enough() -> None:
    rows: list[dict[str, Any]] = [{"passage": "p"}, {"passage": "p"}, {"other": "p"}]
    with pytest.raises(InputError, match="unknown field of the items of 't' 'passage'; expected one of: other"):
        check("t", {"t": task_of(rows, "passage")}, {})


def test_a_suite_that_names_no_field_is_refused_by_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from adept_bench.__main__ import main

    suite = tmp_path / "mine.yaml"
    suite.write_text("domain: medical\ntasks:\n  cluster:\n    lab_general: quetion\n")
    message = f"{suite}:4: unknown field of the items of 'lab_general' 'quetion'; expected one of: "
    for command in (["eval", "--model", "lab:base"], ["run", "--methods", "vanilla", "--results", str(tmp_path / "r")]):
        assert main([*command, "--suite", str(suite), "--quiet"]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
        assert line.endswith("did you mean 'question'?")
    with pytest.raises(InputError, match=r"tasks\.cluster: unknown task 'lab_genral'.*did you mean 'lab_general'"):
        check_tasks(resolve("medical", overrides=["tasks.cluster.lab_genral=id"]))
    with pytest.raises(InputError, match="--set: unknown field"):
        check_tasks(resolve("medical", overrides=["tasks.cluster.lab_general=entity"]))


def test_a_task_file_that_names_no_field_is_refused_before_anything_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: Any
) -> None:
    copied = tmp_path / "tasks"
    shutil.copytree(tasks.TEMPLATES, copied)
    monkeypatch.setattr(tasks, "TEMPLATES", copied)
    file = copied / "_lab_facts.yaml"
    file.write_text(file.read_text().replace("\"{{id.split('/')[0]}}\"", "entity"))
    line = file.read_text().splitlines().index("  cluster: entity") + 1
    scored: list[str] = []
    with pytest.raises(InputError) as refused:
        evaluate(
            *make_model(["x"]),
            {"general": ["lab_math_choice"], "domain": ["lab_general"]},
            batch_size=4,
            limit=2,
            on_progress=lambda task, done, total: scored.append(task),
        )
    assert str(refused.value).startswith(f"{file}:{line}: unknown field of the items of 'lab_general' 'entity'")
    assert scored == []


def test_a_result_holds_clusters_and_their_standard_error(make_model: Any) -> None:
    text = [f"{item['question']} {' '.join(item['choices'])}" for item in lab_items("lab_general")[:40]]
    model, tokenizer = make_model(text)
    asked = {"general": ["lab_general", "lab_math_choice"]}
    found = evaluate(model, tokenizer, asked, batch_size=64, limit=30)["tasks"]
    facts, sums = found["lab_general"], found["lab_math_choice"]
    per_entity = [len(entity.facts) for entity in world().of("general", "test")][:10]
    assert facts["clusters"] == {"by": "{{id.split('/')[0]}}", "sizes": per_entity}
    assert "clusters" not in sums
    values = np.array(facts["items"], dtype=float).reshape(10, 3)
    by_entity = (values - values.mean()).sum(axis=1)
    assert facts["stderr"] == pytest.approx(np.sqrt(10 / 9 * np.sum(by_entity**2)) / 30)
    assert evaluate(model, tokenizer, asked, batch_size=64, limit=3)["tasks"]["lab_general"]["stderr"] is None
    told = evaluate(model, tokenizer, asked, batch_size=64, limit=30, cluster={"lab_general": None})["tasks"]
    assert "clusters" not in told["lab_general"]
    for name in ("items", "items_hash", "value"):
        assert told["lab_general"][name] == facts[name]


def test_a_setting_that_is_not_set_leaves_a_configuration_as_it_was() -> None:
    plain = resolve("medical")
    assert "cluster" not in plain.tasks.model_dump()
    assert resolve(load_suite("medical")) == plain
    named = resolve("medical", overrides=["tasks.cluster={lab_general: null}"])
    assert named.model_dump(mode="json")["tasks"]["cluster"] == {"lab_general": None}
