"""Several runs on one results folder at once: each cell is trained once, and a killed run holds nobody up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import SoftFileLease

from adept_bench import files
from adept_bench.files import LEASE, locked
from adept_bench.results.store import Store


def _environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def _start(arguments):
    command = [sys.executable, "-m", "adept_bench", *arguments]
    return subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE, text=True)


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


def test_a_killed_holder_holds_nobody_up(tmp_path):
    """On its own machine at once, and the system's lock with it."""
    path = tmp_path / "cell"
    imports = "from pathlib import Path\nfrom adept_bench.files import locked\n"
    code = f"{imports}with locked(Path({str(path)!r})):\n    input()"
    holder = subprocess.Popen([sys.executable, "-c", code], env=_environment(), stdin=subprocess.PIPE)
    lease = Path(f"{path}.lease")
    while not (lease.exists() and lease.stat().st_size):
        assert holder.poll() is None
        time.sleep(0.01)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    with locked(path):
        assert time.monotonic() - started < LEASE / 3


@pytest.mark.parametrize("content", ["", "{record}"], ids=["killed before it wrote it", "another machine, silent"])
def test_a_lease_without_a_sign_of_life_is_taken(tmp_path, monkeypatch, content):
    """What a holder leaves behind where its end cannot be seen: taken when it has not changed for LEASE seconds."""
    monkeypatch.setattr(files, "LEASE", 2.0)
    record = "filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=" + "0" * 32 + "\nduration=2.0\n"
    with SoftFileLease(tmp_path / "other.lease", lease_duration=2.0):
        protocol = (tmp_path / "other.lease").read_text().splitlines()[0]
    record = record.replace("filelock/2", protocol)
    (tmp_path / "cell.lease").write_text(content.format(record=record))
    started = time.monotonic()
    with locked(tmp_path / "cell"):
        assert 2.0 <= time.monotonic() - started < 20.0
    assert not (tmp_path / "cell.lease").exists()
