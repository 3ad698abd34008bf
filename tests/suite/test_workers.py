"""Worker processes: values come back, errors are told apart, and a worker that dies takes only its own job along."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from adept_bench.corpora.reading import read_corpus
from adept_bench.progress import Bars, Silent, use
from adept_bench.suite.machine import threads
from adept_bench.suite.workers import Job, default_jobs, run_jobs

# what the workers run: a module they can import
CALLS = """
import os, sys, threading, time
from pathlib import Path
from adept_bench.progress import reporter

def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.02)

def note(folder, name):
    (Path(folder) / f"{name}-{time.time_ns()}-{os.environ['CUDA_VISIBLE_DEVICES']}").touch()

def noted(folder, name):
    note(folder, name)
    return name

def die(folder, name):
    note(folder, name)
    os._exit(9)

def die_once(folder, name):
    note(folder, name)
    if len(list(Path(folder).glob(f"{name}-*"))) == 1:
        os._exit(9)
    return name

def meet(path, others):
    Path(path).touch()
    for other in others:
        wait_for(other)
    return os.environ.get("CUDA_VISIBLE_DEVICES")

def sleep(pid_file):
    Path(f"{pid_file}.part").write_text(str(os.getpid()))
    os.rename(f"{pid_file}.part", pid_file)
    try:
        time.sleep(60)
    finally:
        Path(f"{pid_file}.let-go").touch()

def unpicklable():
    return threading.Lock()

def steps(folder, name, other):
    with reporter().task(name) as task:
        meet(Path(folder) / name, [Path(folder) / other])
        task.total = 2
        task.update()
        task.update()
    reporter().log(f"{name} is done")
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """CALLS as a module, which the workers find as well."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "worker_calls.py").write_text(CALLS, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "worker_calls", raising=False)
    return importlib.import_module("worker_calls")


class Heard(Silent):
    def __init__(self):
        self.lines = []

    def log(self, message):
        self.lines.append(message)


@pytest.fixture
def heard():
    listener = Heard()
    use(listener)
    yield listener
    use(Silent())


@pytest.mark.parametrize("workers", [1, 2])
def test_values_and_errors_come_back(workers):
    jobs = [
        Job("good", json.loads, {"s": "[1, 2]"}),
        Job("broken", json.loads, {"s": "["}),
        Job("refused", read_corpus, {"source": "missing.jsonl"}),
        Job("better", json.loads, {"s": "3"}),
    ]
    outcomes = {outcome.job.title: outcome for outcome in run_jobs(jobs, workers)}
    assert outcomes["good"].value == [1, 2]
    assert outcomes["better"].value == 3
    assert outcomes["broken"].error.startswith("JSONDecodeError")
    assert "Traceback" in outcomes["broken"].trace
    assert "missing.jsonl" in outcomes["refused"].error
    assert outcomes["refused"].trace == ""
    assert [title for title, outcome in outcomes.items() if outcome.refused] == ["refused"]


def test_what_cannot_be_sent_back_or_exits_is_that_jobs_error(calls):
    jobs = [Job("lock", calls.unpicklable), Job("exit", sys.exit, {}), Job("good", json.loads, {"s": "1"})]
    outcomes = {outcome.job.title: outcome for outcome in run_jobs(jobs, 2)}
    assert "pickle" in outcomes["lock"].error
    assert outcomes["exit"].error.startswith("SystemExit")
    assert outcomes["good"].value == 1


def test_a_dying_worker_takes_only_its_job_along(calls, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    functions = {"dies": calls.die, "dies too": calls.die, "dies once": calls.die_once}
    functions |= {f"job {n}": calls.noted for n in range(3)}
    jobs = [Job(name, function, {"folder": tmp_path, "name": name}) for name, function in functions.items()]
    outcomes = {outcome.job.title: outcome for outcome in run_jobs(jobs, 2)}
    assert len(outcomes) == len(jobs)
    assert outcomes["dies"].error == outcomes["dies too"].error == "the worker process died twice (out of memory?)"
    living = ["dies once", "job 0", "job 1", "job 2"]
    assert [outcomes[name].value for name in living] == living
    # every run of a job leaves a file that names its GPU: innocent jobs ran once, the others again on the same slot
    runs = {name: [path.name.split("-")[2] for path in tmp_path.glob(f"{name}-*")] for name in functions}
    assert (runs["dies"], runs["dies too"]) == (["5", "5"], ["7", "7"])
    assert [len(runs[name]) for name in living] == [2, 1, 1, 1]


@pytest.mark.parametrize(("visible", "expected"), [("5, 7", ["5", "7"]), ("", ["", ""])])
def test_each_slot_has_its_gpu(calls, tmp_path, monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    both = [tmp_path / "first", tmp_path / "second"]
    jobs = [Job(path.name, calls.meet, {"path": path, "others": both}) for path in both]
    outcomes = {outcome.job.title: outcome.value for outcome in run_jobs(jobs, 2)}
    assert [outcomes["first"], outcomes["second"]] == expected


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_leaving_early_ends_the_workers(calls, tmp_path):
    pid_file = tmp_path / "pid"
    jobs = [
        Job("waits", calls.meet, {"path": tmp_path / "x", "others": [pid_file]}),
        Job("sleeps", calls.sleep, {"pid_file": pid_file}),
    ]
    outcomes = run_jobs(jobs, 2)
    assert next(outcomes).job.title == "waits"
    pid = int(pid_file.read_text())
    assert alive(pid)
    outcomes.close()
    assert not alive(pid)
    assert Path(f"{pid_file}.let-go").exists()  # locks and temporary files would be, too


PARENT = """
import sys
from pathlib import Path
import worker_calls
from adept_bench.signals import caught
from adept_bench.suite.workers import Job, run_jobs

