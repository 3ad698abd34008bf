"""Every method end to end on a tiny model and own texts: what is stored, what is proven, what runs again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.config.names import METHOD_NAMES
from adept_bench.results.store import Store

RELEASED = {"adept-as-released", "adept-as-released-deepspeed"}
EXPANDING = {"llama-pro", "adept", "adept-no-stage2", "adept-uniform-expansion", *RELEASED}
DECOUPLED = {"adept", "adept-no-stage1", "adept-uniform-expansion", *RELEASED}


def _results(arguments):
    return Path(arguments[arguments.index("--results") + 1])


def _without_times(cell):
    """What must not depend on when and how fast a cell ran."""
    content = json.loads(Path(cell).read_text(encoding="utf-8"))
    content["training"].get("details", {}).pop("resumed_from", None)
    return {key: value for key, value in content.items() if key not in ("cost", "provenance")}


def test_every_method_runs_and_proves_what_it_trains(arguments, capsys):
    methods = list(METHOD_NAMES)
    assert main([*arguments, "--methods", ",".join(methods), "--jobs", "1", "--quiet"]) == 0
    table = capsys.readouterr().out
    cells = {cell.method: cell for cell in Store(_results(arguments)).load_all()}
    assert set(cells) == set(methods)
    for method, cell in cells.items():
        assert method in table
        assert cell.tasks == {}  # the lab's tasks ask about the lab's world, and this model does not know it
        assert set(cell.losses) == {"general", "domain"}
        assert cell.losses["domain"].before == cells["vanilla"].losses["domain"].before
        if method == "vanilla":
            assert cell.training.steps == 0
            assert cell.losses["domain"].after == cell.losses["domain"].before
            continue
        assert cell.training.steps == 8
        assert cell.training.tokens == 8 * 2 * 32
        assert cell.losses["domain"].after < cell.losses["domain"].before
        assert cell.training.details["frozen_identical"] is True
        assert (cell.certificate is not None) == (method in EXPANDING)
        if cell.certificate:
            shown = ("logits_equal", "cached_decoding_equal", "reload_equal", "trainable_is_copies", "frozen_identical")
            assert [cell.certificate[name] for name in shown] == [True] * 5
            assert cell.model.layers == 6
            assert len(cell.model.expanded_layers) == 2
        refreshes = [refresh.step for refresh in cell.training.refreshes]
        assert refreshes == ([0, 3, 6] if method in DECOUPLED else [])
    assert cells["full"].model.trainable_fraction == 1.0
    assert cells["replay"].training.mix["replay_share"] == pytest.approx(0.2, abs=0.5 / 16)
    budgets = {cell.training.tokens for method, cell in cells.items() if method != "vanilla"}
    assert len(budgets) == 1
    assert cells["adept"].model.trainable_parameters == cells["llama-pro"].model.trainable_parameters


def test_what_is_done_is_not_done_again_and_what_changed_is_refused(arguments, capsys):
    run = [*arguments, "--methods", "vanilla,frozen", "--jobs", "1"]
    assert main(run) == 0
    files = sorted(_results(arguments).glob("lab/medical/*.json"))
    stamps = [file.stat().st_mtime_ns for file in files]
    first = [_without_times(file) for file in files]
    assert main(run) == 0
    assert [file.stat().st_mtime_ns for file in files] == stamps
    capsys.readouterr()
    assert main([*run, "--set", "options.k=1"]) == 2
    error = capsys.readouterr().err
    assert "made with other settings (options.k 2)" in error
    assert "Traceback" not in error
    assert [file.stat().st_mtime_ns for file in files] == stamps
    assert main([*run, "--force"]) == 0
    assert [_without_times(file) for file in files] == first


def test_a_damaged_result_is_set_aside_and_made_again(arguments, capsys):
    run = [*arguments, "--methods", "vanilla", "--jobs", "1"]
    assert main(run) == 0
    file = _results(arguments) / "lab" / "medical" / "vanilla-seed0.json"
    whole = _without_times(file)
    base = list((_results(arguments) / ".work" / "base").glob("*.json"))  # the measurements that the result rests on
    assert len(base) == 2
    for path in (file, *base):
        path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")
    capsys.readouterr()
    assert main(run) == 0
    said = capsys.readouterr().err
    for path in (file, *base):
        assert f"{path.name}.damaged-1" in said
        assert path.with_name(f"{path.name}.damaged-1").is_file()
    assert _without_times(file) == whole


def test_a_cell_that_fails_leaves_the_others(arguments, capsys):
    """A rate so high that training diverges fails its own cell alone."""
    run = [*arguments, "--methods", "vanilla,full", "--jobs", "1", "--set", "training.learning_rate=1e30"]
    assert main(run) == 1
    output = capsys.readouterr()
    assert "FAILED full seed 0" in output.err
    assert "vanilla" in output.out
    assert [cell.method for cell in Store(_results(arguments)).load_all()] == ["vanilla"]


def test_bad_input_is_one_line_and_exit_2(arguments, texts, tmp_path, capsys):
    broken = tmp_path / "broken.jsonl"
    broken.write_text(texts[0].read_text(encoding="utf-8") + '{"text": 3}\n', encoding="utf-8")
    empty = tmp_path / "empty-model"
    empty.mkdir()
    (empty / "config.json").write_text("{}", encoding="utf-8")
    cases = [
        ([*arguments, "--methods", "adpet"], "adept"),
        ([*arguments, "--methods", "tasl"], "tasl"),
        ([*arguments, "--set", f"data.domain={broken}"], "broken.jsonl:61"),
        ([*arguments, "--model", str(empty)], str(empty)),
        ([*arguments, "--set", "options.kk=3"], "options.k"),
        ([*arguments, "--seeds", "a"], "--seeds"),
        (["run", "--suite", "medcal"], "medical"),
        ([*arguments, "--preset", "labb"], "lab"),
        ([*arguments, "--set", "options.k=9", "--methods", "frozen"], "9"),
    ]
    for call, expected in cases:
        code = main(call)
        error = capsys.readouterr().err
        assert code == 2, (call, error)
        assert expected in error, (expected, error)
        assert "Traceback" not in error
    assert not list(_results(arguments).glob("lab/medical/*.json"))


@pytest.mark.parametrize("method", ["adept", "lora"])
def test_a_killed_run_goes_on_to_the_same_numbers(arguments, tmp_path, method):
    """SIGKILL as soon as a checkpoint is there, then the same command again: equal to an unbroken run."""
    longer = ["--set", f"training.tokens={40 * 2 * 32}", "--methods", method, "--jobs", "1"]
    unbroken = [*arguments, *longer]
    assert main([*unbroken, "--quiet"]) == 0
    expected = _without_times(_results(arguments) / "lab" / "medical" / f"{method}-seed0.json")

    killed = list(unbroken)
    results = tmp_path / "killed"
    killed[killed.index("--results") + 1] = str(results)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "adept_bench", *killed], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    checkpoint = results / ".work" / "lab" / "medical"
    deadline = time.monotonic() + 300
    while not list(checkpoint.glob(f"{method}@*-seed0/checkpoint-*/run_state.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if (results / "lab" / "medical" / f"{method}-seed0.json").exists():
        pytest.fail("the run ended before it could be killed; give it more steps")
    assert main([*killed, "--quiet"]) == 0
    stored = results / "lab" / "medical" / f"{method}-seed0.json"
    assert json.loads(stored.read_text(encoding="utf-8"))["training"]["details"]["resumed_from"] >= 2
    assert _without_times(stored) == expected
