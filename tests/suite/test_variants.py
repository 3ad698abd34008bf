"""A suite's own variants of methods, cells that another suite has measured already, and the pilot study's analyses."""

import json
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.results.store import Store

SUITE = """
domain: medical
methods: [adept, small, other-probe]
variants:
  small: {of: adept, about: k, options: {k: 1}}
  other-probe: {of: adept, about: probe corpus, data: {probe_documents: 3}}
"""


def _run(arguments, suite, *more):
    changed = list(arguments)
    changed[changed.index("--suite") + 1] = str(suite)
    return main([*changed, "--jobs", "1", "--quiet", *more])


def _cells(arguments, suite):
    results = Path(arguments[arguments.index("--results") + 1])
    return {cell.method: cell for cell in Store(results).load_all("lab", suite)}


def _numbers(cell):
    return cell.losses, cell.training.curve, cell.training.refreshes, cell.model, cell.config["learning_rate"]


def test_a_variant_is_its_method_with_the_setting(arguments, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(SUITE, encoding="utf-8")
    assert _run(arguments, path) == 0
    cells = _cells(arguments, "own")
    assert set(cells) == {"adept", "small", "other-probe"}
    assert cells["small"].variant.model_dump() == {"of": "adept", "about": "k", "settings": {"options.k": 1}}
    assert cells["adept"].variant is None
    assert [len(cells[name].model.expanded_layers) for name in ("small", "adept", "other-probe")] == [1, 2, 2]
    by_hand = tmp_path / "by-hand"
    assert _run(arguments, "medical", "--methods", "adept", "--set", "options.k=1", "--results", str(by_hand)) == 0
    (same,) = Store(by_hand).load_all()
    assert _numbers(same) == _numbers(cells["small"])
    first = [cells[name].training.refreshes[0].importance for name in ("adept", "other-probe")]
    assert first[0] != first[1]


def test_a_cell_that_another_suite_has_measured_is_taken_over(arguments, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(SUITE, encoding="utf-8")
    assert _run(arguments, "medical", "--methods", "vanilla,adept") == 0
    assert _run(arguments, path, "--methods", "vanilla,adept,small") == 0
    first, second = _cells(arguments, "medical"), _cells(arguments, "own")
    for method in ("vanilla", "adept"):
        assert second[method].extra["measured_in"] == "medical"
        assert second[method].suite == "own"
        assert second[method].config["suite"] == "own"
        # the seconds of a second training would differ
        assert second[method].cost == first[method].cost
        assert second[method].provenance == first[method].provenance
        assert _numbers(second[method]) == _numbers(first[method])
    assert "measured_in" not in second["small"].extra
    # a taken-over cell has its own hash: the same command finds nothing to do
    before = {method: cell.config_hash for method, cell in second.items()}
    assert _run(arguments, path, "--methods", "vanilla,adept,small") == 0
    assert {method: cell.config_hash for method, cell in _cells(arguments, "own").items()} == before
    # other settings are not the same cell
    assert _run(arguments, "math", "--methods", "adept", "--set", "training.weight_decay=0.1") == 0
    assert "measured_in" not in _cells(arguments, "math")["adept"].extra


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  adept: {of: full, about: k}", "has the name of a method"),
        ("  small: {of: adpet, about: k}", "adept"),
        ("  small: {of: adept, about: k, options: {kk: 1}}", "own.yaml:4: unknown key 'options.kk'"),
        ("  a/b: {of: adept, about: k}", "letters, digits"),
        ("  small: {of: adept}", "about"),
    ],
)
def test_a_wrong_variant_is_named_with_its_line(arguments, tmp_path, capsys, line, expected):
    path = tmp_path / "own.yaml"
    path.write_text(f"domain: medical\nmethods: [vanilla]\nvariants:\n{line}\n", encoding="utf-8")
    assert _run(arguments, path) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "own.yaml" in error


def test_the_pilot_study_of_base_and_trained_models(arguments):
    assert _run(arguments, "pilot", "--methods", "vanilla,frozen,adept") == 0
    cells = _cells(arguments, "pilot")
    base = cells["vanilla"].analyses
    named = [(probe.corpus, probe.metric) for probe in base.layers]
    metrics = ("masking", "gradient", "rank", "fisher")
    assert sorted(named) == sorted((corpus, metric) for corpus in ("general", "domain") for metric in metrics)
    assert all(len(probe.importance) == 4 for probe in base.layers)
    # selection and pilot study see the same importances
    masking = next(probe for probe in base.layers if (probe.corpus, probe.metric) == ("general", "masking"))
    used = cells["adept"].probe["layers_general"]["importance"]
    assert masking.importance == used
    assert base.stability[0].importance == pytest.approx(masking.importance, abs=1e-6)
    assert [size.documents for size in base.stability[0].sizes] == [4]  # of the 6 probe documents
    assert {unit.corpus for unit in base.units} == {"general", "domain"}
    assert set(base.units[0].layer) == {0, 1, 2, 3}
    assert base.token_shift == []
    assert base.activations == []

    copied = cells["adept"].analyses
    assert {one.layer for one in copied.activations} == set(cells["adept"].model.expanded_layers)
    states = {(one.layer, one.state, one.corpus): one for one in copied.activations}
    for layer in cells["adept"].model.expanded_layers:
        for corpus in ("general", "domain"):
            # an untrained copy writes nothing: what leaves it is what leaves its source
            expanded, original = states[layer, "expanded", corpus], states[layer, "base", corpus]
            assert expanded.density == pytest.approx(original.density, rel=1e-3, abs=1e-6)
            assert states[layer, "adapted", corpus].density != original.density
    own = cells["frozen"].analyses
    assert {one.layer for one in own.activations} == {2, 3}  # what it trains
    assert {one.state for one in own.activations} == {"base", "adapted"}
    for analyses in (copied, own):
        assert [shift.corpus for shift in analyses.token_shift] == ["general", "domain"]
        assert all(shift.positions > 0 for shift in analyses.token_shift)
    # what a suite asks beside tasks and losses is part of a cell's identity
    stored = json.loads(json.dumps(cells["adept"].config))
    assert stored["analyses"]["bootstrap"] == 500
