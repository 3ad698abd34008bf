"""Job arrays: scripts that bash accepts, tasks that are ordinary runs, and an order that sbatch is told of."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adept_bench.cluster.slurm import Runs, SlurmOptions, options_from, write_slurm
from adept_bench.errors import InputError

ROOT = Path(__file__).parents[2]


def _bash(script, **environment):
    given = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(["bash", str(script)], env=given, capture_output=True, text=True, timeout=300, check=False)


def _runs(tmp_path, **more):
    return Runs("medical", ["vanilla", "full"], [0, 3], tmp_path / "results", **more)


def test_a_task_a_cell_after_what_the_cells_share(tmp_path):
    folder = tmp_path / "jobs"
    options = SlurmOptions(
        gpus=4, partition="long", time="1-12:00:00", at_once=6, setup="source 'my env/activate'", select_lr=True
    )
    written = write_slurm(_runs(tmp_path, preset="lab", settings=["training.distributed=fsdp2"]), folder, options)
    names = [f"{stage}.{kind}" for stage in ("base", "rates", "cells") for kind in ("tasks", "sbatch")]
    assert [path.name for path in written] == [*names, "submit.sh"]
    for path in written:
        if path.suffix != ".tasks":
            assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    assert (folder / "cells.tasks").read_text().splitlines() == [
        "--methods vanilla --seeds 0",
        "--methods full --seeds 0",
        "--methods vanilla --seeds 3",
        "--methods full --seeds 3",
    ]
    assert (folder / "rates.tasks").read_text().splitlines() == ["--prepare --select-lr --seeds 0 --methods full"]
    assert len((folder / "base.tasks").read_text().splitlines()) == 2
    script = (folder / "cells.sbatch").read_text()
    for line in ("--array=0-3%6", "--gpus-per-node=4", "--partition=long", "--time=1-12:00:00", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    assert "torch.distributed.run --nproc_per_node=4 --standalone" in script
    assert "--set training.distributed=fsdp2" in script
    assert "source 'my env/activate'\n" in script


def test_a_task_a_rate_where_paths_are_asked_for(tmp_path):
    folder = tmp_path / "jobs"
    write_slurm(_runs(tmp_path, rates={"full": [1e-3, 2.5e-4], "vanilla": []}), folder)
    assert (folder / "cells.tasks").read_text().splitlines() == [
        "--methods vanilla --seeds 0",
        "--methods full --seeds 0 --rates 0.001",
        "--methods full --seeds 0 --rates 0.00025",
        "--methods vanilla --seeds 3",
        "--methods full --seeds 3 --rates 0.001",
        "--methods full --seeds 3 --rates 0.00025",
    ]


def test_submit_tells_sbatch_of_the_order(tmp_path):
    """With an sbatch that notes what it is given and answers as Slurm does."""
    folder, tools = tmp_path / "jobs", tmp_path / "bin"
    tools.mkdir()
    notes = tmp_path / "notes"
    (tools / "sbatch").write_text(f'#!/bin/sh\necho "$*" >> {notes}\nwc -l < {notes} | tr -d " \\n"; echo ";cluster"\n')
    (tools / "sbatch").chmod(0o755)
    submit = write_slurm(_runs(tmp_path), folder, SlurmOptions(select_lr=True))[-1]
    ended = _bash(submit, PATH=f"{tools}:{os.environ['PATH']}")
    assert ended.returncode == 0, ended.stderr
    after = "--parsable --kill-on-invalid-dep=yes --dependency=afterok:"
    assert notes.read_text().splitlines() == [
        f"--parsable {folder}/base.sbatch",
        f"{after}1 {folder}/rates.sbatch",
        f"{after}2 {folder}/cells.sbatch",
    ]
    assert ended.stdout.splitlines() == ["base: job 1", "rates: job 2", "cells: job 3"]


def test_several_machines_meet_at_the_first(tmp_path):
    write_slurm(_runs(tmp_path), tmp_path / "jobs", SlurmOptions(gpus=8, nodes=2))
    script = (tmp_path / "jobs" / "cells.sbatch").read_text()
    assert "#SBATCH --nodes=2\n" in script
    assert "--nnodes=2 --rdzv_id=$SLURM_JOB_ID --rdzv_backend=c10d" in script
    assert subprocess.run(["bash", "-n", str(tmp_path / "jobs" / "cells.sbatch")], check=False).returncode == 0


def test_a_task_runs_its_cell_and_again_keeps_it(tiny_model, texts, tmp_path):
    """The scripts as Slurm would run them, one process a task: first what the cells share, then the fourth cell."""
    settings = [
        f"data.domain={texts[0]}",
        f"data.general={texts[1]}",
        "data.probe_documents=4",
        "data.heldout_documents=4",
        "training.tokens=128",
        "training.length=32",
        "training.batch_size=2",
        "options.k=1",
    ]
    folder, results = tmp_path / "the jobs", tmp_path / "results"
    runs = Runs("medical", ["vanilla", "adept"], [0, 1], results, model=str(tiny_model), settings=settings)
    write_slurm(runs, folder, SlurmOptions(gpus=0))
    ended = _bash(folder / "base.sbatch", SLURM_ARRAY_TASK_ID="1")
    assert ended.returncode == 0, ended.stderr
    measured = sorted(path.name.partition("-")[0] for path in (results / ".work" / "base").glob("*.json"))
    assert measured == ["evaluation", "layers", "units"]
    assert not list(results.glob("lab/medical/*.json"))
    ended = _bash(folder / "cells.sbatch", SLURM_ARRAY_TASK_ID="3")
    assert ended.returncode == 0, ended.stderr
    assert "importance" not in ended.stderr  # it was there
    (cell,) = results.glob("lab/medical/*.json")
    assert cell.name == "adept-seed1.json"
    assert json.loads(cell.read_text(encoding="utf-8"))["seed"] == 1
    stamp = cell.stat().st_mtime_ns
    ended = _bash(folder / "cells.sbatch", SLURM_ARRAY_TASK_ID="3")
    assert ended.returncode == 0, ended.stderr
    assert cell.stat().st_mtime_ns == stamp
    assert _bash(folder / "cells.sbatch", SLURM_ARRAY_TASK_ID="4").returncode == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": -1}, "--slurm-set gpus: -1; expected a whole number from 0"),
        ({"at_once": 0}, "--slurm-set at_once: 0; expected a whole number from 1"),
        ({"time": "a day"}, "--slurm-set time: 'a day'; expected minutes"),
        ({"partition": "two words"}, "--slurm-set partition: 'two words'; expected one word"),
        ({"setup": "a\nb"}, "--slurm-set setup: several lines"),
    ],
)
def test_what_sbatch_would_refuse_is_refused_here(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_slurm(_runs(tmp_path), tmp_path / "jobs", SlurmOptions(**options))
    assert not (tmp_path / "jobs").exists()
    with pytest.raises(InputError, match="no cell to run"):
        write_slurm(Runs("medical", [], [0], tmp_path), tmp_path / "jobs")


def test_the_python_of_the_scripts_is_the_one_that_wrote_them(tmp_path):
    write_slurm(_runs(tmp_path), tmp_path / "jobs", SlurmOptions(gpus=1))
    assert f"launch=({sys.executable})" in (tmp_path / "jobs" / "cells.sbatch").read_text()


def test_options_are_read_as_they_are_typed():
    found = options_from(["time=30", "at_once=2", "select_lr=true", "setup=module load cuda"], gpus=4)
    assert found == SlurmOptions(gpus=4, time="30", at_once=2, select_lr=True, setup="module load cuda")
    assert options_from(["gpus=1"], gpus=4) == SlurmOptions(gpus=1)
    for pair, message in (
        ("time", "expected KEY=VALUE"),
        ("gpu=1", "unknown option 'gpu'; .*did you mean 'gpus'"),
        ("nodes=two", "nodes: 'two'; expected a whole number"),
        ("select_lr=1", "select_lr: '1'; expected true or false"),
        ("nodes=0", "nodes: 0; expected a whole number from 1"),
    ):
        with pytest.raises(InputError, match=message):
            options_from([pair], gpus=1)


def test_plan_writes_the_jobs_beside_its_table(tmp_path, capsys):
    from adept_bench.__main__ import main

    folder = tmp_path / "jobs"
    asked = [
        "plan",
        "--suite",
        "medical",
        "--preset",
        "lab",
        "--methods",
        "full,adept",
        "--seeds",
        "1,4",
        "--devices",
        "2",
    ]
    assert main([*asked, "--slurm", str(folder), "--slurm-set", "time=2:00:00", "--results", str(tmp_path)]) == 0
    assert f"bash {folder}/submit.sh" in capsys.readouterr().err
    assert len((folder / "cells.tasks").read_text().splitlines()) == 4
    script = (folder / "cells.sbatch").read_text()
    assert "#SBATCH --time=2:00:00\n" in script
    assert "#SBATCH --gpus-per-node=2\n" in script
    assert f"--results {tmp_path}" in script
    assert main([*asked, "--slurm-set", "time=30"]) == 2
    assert "--slurm-set: expected --slurm DIR" in capsys.readouterr().err
