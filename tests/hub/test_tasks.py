"""Benchmarks whose data are datasets of the Hub."""

import json

import pandas
from hub.files import arc, documents, jsonl, parquet, rows


def _eval(corpus, *more):
    data = ("--set", f"data.domain={corpus}", "--set", f"data.general={corpus}", "--set", "data.heldout_documents=4")
    tasks = ("--set", "tasks.groups.general=[arc_easy]", "--set", "tasks.limit=null")
    return "eval", "--suite", "medical", "--model", "org/tiny", *data, *tasks, "--quiet", *more


def _scores(report, task):
    return {name: value for name, value in report["tasks"][task].items() if name != "details"}  # the copy's place


def test_a_task_of_the_hub_is_scored_as_its_local_copy(hub, adept, tiny_on_hub, tmp_path):
    splits = arc(hub)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_bytes(jsonl(rows("c", 40)))
    found = json.loads(adept(*_eval(corpus)).out)
    assert found["model"]["hash"] == f"hub:org/tiny@{tiny_on_hub.main}"
    assert hub.sent("ARC-Challenge") == 0
    copy = tmp_path / "arc"
    copy.mkdir()
    for split, items in splits.items():
        (copy / f"{split}.parquet").write_bytes(parquet(items))
    here = json.loads(adept(*_eval(corpus, "--set", f"tasks.data.arc_easy={copy}")).out)
    assert found["tasks"]["arc_easy"]["n"] == len(splits["test"])
    assert _scores(found, "arc_easy") == _scores(here, "arc_easy")


def _workbook(path, questions):
    table = [
        [f"{question}?", *(f"{letter}、{letter}{question}" for letter in "ABCD"), "ABCD"[number % 4]]
        for number, question in enumerate(questions)
    ]
    path.parent.mkdir(parents=True)
    pandas.DataFrame(table, columns=list("qabcdr")).to_excel(path, sheet_name="内科", index=False)


def test_an_examination_of_the_hub_is_scored_as_its_local_copy(hub, adept, tiny_on_hub, tmp_path):
    corpus, copy = tmp_path / "corpus.jsonl", tmp_path / "mmcu"
    corpus.write_bytes(jsonl(rows("c", 40)))
    _workbook(copy / "test" / "医疗.xlsx", documents("asked", 6, 5))
    _workbook(copy / "dev" / "医疗.xlsx", documents("shown", 5, 5))
    files = {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*.xlsx")}
    hub.commit("datasets", "Besteasy/MMCU", files | {"test/法律.xlsx": b"of another subject"})
    asked = ("--set", "tasks.groups.general=[mmcu_medical]")
    found = json.loads(adept(*_eval(corpus, *asked)).out)
    assert found["tasks"]["mmcu_medical"]["n"] == 6
    assert hub.sent("法律") == 0
    here = json.loads(adept(*_eval(corpus, *asked, "--set", f"tasks.data.mmcu_medical={copy}")).out)
    assert _scores(found, "mmcu_medical") == _scores(here, "mmcu_medical")


def test_data_that_cannot_be_had_are_one_line(hub, adept, tiny_on_hub, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_bytes(jsonl(rows("c", 40)))
    error = adept(*_eval(corpus, "--set", "tasks.groups.general=[openbookqa]")).error
    assert "'openbookqa'" in error
    assert "tasks.data.openbookqa" in error
