"""`probe.padding` reaches what a run measures of its base and at its refreshes; without it nothing stored changes."""

import json

import pytest

from adept_bench.__main__ import main
from adept_bench.config.schema import RunConfig
from adept_bench.models.checkpoints import load_model
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.padding import as_released
from adept_bench.probing.units import probe_units
from adept_bench.results.store import Store
from adept_bench.suite.inputs import Inputs


def _run(arguments, results, *more):
    changed = list(arguments)
    changed[changed.index("--results") + 1] = str(results)
    assert main([*changed, "--methods", "adept", "--jobs", "1", "--quiet", *more]) == 0
    (cell,) = Store(results).load_all()
    base = results / ".work" / "base"
    stored = {path.name.split("-")[0]: json.loads(path.read_text("utf-8")) for path in base.glob("[lu]*.json")}
    return cell, stored


def test_counted_padding_is_measured_and_named(arguments, tmp_path, tiny_model, capsys):
    plain, ignored = _run(arguments, tmp_path / "ignored", "--set", "probe.max_length=160")
    cell, counted = _run(
        arguments, tmp_path / "counted", "--set", "probe.max_length=160", "--set", "probe.padding=counted"
    )
    capsys.readouterr()
    # a key from before there was a choice is the key of ignored padding
    assert {kind: {*one["key"]} ^ {*counted[kind]["key"]} for kind, one in ignored.items()} == {
        "layers": {"padding"},
        "units": {"padding"},
    }
    assert "padding" not in plain.config["probe"]
    assert cell.config["probe"]["padding"] == "counted"

    config = RunConfig.model_validate({**{name: cell.config[name] for name in _SECTIONS}, "selection": {"grid": [1]}})
    inputs = Inputs(config.model_copy(update={"probe": config.probe.model_copy(update={"padding": "ignored"})}), 0)
    texts, model = inputs.probe_documents("general", "units"), load_model(str(tiny_model))
    assert len({*map(len, texts)}) > 1  # else there is no padding
    layers = as_released(texts, "layers", inputs.tokenizer, 160)
    assert counted["layers"]["value"]["importance"] == pytest.approx(probe_layers(model, layers).importance, abs=1e-5)
    units = as_released(texts, "units", inputs.tokenizer, 160)
    expected = [unit.importance for unit in probe_units(model, units, batch_size=8)]
    assert [unit["importance"] for unit in counted["units"]["value"]] == pytest.approx(expected, rel=1e-4)
    assert counted["layers"]["value"]["base_loss"] != pytest.approx(ignored["layers"]["value"]["base_loss"], abs=1e-3)
    for one, other in zip(cell.training.refreshes, plain.training.refreshes, strict=True):
        assert one.importance != pytest.approx(other.importance, rel=1e-2)


def test_refreshes_read_padded_documents(arguments, tmp_path, monkeypatch, capsys):
    """Of what the refreshes measure the stored numbers cannot tell: the models differ from the first update on."""
    read = []

    def noted(model, documents, **settings):
        read.append([getattr(document, "attended", None) for document in documents])
        return probe_units(model, documents, **settings)

    monkeypatch.setattr("adept_bench.probing.units.probe_units", noted)
    _run(arguments, tmp_path / "counted", "--set", "probe.padding=counted")
    capsys.readouterr()
    assert len(read) == 3  # the base, and steps 3 and 6
    assert all(attended == read[0] for attended in read)
    assert None not in read[0]


_SECTIONS = ("suite", "preset", "model", "data", "tasks", "training", "probe", "options")
