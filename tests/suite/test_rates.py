"""Choosing a learning rate: the criterion by hand, and which stored choice counts when."""

import json

import pytest

from adept_bench.config.loading import resolve
from adept_bench.errors import InputError
from adept_bench.suite import rates


def _trial(rate, general, domain):
    trial = {"learning_rate": rate, "groups_chance_corrected": {"general": general, "domain": domain}, "losses": {}}
    return {**trial, "score": rates.score(trial)}


@pytest.fixture
def config():
    return resolve("medical", "lab")


def test_the_criterion_is_the_mean_of_the_groups():
    assert rates.score({"groups_chance_corrected": {"general": 0.9, "domain": 0.3}}) == pytest.approx(0.6)
    assert rates.score({"groups_chance_corrected": {}, "losses": {"general": 2.0, "domain": 4.0}}) == -3.0


def test_the_best_wins_the_lower_of_equals_and_edges_are_told():
    trials = [_trial(4e-3, 0.5, 0.7), _trial(1e-3, 0.9, 0.1), _trial(2e-3, 0.7, 0.5)]
    choice = rates.choose(trials)
    assert choice["chosen"] == 2e-3
    assert choice["on_edge"] is False
    assert choice["grid"] == [1e-3, 2e-3, 4e-3]
    assert rates.choose([*trials, _trial(8e-3, 1.0, 1.0)])["on_edge"] is True


def test_a_diverged_trial_never_wins():
    trials = [_trial(1e-3, -0.1, -0.2), {"learning_rate": 2e-3, "score": -1e9, "diverged": "loss is nan"}]
    assert rates.choose(trials)["chosen"] == 1e-3


def test_stored_choices_count_for_the_same_model_and_data(config, tmp_path):
    path = rates.evidence_path(tmp_path, config)
    choice = rates.choose([_trial(1e-3, 0.1, 0.2), _trial(2e-3, 0.5, 0.6), _trial(4e-3, 0.3, 0.1)])
    rates.write_evidence(path, config, {"full": choice})
    found = rates.learning_rate(config, "full", tmp_path)
    assert (found["value"], found["source"]) == (2e-3, "selected")
    assert [trial["score"] for trial in found["trials"]] == pytest.approx([0.15, 0.55, 0.2])
    # the lr and budget set by the user, or other data
    assert rates.learning_rate(
        resolve("medical", "lab", overrides=["training.learning_rate=0.5"]), "full", tmp_path
    ) == {
        "value": 0.5,
        "source": "set",
    }
    shorter = resolve("medical", "lab", overrides=["training.tokens=51200"])
    assert rates.learning_rate(shorter, "full", tmp_path)["source"] == "selected"
    corpus = tmp_path / "own.txt"
    corpus.write_text("one\n\ntwo", encoding="utf-8")
    own = resolve("medical", "lab", overrides=[f"data.domain={corpus}"])
    default = rates.learning_rate(own, "full", tmp_path)
    assert default["source"] == "default"
    assert default["value"] == own.selection.grid[len(own.selection.grid) // 2]


def test_choices_of_other_methods_stay(config, tmp_path):
    path = rates.evidence_path(tmp_path, config)
    rates.write_evidence(path, config, {"full": rates.choose([_trial(1e-3, 0.1, 0.2)])})
    rates.write_evidence(path, config, {"lora": rates.choose([_trial(4e-3, 0.1, 0.2)])})
    assert set(json.loads(path.read_text(encoding="utf-8"))["methods"]) == {"full", "lora"}
    other = resolve("medical", "lab", overrides=["options.k=3"])
    rates.write_evidence(path, other, {"adept": rates.choose([_trial(4e-3, 0.1, 0.2)])})
    assert set(json.loads(path.read_text(encoding="utf-8"))["methods"]) == {"adept"}


def test_differences_are_named_by_their_path():
    assert rates.differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 0}) == ["a.c", "d"]
    assert rates.differences({"a": 1}, {"a": 1}) == []


def test_damaged_evidence_is_named(config, tmp_path):
    path = rates.evidence_path(tmp_path, config)
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"learning-rates\.json"):
        rates.learning_rate(config, "full", tmp_path)