if __name__ == "__main__":
    jobs = [Job(path, worker_calls.sleep, {"pid_file": path}) for path in sys.argv[1:]]
    with caught():
        print([outcome.job.title for outcome in run_jobs(jobs, 2)])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_the_parent(calls, tmp_path, how):
    script = Path(calls.__file__).with_name("parent.py")
    script.write_text(PARENT, encoding="utf-8")
    files = [tmp_path / "first.pid", tmp_path / "second.pid"]
    paths = os.pathsep.join([str(script.parent), str(Path(__file__).parents[2])])
    parent = subprocess.Popen(
        [sys.executable, str(script), *map(str, files)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # a shell starts background jobs with SIGINT ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    workers = []
    try:
        assert wait_until(lambda: all(path.exists() for path in files), 120)
        workers = [int(path.read_text()) for path in files]
        assert all(map(alive, workers))
        parent.send_signal(how)
        assert wait_until(lambda: not any(map(alive, workers)), 10)
        assert parent.wait(10) != 0
        assert [Path(f"{path}.let-go").exists() for path in files] == [how != signal.SIGKILL] * 2
    finally:
        parent.kill()
        for pid in filter(alive, workers):
            os.kill(pid, signal.SIGKILL)


def test_tasks_of_workers_overlap_on_real_bars(calls, tmp_path):
    bars = Bars()
    bars.console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})
    use(bars)
    try:
        pairs = [("one", "two"), ("two", "one")]
        jobs = [Job(name, calls.steps, {"folder": tmp_path, "name": name, "other": other}) for name, other in pairs]
        assert [outcome.error for outcome in run_jobs(jobs, 2)] == [None, None]
    finally:
        use(Silent())
    text = bars.console.file.getvalue()
    assert "one is done" in text
    assert "two is done" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") >= 1  # no display is left


def test_a_reporter_that_fails_does_not_end_the_mirror(calls, heard, tmp_path, monkeypatch):
    def fails(*arguments):
        raise RuntimeError("no terminal")

    monkeypatch.setattr(heard, "task", fails)
    pairs = [("one", "two"), ("two", "one")]
    jobs = [Job(name, calls.steps, {"folder": tmp_path, "name": name, "other": other}) for name, other in pairs]
    assert [outcome.error for outcome in run_jobs(jobs, 2)] == [None, None]
    assert sorted(heard.lines) == ["one is done", "two is done"]


def test_logs_of_workers_reach_the_parent(heard, tmp_path):
    from adept_bench.results.store import Store

    (tmp_path / "lab" / "medical").mkdir(parents=True)
    (tmp_path / "lab" / "medical" / "full-seed0.json").write_text("{", encoding="utf-8")
    load = Store(tmp_path).load_all
    outcomes = list(run_jobs([Job("one", load), Job("two", load)], 2))
    assert [outcome.value for outcome in outcomes] == [[], []]
    assert sum("full-seed0.json" in line for line in heard.lines) == 2


def test_never_more_workers_than_cells():
    assert default_jobs(1) == 1
    assert 1 <= default_jobs(1000) <= 1000


@pytest.mark.parametrize(
    ("setting", "expected"), [("3", 3), ("4,2", 4), (" 2 ", 2), ("", 1), ("0", 1), ("-1", 1), ("many", 1), (None, 1)]
)
def test_threads_are_the_first_number_of_the_setting(monkeypatch, setting, expected):
    if setting is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert threads() == expected
