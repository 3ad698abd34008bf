"""Options of tasks on the command line and in a configuration: what they change of a cell's identity, and what not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.config.loading import resolve
from adept_bench.errors import InputError
from adept_bench.results.store import Store
from adept_bench.suite.evaluate import check_tasks, data_hashes, evaluation_key
from adept_bench.suite.inputs import Inputs

OLD_KEY = {"groups", "items", "definitions", "num_fewshot", "limit", "documents", "max_length", "versions"}


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


def test_a_cell_with_a_benchmark_of_local_data(arguments, tmp_path, capsys) -> None:
    """Stored with what was asked; valid for the same content elsewhere only where the setting says so; else refused."""
    data = tmp_path / "data"
    medqa(data)
    sets = ["--set", "tasks.groups={general: [medqa_4options]}", "--set", f"tasks.data.medqa_4options={data}"]
    command = [*arguments, "--methods", "vanilla", "--jobs", "1", *sets, "--fewshot", "medqa_4options=1"]
    assert main([*command, "--quiet"]) == 0
    (cell,) = Store(Path(arguments[arguments.index("--results") + 1])).load_all()
    task = cell.tasks["medqa_4options"]
    assert (task.n, task.num_fewshot, task.details["data"]) == (4, 1, str(data))
    assert 0 <= task.details["metrics"]["acc_norm,none"] <= 1
    assert cell.config["tasks"]["fewshot"] == {"medqa_4options": 1}
    assert list(cell.config["identity"]["tasks"]) == ["medqa_4options"]
    capsys.readouterr()
    assert main(command) == 0
    assert "1 of 1 cells have a valid result" in capsys.readouterr().err
    medqa(data, "another question")
    assert main([*command, "--quiet"]) == 2
    assert "identity.tasks.medqa_4options" in capsys.readouterr().err


def medqa(folder: Path, about: str = "q") -> None:
    folder.mkdir(exist_ok=True)
    options = {f"ending{number}": f"x{number}" for number in range(4)}
    rows = [{"sent1": f"{about} {number}", "sent2": "", **options, "label": number} for number in range(4)]
    for split in ("test", "train"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize(
    ("command", "fewshot", "message", "end"),
    [
        ("run", "lab_genral=2", "unknown task of suite 'medical' 'lab_genral'", "did you mean 'lab_general'?"),
        (
            "run",
            "gsm8k=2",
            "unknown task of suite 'medical' 'gsm8k'; expected one of: lab_general, lab_medical_new",
            "",
        ),
        ("eval", "lab_medical_validation=1", "unknown task of suite 'medical' 'lab_medical_validation'", ""),
        ("run", "lab_general=1,lab_general=2", "'lab_general' is given twice, 1 and 2", "expected one number"),
    ],
)
def test_examples_of_a_task_that_is_not_asked(tmp_path, capsys, command, fewshot, message, end) -> None:
    own = ["--model", str(tmp_path)] if command == "eval" else ["--results", str(tmp_path / "results")]
    assert main([command, "--suite", "medical", *own, "--fewshot", fewshot]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"--fewshot: {message}")
    assert err.endswith(f"{end}\n")
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_examples_where_no_task_is_asked(tmp_path, texts, capsys) -> None:
    domain, general = texts
    sets = ["--set", f"data.domain={domain}", "--set", f"data.general={general}"]
    assert main(["run", "--suite", "medical", "--results", str(tmp_path), *sets, "--fewshot", "mmlu=5", "--quiet"]) == 2
    assert capsys.readouterr().err == "--fewshot: 'mmlu' is not asked; suite 'medical' has no tasks here, only losses\n"


def test_examples_of_a_group_of_tasks_are_asked_for(capsys, tmp_path) -> None:
    """mmlu, a group of lm-eval's: accepted, so that the next mistake is the one that is named."""
    command = ["run", "--suite", "medical", "--preset", "qwen3-1.7b", "--results", str(tmp_path)]
    assert main([*command, "--fewshot", "mmlu=2", "--set", "tasks.data.mmlu=/nowhere", "--quiet"]) == 2
    assert "tasks.data.mmlu: no file or folder '/nowhere'" in capsys.readouterr().err
    assert main([*command, "--fewshot", "mmul=2", "--quiet"]) == 2
    assert capsys.readouterr().err.endswith("did you mean 'mmlu'?\n")


def test_fewshot_on_the_command_line(tiny_model, texts, tmp_path, capsys) -> None:
    domain, general = texts
    medqa(tmp_path)
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
