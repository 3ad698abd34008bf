"""Choosing a learning rate: the criterion by hand, and which stored choice counts when."""

import json
import shutil

import pytest

from adept_bench.config.loading import resolve
from adept_bench.errors import InputError
from adept_bench.suite import rates
from adept_bench.suite.evidence import evidence_path


def _trial(rate, general, domain, seed=0):
    groups = {"general": general, "domain": domain}
    trial = {"learning_rate": rate, "seed": seed, "groups_chance_corrected": groups, "losses": {}}
    return {**trial, "score": rates.score(trial)}


def _tried(*trials, settings=None):
    return rates.Entry(trials, settings)


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
    trials = [_trial(1e-3, -0.1, -0.2), {"learning_rate": 2e-3, "seed": 0, "score": rates.DIVERGED, "diverged": True}]
    assert rates.choose(trials)["chosen"] == 1e-3


def test_a_seed_is_reported_at_the_rate_that_the_others_chose():
    """Seeds 1 and 2 prefer 2e-3 on average, seed 0 prefers 1e-3: what is reported of a seed is not what it chose."""
    scores = {0: (0.9, 0.1), 1: (0.4, 0.5), 2: (0.3, 0.6)}
    trials = [
        _trial(rate, value, value, seed) for seed, both in scores.items() for rate, value in zip((1e-3, 2e-3), both)
    ]
    assert rates.choose(trials, 0)["chosen"] == 2e-3
    assert rates.choose(trials, 1)["chosen"] == 1e-3  # (0.9 + 0.3) / 2 against (0.1 + 0.6) / 2
    assert rates.choose(trials)["chosen"] == 1e-3  # 1.6 against 1.2
    assert rates.choose(trials, 0)["scores"][1] == {
        "learning_rate": 2e-3,
        "score": pytest.approx(0.55),
        "seeds": [1, 2],
    }
    # its own are all there is
    assert rates.choose([trial for trial in trials if trial["seed"] == 0], 0)["chosen"] == 1e-3


def test_rates_that_not_all_seeds_tried_do_not_count():
    trials = [_trial(1e-3, 0.5, 0.5, 0), _trial(2e-3, 0.9, 0.9, 0), _trial(1e-3, 0.5, 0.5, 1)]
    assert rates.choose(trials)["grid"] == [1e-3]
    with pytest.raises(InputError, match=r"no rate was tried under all of the seeds \[0, 1\]"):
        rates.choose([_trial(1e-3, 0.5, 0.5, 0), _trial(2e-3, 0.5, 0.5, 1)])


def test_stored_choices_count_for_the_same_model_and_data(config, tmp_path):
    path = evidence_path(tmp_path, config)
    tried = _tried(_trial(1e-3, 0.1, 0.2), _trial(2e-3, 0.5, 0.6), _trial(4e-3, 0.3, 0.1))
    rates.write_evidence(path, config, {"full": tried})
    found = rates.learning_rate(config, "full", tmp_path, 0)
    assert (found["value"], found["source"]) == (2e-3, "selected")
    assert [trial["score"] for trial in found["trials"]] == pytest.approx([0.15, 0.55, 0.2])
    # the lr and budget set by the user, or other data
    own_rate = resolve("medical", "lab", overrides=["training.learning_rate=0.5"])
    assert rates.learning_rate(own_rate, "full", tmp_path, 0) == {"value": 0.5, "source": "set"}
    shorter = resolve("medical", "lab", overrides=["training.tokens=51200"])
    assert rates.learning_rate(shorter, "full", tmp_path, 0)["source"] == "selected"
    corpus = tmp_path / "own.txt"
    corpus.write_text("one\n\ntwo", encoding="utf-8")
    own = resolve("medical", "lab", overrides=[f"data.domain={corpus}"])
    default = rates.learning_rate(own, "full", tmp_path, 0)
    assert default["source"] == "default"
    grid = own.selection.grid_for("full")
    assert default["value"] == grid[len(grid) // 2]


def test_a_variant_has_its_own_choice_and_inherits_none(config, tmp_path):
    path = evidence_path(tmp_path, config)
    settings = {"options.k": 4}
    trials = [_trial(1e-3, 0.1, 0.2), _trial(4e-3, 0.5, 0.6)]
    rates.write_evidence(path, config, {"adept-k4": _tried(*trials, settings=settings)})
    mine = {"of": "adept", "settings": settings}
    assert rates.learning_rate(config, "adept-k4", tmp_path, 0, **mine)["value"] == 4e-3
    # the same name with other settings, and a variant that was not tried, get the middle of the method's grid
    middle = config.selection.grid_for("adept")[3]
    for name, k in (("adept-k4", 5), ("adept-k1", 1)):
        found = rates.learning_rate(config, name, tmp_path, 0, of="adept", settings={"options.k": k})
        assert (found["value"], found["source"]) == (middle, "default")


def test_choices_of_other_methods_stay(config, tmp_path):
    path = evidence_path(tmp_path, config)
    rates.write_evidence(path, config, {"full": _tried(_trial(1e-3, 0.1, 0.2))})
    rates.write_evidence(path, config, {"lora": _tried(_trial(4e-3, 0.1, 0.2))})
    assert set(json.loads(path.read_text(encoding="utf-8"))["methods"]) == {"full", "lora"}
    other = resolve("medical", "lab", overrides=["options.k=3"])
    rates.write_evidence(path, other, {"adept": _tried(_trial(4e-3, 0.1, 0.2))})
    assert set(json.loads(path.read_text(encoding="utf-8"))["methods"]) == {"adept"}


def test_the_chosen_rate_is_one_of_the_path_and_comes_once(config):
    chosen = {"value": 2e-3, "source": "shipped"}
    grid = config.selection.grid_for("adept")
    path = rates.rates_of(config, "all", chosen, "adept", "adept")
    assert path[0] == chosen
    assert sorted(rate["value"] for rate in path) == grid
    assert [rate.get("chosen", True) for rate in path] == [True] + [False] * (len(grid) - 1)
    assert rates.rates_of(config, "chosen", chosen, "adept", "adept") == [chosen]
    listed = rates.rates_of(config, [3e-3], chosen, "adept", "adept")
    assert listed == [{"value": 3e-3, "source": "grid", "grid": grid, "chosen": False}]
    # a rate that was chosen from another grid is a point of the path too
    outside = rates.rates_of(config, "all", {"value": 3e-3, "source": "shipped"}, "adept", "adept")
    assert sorted(rate["value"] for rate in outside) == sorted([*grid, 3e-3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("al", r"--rates: 'al'; expected chosen, all, or rates such as 1e-3,2e-3; did you mean 'all'\?"),
        ("1e-3,-2", r"--rates: '-2' is no learning rate"),
        ("1e-3,inf", r"--rates: 'inf' is no learning rate"),
        ("1e-3,nan", r"--rates: 'nan' is no learning rate"),
        (",", r"--rates: no rate in ','"),
    ],
)
def test_what_is_no_rate_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        rates.parse_rates(text)


def test_rates_are_read_as_written():
    assert rates.parse_rates("all") == "all"
    assert rates.parse_rates(" chosen") == "chosen"
    assert rates.parse_rates("1e-3, 0.002,1e-3") == [1e-3, 2e-3]


def test_rates_that_make_no_path_are_refused():
    with pytest.raises(InputError, match=r"--rates all: selection\.grid \[0\.001\] has one rate"):
        rates.check_asked(resolve("medical", "lab", overrides=["selection.grid=[1e-3]"]), "all")
    with pytest.raises(InputError, match=r"training\.learning_rate is set to 0\.5"):
        rates.check_asked(resolve("medical", "lab", overrides=["training.learning_rate=0.5"]), "all")


def test_differences_are_named_by_their_path():
    assert rates.differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 0}) == ["a.c", "d"]
    assert rates.differences({"a": 1}, {"a": 1}) == []


