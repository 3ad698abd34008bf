from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest

from adept_bench.errors import InputError
from adept_bench.results.compact import dumps
from adept_bench.results.schema import SCHEMA_FILE, json_schema
from adept_bench.results.store import Store


def test_what_is_written_is_what_is_read(tmp_path, example):
    store, cell = Store(tmp_path), example(seed=3)
    cell["learning_rate"]["differs"] = ["training.tokens"]
    kept = copy.deepcopy(cell)
    path = store.write(cell)
    assert path == tmp_path / "lab" / "medical" / "adept-seed3.json"
    assert cell == kept, "the caller's cell was changed"
    read = store.valid("lab", "medical", "adept", 3)
    stored = json.loads(path.read_text(encoding="utf-8"))
    for field in ("suite", "seed", "config", "tasks", "groups", "losses", "cost", "provenance", "method_definition"):
        assert stored[field] == cell[field], field
        plain = read.model_dump(mode="json")[field]
        if field == "losses":  # without single documents, as older files
            plain = {name: {key: pair[key] for key in cell[field][name]} for name, pair in plain.items()}
        assert plain == cell[field] or {key: plain[key] for key in cell[field]} == cell[field] or field == "tasks"
    assert read.tasks["task_general"].items == [1, 1, 0, 1]
    assert read.learning_rate.differs == ["training.tokens"]
    assert stored["schema_version"] == 1
    assert stored["status"] == "complete"


def test_keys_are_sorted_and_arrays_take_one_line(tmp_path, example):
    text = Store(tmp_path).write(example()).read_text(encoding="utf-8")
    stored = json.loads(text, object_pairs_hook=lambda pairs: _in_order(pairs))
    assert stored["tasks"]["task_general"]["items"] == [1, 1, 0, 1]
    assert '"items": [1,1,0,1]' in text
    assert '{"learning_rate":0.0001,"loss":2.123457,"step":10}' in text  # seven digits are kept


def _in_order(pairs):
    names = [name for name, _ in pairs]
    assert names == sorted(names)
    return dict(pairs)


@pytest.mark.parametrize("value", [{}, [], {"a": []}, {"b": {"c": [1, [2, {"d": None}], "é"]}, "a": [{"x": 1}, {}]}, 3])
def test_compact_json_holds_the_same_value(value):
    assert json.loads(dumps(value)) == value


def test_refresh_rows_become_columns_matched_by_name(tmp_path, example):
    store = Store(tmp_path)
    cell = example()
    training = store.read(store.write(cell)).training
    assert training.units.name == ["model.layers.5.mlp.up_proj.weight", "model.layers.5.mlp.down_proj.weight"]
    assert [refresh.lr_scale for refresh in training.refreshes] == [[0.5, 2.0], [0.5, 2.0]]
    rows = sorted((row for row in training.unit_rows()), key=lambda row: (row["step"], row["name"]))
    given = [{"step": step["step"], **unit} for step in cell["training"]["refreshes"] for unit in step["units"]]
    for row, expected in zip(rows, sorted(given, key=lambda row: (row["step"], row["name"])), strict=True):
        assert row == pytest.approx(expected)


