"""Options of tasks on the command line and in a configuration: what they change of a cell's identity, and what not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.config.loading import resolve
from adept_bench.errors import InputError
from adept_bench.suite.evaluate import check_tasks, data_hashes, evaluation_key
from adept_bench.suite.inputs import Inputs

OLD_KEY = {"groups", "items", "definitions", "num_fewshot", "limit", "heldout", "max_length", "versions"}


def configuration(tiny_model: Path, texts: tuple[Path, Path], *settings: str):
    domain, general = texts
    return resolve(
        "medical",
        model=str(tiny_model),
        overrides=[f"data.domain={domain}", f"data.general={general}", *settings],
        keep_tasks=True,
    )


def test_the_key_of_an_evaluation_is_as_it_was_until_an_option_is_set(tiny_model, texts, tmp_path) -> None:
    plain = configuration(tiny_model, texts)
    key = evaluation_key(Inputs(plain, 0), plain.tasks.groups)
    assert set(key) == OLD_KEY
    assert "fewshot" not in plain.tasks.model_dump()
    place = tmp_path / "arc"
    place.mkdir()
    (place / "test.jsonl").write_text("{}")
    settings = ["tasks.groups={general: [arc_easy, cmb]}", "tasks.fewshot={arc_easy: 2, gsm8k: 8}"]
    changed = configuration(tiny_model, texts, *settings, f"tasks.data.arc_easy={place}")
    found = evaluation_key(Inputs(changed, 0), changed.tasks.groups)
    assert set(found) == OLD_KEY | {"fewshot", "data", "exams"}
    assert found["fewshot"] == {"arc_easy": 2}


def test_local_data_are_known_by_their_content(tiny_model, texts, tmp_path) -> None:
    hashes = []
    for place, content in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "test.jsonl").write_text(content)
        config = configuration(tiny_model, texts, f"tasks.data.arc_easy={tmp_path / place}")
        hashes.append(data_hashes(config, ["arc_easy"])["arc_easy"])
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tasks.fewshot.lab_genral=2", r"tasks\.fewshot: unknown task 'lab_genral'.*did you mean 'lab_general'"),
        ("tasks.data.cmb=/nowhere", r"tasks\.data\.cmb: no file or folder '/nowhere'"),
        ("tasks.fewshot.lab_general=-1", r"tasks\.fewshot\.lab_general: -1 is not valid"),
        ("tasks.backend=vlm", r"tasks\.backend: 'vlm' is not valid.*did you mean 'vllm'"),
    ],
)
def test_what_is_refused_before_the_work(tiny_model, texts, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_tasks(configuration(tiny_model, texts, setting))


def test_fewshot_on_the_command_line(tiny_model, texts, tmp_path, capsys) -> None:
    domain, general = texts
    rows = [
        {"sent1": f"q{n}", "sent2": "", **{f"ending{e}": f"x{e}" for e in range(4)}, "label": n % 4} for n in range(4)
    ]
    for split in ("test", "train"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = {
        "data.domain": domain,
        "data.general": general,
        "tasks.groups": "{general: [medqa_4options], domain: [], domain_known: []}",
        "tasks.data.medqa_4options": tmp_path,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = ["eval", "--model", str(tiny_model), "--suite", "medical", "--quiet", *sets]
    assert main([*command, "--fewshot", "medqa_4options=2"]) == 0
    found = json.loads(capsys.readouterr().out)["tasks"]["medqa_4options"]
    assert (found["num_fewshot"], found["n"]) == (2, 4)
    assert main([*command, "--fewshot", "medqa_4options"]) == 2
    assert "--fewshot: 'medqa_4options' is not valid; expected TASK=NUMBER" in capsys.readouterr().err
