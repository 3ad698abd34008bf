"""Several runs on one results folder at once: each cell is trained once, and a killed run holds nobody up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from adept_bench.results.store import Store


def _start(arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "adept_bench", *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_three_runs_at_once_train_each_cell_once(arguments, tmp_path):
    """Two of them in one order of methods and one in the other, so that they meet at different cells."""
    orders = ("vanilla,frozen,full", "vanilla,frozen,full", "full,frozen,vanilla")
    running = [_start([*arguments, "--methods", methods, "--jobs", "1"]) for methods in orders]
    logs = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], logs
    text = "".join(logs)
    for method in ("frozen", "full"):
        assert text.count(f"{method} seed 0: step 8/8") == 1
    store = Store(tmp_path / "results")
    assert sorted(cell.method for cell in store.load_all()) == ["frozen", "full", "vanilla"]
    assert not list((tmp_path / "results").rglob("*.damaged*"))
    assert not list((tmp_path / "results").rglob("*.lease"))


def test_a_killed_run_holds_nobody_up(arguments, tmp_path):
    run = [*arguments, "--set", "training.tokens=64000", "--methods", "frozen", "--jobs", "1"]
    killed = _start(run)
    lease = tmp_path / "results" / ".work" / "locks" / "lab" / "medical" / "frozen-seed0.lease"
    deadline = time.monotonic() + 200
    while not lease.exists():
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert lease.exists()
    from adept_bench.files import LEASE, locked

    started = time.monotonic()
    with locked(lease.with_suffix("")):
        waited = time.monotonic() - started
    assert waited < LEASE / 3
