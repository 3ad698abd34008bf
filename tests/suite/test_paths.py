"""`run --rates`: the cells of a path on a tiny model, what is run once, and how the chosen rate's name moves."""

import json
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.results.store import Store

GRID = [1e-3, 2e-3, 4e-3]


@pytest.fixture
def path_arguments(arguments):
    return [*arguments, "--jobs", "1", "--quiet", "--set", f"selection.grid={GRID}"]


def _folder(arguments):
    return Path(arguments[arguments.index("--results") + 1]) / "lab" / "medical"


def _names(arguments):
    return sorted(path.name for path in _folder(arguments).glob("*-seed*.json"))


def _stamps(arguments):
    return {path.name: path.stat().st_mtime_ns for path in _folder(arguments).glob("*-seed*.json")}


def _numbers(path):
    """What a training gives, whatever file it is in."""
    cell = json.loads(path.read_text(encoding="utf-8"))
    return cell["losses"], cell["training"]["curve"], cell["validation"]


def test_every_rate_is_a_cell_and_the_chosen_one_is_not_run_twice(path_arguments):
    run = [*path_arguments, "--methods", "vanilla,full"]
    assert main(run) == 0
    assert _names(run) == ["full-seed0.json", "vanilla-seed0.json"]  # 2e-3, the middle of the grid
    before = _stamps(run)
    assert main([*run, "--rates", "all"]) == 0
    assert _names(run) == ["full-seed0.json", "full@0.001-seed0.json", "full@0.004-seed0.json", "vanilla-seed0.json"]
    assert {name: _stamps(run)[name] for name in before} == before
    cells = Store(_folder(run).parents[1]).load_all(paths=True)
    assert {(cell.rate, cell.chosen) for cell in cells if cell.method == "full"} == {
        (1e-3, False),
        (2e-3, True),
        (4e-3, False),
    }
    assert len({cell.losses["domain"].after for cell in cells}) == 4
    # tables take one cell a method and seed
    assert [cell.method for cell in Store(_folder(run).parents[1]).load_all()] == ["full", "vanilla"]
    after = _stamps(run)
    assert main([*run, "--rates", "all"]) == 0
    assert _stamps(run) == after


def test_trials_are_cells_and_a_new_choice_moves_names_not_numbers(path_arguments):
    """--select-lr leaves its trials as points of the path; the chosen one takes the name, and nothing runs twice."""
    run = [*path_arguments, "--methods", "full,frozen", "--seeds", "0,1"]
    assert main([*run, "--rates", "all"]) == 0
    numbers = {
        (cell.method, cell.seed, cell.rate): _numbers(_folder(run) / f"{cell.stem}.json")
        for cell in Store(_folder(run).parents[1]).load_all(paths=True)
    }
    assert len(numbers) == 2 * 2 * 3
    assert main([*run, "--rates", "all", "--select-lr"]) == 0
    evidence = json.loads((_folder(run) / "learning-rates.json").read_text(encoding="utf-8"))
    for method in ("full", "frozen"):
        trials = evidence["methods"][method]["trials"]
        assert [(trial["seed"], trial["learning_rate"]) for trial in trials] == [(s, r) for s in (0, 1) for r in GRID]
        for seed in (0, 1):
            # judged by the other seed: the lowest mean of its validation losses
            other = [trial for trial in trials if trial["seed"] != seed]
            best = min(other, key=lambda trial: sum(trial["losses"].values()))["learning_rate"]
            chosen = json.loads((_folder(run) / f"{method}-seed{seed}.json").read_text(encoding="utf-8"))
            assert chosen["learning_rate"]["value"] == best
            assert chosen["learning_rate"]["source"] == "selected"
    again = {
        (cell.method, cell.seed, cell.rate): _numbers(_folder(run) / f"{cell.stem}.json")
        for cell in Store(_folder(run).parents[1]).load_all(paths=True)
    }
    assert again == numbers


