"""`run` under torchrun and accelerate launch: one result a cell, the numbers of one process, and no hang."""

import json
from importlib.util import find_spec

import pytest

from adept_bench.__main__ import main


def _cells(results):
    found = {}
    for path in sorted(results.glob("lab/medical/*.json")):
        found[path.name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _numbers(cell):
    """What a cell measured, as one flat mapping of numbers."""
    rows = {f"loss {name} {when}": pair[when] for name, pair in cell["losses"].items() for when in ("before", "after")}
    rows |= {f"step {point['step']}": point["loss"] for point in cell["training"]["curve"]}
    for refresh in cell["training"]["refreshes"]:
        for column in ("importance", "lr_scale"):
            rows |= {f"{column} of {i} at {refresh['step']}": value for i, value in enumerate(refresh[column])}
    layers = cell["probe"].get("layers_general", {"importance": []})["importance"]
    return rows | {f"layer {i}": value for i, value in enumerate(layers)}


@pytest.fixture(scope="module")
def alone(settings, tmp_path_factory):
    """The cells of one process."""
    results = tmp_path_factory.mktemp("alone")
    assert main([*settings, "--methods", "adept,vanilla", "--jobs", "1", "--quiet", "--results", str(results)]) == 0
    return _cells(results)


LAUNCHED = {"fsdp2": ["--use_fsdp", "--fsdp_version=2"], "zero2": ["--use_deepspeed", "--zero_stage=2"]}
NO_ZERO = pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", pytest.param("zero2", marks=NO_ZERO)])
def test_two_processes_write_each_cell_once_and_as_one_process(
    settings, alone, tmp_path, strategy, torchrun, accelerate, monkeypatch
):
    run = ["-m", "adept_bench", *settings, "--methods", "adept,vanilla", "--results", str(tmp_path)]
    if strategy == "ddp":
        ended, launcher = torchrun(*run), "torchrun"
    else:
        # as accelerate sets it where it finds a file of `accelerate config`
        monkeypatch.setenv("ACCELERATE_CONFIG_DS_FIELDS", "gradient_accumulation_steps,zero_stage,mixed_precision")
        ended, launcher = accelerate(LAUNCHED[strategy], *run), "accelerate launch"
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("done: ") == 2
    assert ended.stdout.count("held-out domain loss") == 1
    cells = _cells(tmp_path)
    assert set(cells) == set(alone)
    for name, cell in cells.items():
        details = {"distributed": strategy, "launcher": launcher, "batch_size": 2, "accumulation": 1}
        assert cell["provenance"]["processes"] == 2
        assert cell["provenance"]["details"] == details
        assert alone[name]["provenance"]["processes"] == 1
        assert cell["config_hash"] == alone[name]["config_hash"]
        assert len(_numbers(cell)) == (4 if cell["method"] == "vanilla" else 4 + 8 + 3 * 2 * 22 + 4)
        assert _numbers(cell) == pytest.approx(_numbers(alone[name]), abs=2e-5)
        for corpus, pair in cell["losses"].items():
            assert pair["documents"] == pytest.approx(alone[name]["losses"][corpus]["documents"], abs=2e-5)
    adept = cells["adept-seed0.json"]
    assert adept["training"]["details"]["frozen_identical"] is True
    assert adept["certificate"]["logits_equal"] is True
    assert len(adept["training"]["refreshes"]) == 3
    assert adept["training"]["tokens"] == 8 * 4 * 32


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("zero3", marks=NO_ZERO)])
def test_an_error_that_all_meet_fails_its_cell_alone(settings, tmp_path, strategy, torchrun):
    """A rate so high that training diverges: the next cell still runs, and the launcher's code says that one failed."""
    sets = ["--set", "training.learning_rate=1e30", "--set", f"training.distributed={strategy}"]
    run = [*settings, "--methods", "full,vanilla", *sets, "--results", str(tmp_path)]
    ended = torchrun("-m", "adept_bench", *run)
    assert ended.returncode == 1
    assert ended.stderr.count("FAILED full seed 0: DivergedError") == 1
    assert set(_cells(tmp_path)) == {"vanilla-seed0.json"}


def test_an_error_of_one_process_ends_all(tmp_path, torchrun):
    script = tmp_path / "lone.py"
    script.write_text(
        "import sys\n"
        "from adept_bench.distributed import failures\n"
        "from adept_bench.distributed.group import gathered, group, start\n"
        "from adept_bench.suite.workers import Job, run_jobs\n"
        "failures.PATIENCE = 2.0\n"
        "start()\n"
        "def work():\n"
        "    if group().rank == 1:\n"
        "        raise RuntimeError('only here')\n"
        "    gathered(None)\n"
        "list(run_jobs([Job('work', work)], 1))\n"
        "print('survived')\n",
        encoding="utf-8",
    )
    ended = torchrun(script, timeout=120)
    assert ended.returncode == 1
    assert "[process 1 of 2] failed alone" in ended.stderr
    assert "only here" in ended.stderr
    assert "survived" not in ended.stdout


def test_bad_input_is_said_once(settings, tmp_path, torchrun):
    ended = torchrun("-m", "adept_bench", *settings, "--set", "training.batch_size=5", "--results", str(tmp_path))
    assert ended.returncode == 1  # the launcher's; that of the processes is 2
    line = "5 sequences a step cannot be divided over 2 processes"
    assert sum(line in row and not row.startswith("[process 1]") for row in ended.stderr.splitlines()) == 1
    assert "exitcode  : 2" in ended.stderr
