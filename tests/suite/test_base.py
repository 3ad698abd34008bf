"""Measurements of the base are read as they were written, or taken again; nothing else is ever used."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from adept_bench.errors import InputError
from adept_bench.files import content_hash
from adept_bench.suite.base import BaseMeasurements, stored_measurement

KEY = {"corpus": "Ärzte", "max_length": 16, "sizes": (1, 2)}
WHOLE = {"kind": "layers", "model": "0123", "dtype": "float32", **KEY}
VALUE = {"metric": "masking", "base_loss": 1.25, "importance": [0.1, 2e-7, 3.0], "per_document": None}


@pytest.fixture
def base(tmp_path):
    config = SimpleNamespace(model=SimpleNamespace(dtype="float32"))
    inputs = SimpleNamespace(model_hash="0123", config=config, load_base=lambda: "the model")
    return BaseMeasurements(inputs, tmp_path / "base")


def measured(base):
    """(the value, how often it was measured) of asking once."""
    asked = []
    found = base._once("layers", KEY, lambda: asked.append(1) or VALUE)
    return found["value"], len(asked)


def test_a_measurement_is_taken_once_and_named_by_its_key(base):
    assert [measured(base) for _ in range(2)] == [(VALUE, 1), (VALUE, 0)]
    (path,) = base.folder.glob("*.json")
    assert path.name == f"layers-{content_hash(WHOLE)}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["key"]["corpus"] == "Ärzte"
    assert stored["value"] == VALUE


def test_a_file_of_an_earlier_version_counts(base):
    path = base.folder / f"layers-{content_hash(WHOLE)}.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"key": WHOLE, "seconds": 0.5, "value": VALUE}), encoding="utf-8")
    before = path.read_bytes()
    assert measured(base) == (VALUE, 0)
    assert path.read_bytes() == before


def _changed(**changes):
    return lambda text: json.dumps(json.loads(text) | changes)


def _unsealed(**changes):
    def change(text):
        stored = json.loads(text)
        del stored["content_hash"]
        return json.dumps(stored | changes)

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "broken JSON"),
        (lambda text: "", "broken JSON"),
        (lambda text: "\xff\x00", "not UTF-8 text"),
        (lambda text: "[" * 100_000, "brackets nested"),
        (lambda text: "[]", "a JSON list"),
        (lambda text: "{}", "expected key, seconds and value"),
        (lambda text: text.replace("1.25", "1.35"), "content_hash"),
        (_changed(seconds=3.0), "content_hash"),
        (_changed(content_hash="0" * 16), "content_hash"),
        (_changed(content_hash=7), "content_hash"),
        (_unsealed(key={**WHOLE, "max_length": 17}), "of another key"),
        (_unsealed(value=[]), "kind layers"),
        (_unsealed(value={"metric": "masking"}), "kind layers"),
        (_unsealed(value=[1]), "kind layers"),
        (_unsealed(seconds="long"), "seconds 'long'"),
        (_unsealed(seconds=-1.0), "seconds -1.0"),
        (_unsealed(seconds=True), "seconds True"),
    ],
)
def test_a_damaged_file_is_set_aside_and_measured_again(base, log, damage, said):
    measured(base)
    (path,) = base.folder.glob("*.json")
    for number in (1, 2):
        damaged = damage(path.read_text(encoding="utf-8")).encode("latin-1" if said == "not UTF-8 text" else "utf-8")
        path.write_bytes(damaged)
        assert measured(base) == (VALUE, 1)
        assert measured(base) == (VALUE, 0)
        aside = path.with_name(f"{path.name}.damaged-{number}")
        assert aside.read_bytes() == damaged
        assert len(log) == number
        assert said in log[-1]
        assert f"{path}: damaged" in log[-1]
        assert str(aside) in log[-1]


def test_what_cannot_be_read_is_said_and_stays(tmp_path, log):
    path = tmp_path / "layers-0.json"
    path.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        stored_measurement(path, "layers", {})
    assert path.is_dir()
    assert log == []
    assert stored_measurement(Path(tmp_path / "none.json"), "layers", {}) is None