def test_a_choice_from_nothing_tries_the_grid_once(path_arguments):
    run = [*path_arguments, "--methods", "full", "--select-lr"]
    assert main(run) == 0
    assert len(_names(run)) == 3
    stamps = _stamps(run)
    # a damaged file of choices is made again from the trials, even where its second copy is gone
    chosen = _folder(run) / "learning-rates.json"
    whole = chosen.read_text(encoding="utf-8")
    (_folder(run).parents[1] / ".work" / "lab" / "medical" / chosen.name).unlink()
    chosen.write_text("{}", encoding="utf-8")
    assert main(run) == 0
    assert _stamps(run) == stamps
    assert chosen.read_text(encoding="utf-8") == whole


def test_force_makes_everything_again_and_nothing_twice(path_arguments, capsys):
    """--force with --select-lr: what is no trial is made again too, and a trial once."""
    run = [*path_arguments, "--methods", "vanilla,full", "--seeds", "0,1"]
    assert main(run) == 0
    before = _stamps(run)
    loud = [part for part in run if part != "--quiet"]
    capsys.readouterr()
    assert main([*loud, "--select-lr", "--force"]) == 0
    done = [line.rpartition("/")[2] for line in capsys.readouterr().err.splitlines() if line.startswith("done: ")]
    assert len(done) == 3 + 2 + 1  # three trials of seed 0, vanilla of both seeds, full of seed 1
    assert all(_stamps(run)[name] != stamp for name, stamp in before.items())


def test_what_a_rate_rests_on_is_said_once(path_arguments, capsys):
    loud = [part for part in path_arguments if part != "--quiet"]
    assert main([*loud, "--methods", "full", "--seeds", "0,1"]) == 0
    assert capsys.readouterr().err.count("full: no learning rate was chosen for this model and data") == 1


def test_measures_on_the_way_change_no_number(path_arguments):
    """With and without them, bit for bit: weights by their losses, rates by the ledger."""
    run = [*path_arguments, "--methods", "adept"]
    assert main(run) == 0
    plain = json.loads((_folder(run) / "adept-seed0.json").read_text(encoding="utf-8"))
    assert plain["training"]["path"] == []
    assert main([*run, "--force", "--set", "training.evaluate_every=2"]) == 0
    measured = json.loads((_folder(run) / "adept-seed0.json").read_text(encoding="utf-8"))
    assert [point["step"] for point in measured["training"]["path"]] == [2, 4, 6, 8]
    assert measured["training"]["path"][-1]["losses"]["domain"] == measured["losses"]["domain"]["after"]
    assert measured["cost"]["path_seconds"] > plain["cost"]["path_seconds"]
    for part in ("curve", "refreshes"):
        assert measured["training"][part] == plain["training"][part]
    assert measured["losses"] == plain["losses"]
    assert measured["config_hash"] == plain["config_hash"]  # so that either counts as the other


def test_losses_are_those_of_single_documents(path_arguments):
    run = [*path_arguments, "--methods", "full"]
    assert main(run) == 0
    losses = json.loads((_folder(run) / "full-seed0.json").read_text(encoding="utf-8"))["losses"]
    for pair in losses.values():
        assert len(pair["documents"]) > 1
        assert sum(pair["documents"]) / len(pair["documents"]) == pytest.approx(pair["after"], rel=1e-5)


def test_a_cell_of_other_settings_is_not_moved(path_arguments, capsys):
    run = [*path_arguments, "--methods", "full"]
    assert main(run) == 0
    stamps = _stamps(run)
    assert main([*run, "--rates", "all", "--set", "training.warmup=0.2"]) == 2
    assert "made with other settings (training.warmup 0.05)" in capsys.readouterr().err
    assert _stamps(run) == stamps


def test_words_that_are_no_rates_are_refused_before_any_work(path_arguments, capsys):
    assert main([*path_arguments, "--rates", "alll"]) == 2
    assert "did you mean 'all'" in capsys.readouterr().err
    assert not _folder(path_arguments).exists()