def _flipped(text):
    return text.replace('"score": 0.55', '"score": 0.05')


DAMAGES = [
    lambda text: text[: len(text) // 2],
    lambda text: "",
    lambda text: "[]",
    lambda text: "{}",
    lambda text: '{"criterion": "", "protocol": {}, "methods": {"full": {"trials": [{"score": 1}]}}}',
    _flipped,
]


@pytest.fixture
def stored(config, tmp_path):
    """The file of a choice of 2e-3 for full."""
    path = evidence_path(tmp_path, config)
    rates.write_evidence(path, config, {"full": _tried(_trial(1e-3, 0.1, 0.2), _trial(2e-3, 0.5, 0.6))})
    return path


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_evidence_is_set_aside_and_made_again(config, tmp_path, stored, log, damage):
    whole = stored.read_text(encoding="utf-8")
    before = rates.learning_rate(config, "full", tmp_path, 0)
    stored.write_text(damage(whole), encoding="utf-8")
    assert damage(whole) != whole
    assert rates.learning_rate(config, "full", tmp_path, 0) == before
    assert stored.read_text(encoding="utf-8") == whole
    aside = stored.with_name(f"{stored.name}.damaged-1")
    assert aside.read_text(encoding="utf-8") == damage(whole)
    (line,) = log
    assert str(stored) in line
    assert str(aside) in line


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_evidence_without_a_second_copy_is_named_and_chosen_again(config, tmp_path, stored, log, damage):
    damaged = damage(stored.read_text(encoding="utf-8"))
    stored.write_text(damaged, encoding="utf-8")
    shutil.rmtree(tmp_path / ".work")
    with pytest.raises(InputError, match=r"learning-rates\.json: damaged.*--select-lr"):
        rates.learning_rate(config, "full", tmp_path, 0)
    assert stored.read_text(encoding="utf-8") == damaged
    rates.write_evidence(stored, config, {"lora": _tried(_trial(4e-3, 0.1, 0.2))})
    assert stored.with_name(f"{stored.name}.damaged-1").read_text(encoding="utf-8") == damaged
    assert rates.learning_rate(config, "lora", tmp_path, 0)["value"] == 4e-3
    assert rates.learning_rate(config, "full", tmp_path, 0)["source"] == "shipped"
    assert len(log) == 1


def test_evidence_of_an_earlier_version_counts(config, tmp_path, stored, log):
    content = json.loads(stored.read_text(encoding="utf-8"))
    del content["content_hash"]
    stored.write_text(json.dumps(content), encoding="utf-8")
    assert rates.learning_rate(config, "full", tmp_path, 0)["value"] == 2e-3
    assert log == []