def test_refreshes_of_different_units_are_refused(tmp_path, example):
    cell = example()
    cell["training"]["refreshes"][1]["units"] = cell["training"]["refreshes"][1]["units"][:1]
    with pytest.raises(ValueError, match="step 100"):
        Store(tmp_path).write(cell)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda cell: cell.pop("losses"), "losses"),
        (lambda cell: cell.update(surprise=1), "surprise"),
        (lambda cell: cell.update(method="../../elsewhere"), "method"),
        (lambda cell: cell["tasks"]["task_general"].update(n=5), "n is 5"),
        (lambda cell: cell["tasks"]["task_general"]["items"].__setitem__(0, 2), "items"),
        (lambda cell: cell["tasks"]["task_general"].update(value="0.75"), "value"),
        (lambda cell: cell["groups"].update(general=0.5), "groups.general"),
        (lambda cell: cell["losses"]["general"].update(after=float("nan")), "losses.general.after = nan"),
        (lambda cell: cell["model"].pop("hash"), "revision"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_and_not_written(tmp_path, example, change, names):
    cell = example()
    change(cell)
    with pytest.raises(ValueError, match=names.replace(".", r"\.")):
        Store(tmp_path).write(cell)
    assert not list(tmp_path.rglob("*.json*"))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "broken JSON"),
        (lambda text: "", "broken JSON"),
        (lambda text: "[]", "schema_version"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 99'), "99"),
        (lambda text: text.replace('"seed": 0', '"seed": 1'), "adept-seed1.json"),
        (lambda text: text.replace('"train_seconds": 40.0', '"train_seconds": -40.0'), "cost.train_seconds"),
    ],
)
def test_damaged_files_are_set_aside_and_named(tmp_path, example, log, damage, reason):
    store = Store(tmp_path)
    path = store.write(example())
    damaged = damage(path.read_text(encoding="utf-8"))
    for number in (1, 2):
        path.write_text(damaged, encoding="utf-8")
        assert store.valid("lab", "medical", "adept", 0) is None
        assert not path.exists()
        assert (tmp_path / f"lab/medical/adept-seed0.json.damaged-{number}").read_text(encoding="utf-8") == damaged
        assert len(log) == number
        assert reason in log[-1]
        assert str(path) in log[-1]


def test_bytes_that_are_no_text_are_set_aside(tmp_path, example, log):
    store = Store(tmp_path)
    store.write(example()).write_bytes(b"\xff\xfe\x00")
    assert store.valid("lab", "medical", "adept", 0) is None
    assert "not UTF-8" in log[0]


@pytest.mark.parametrize("obstacle", ["a folder", "permissions"])
def test_a_file_that_cannot_be_read_stays(tmp_path, example, log, obstacle, monkeypatch):
    store = Store(tmp_path)
    path = store.write(example())
    if obstacle == "a folder":
        path.unlink()
        path.mkdir()
    else:  # whoever runs the tests may read everything

        def refuse(path, *args, **kwargs):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="cannot be read"):
        store.valid("lab", "medical", "adept", 0)
    assert [found.name for found in path.parent.iterdir()] == ["adept-seed0.json"]
    assert log == []


def test_another_configuration_is_neither_reused_nor_lost(tmp_path, example):
    store = Store(tmp_path)
    path = store.write(example())
    assert store.valid("lab", "medical", "adept", 0, "0123456789abcdef") is not None
    with pytest.raises(InputError, match="another configuration"):
        store.valid("lab", "medical", "adept", 0, "another")
    assert path.exists()


def test_load_all_keeps_the_good_and_leaves_the_bad_in_place(tmp_path, example, log):
    store = Store(tmp_path)
    store.write(example("full", 1))
    store.write(example("full", 0))
    store.write(example("full", 0, preset="other"))
    bad = tmp_path / "lab" / "medical" / "lora-seed0.json"
    bad.write_text("{", encoding="utf-8")
    hidden = tmp_path / ".work" / "medical" / "full-seed0.json"
    hidden.parent.mkdir(parents=True)
    hidden.write_text("{", encoding="utf-8")
    found = [(cell.preset, cell.method, cell.seed) for cell in store.load_all()]
    assert found == [("lab", "full", 0), ("lab", "full", 1), ("other", "full", 0)]
    assert [line for line in log if str(bad) in line] == log
    assert len(log) == 1
    assert bad.exists()
    assert [cell.preset for cell in store.load_all(preset="other", suite="medical")] == ["other"]
    assert Store(tmp_path / "none").load_all() == []
    assert store.valid("lab", "medical", "replay", 0) is None


def test_published_schema_is_the_models_schema_and_accepts_a_stored_cell(tmp_path, example):
    jsonschema = pytest.importorskip("jsonschema")
    published = json.loads(Path(SCHEMA_FILE).read_text(encoding="utf-8"))
    assert published == json_schema(), "run python -m adept_bench.results.schema"
    for method in ("adept", "vanilla"):
        stored = json.loads(Store(tmp_path).write(example(method)).read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(published).validate(stored)
    stored["status"] = "half"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(published).validate(stored)
