"""Worker processes: values come back, errors are told apart, and a worker that dies takes only its own job along."""

import json
import os

import pytest

from adept_bench.errors import InputError
from adept_bench.progress import Silent, use
from adept_bench.suite.inputs import corpus_identity
from adept_bench.suite.workers import Job, default_jobs, run_jobs


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
        Job("refused", corpus_identity, {"source": "lab:nothing"}),
        Job("better", json.loads, {"s": "3"}),
    ]
    outcomes = {outcome.job.title: outcome for outcome in run_jobs(jobs, workers)}
    assert outcomes["good"].value == [1, 2]
    assert outcomes["better"].value == 3
    assert outcomes["broken"].error.startswith("JSONDecodeError")
    assert "Traceback" in outcomes["broken"].trace
    assert outcomes["refused"].value.startswith("lab:nothing@")


def test_input_errors_carry_no_traceback():
    from adept_bench.corpora.reading import read_corpus

    (outcome,) = run_jobs([Job("read", read_corpus, {"source": "missing.jsonl"})], 1)
    assert "missing.jsonl" in outcome.error
    assert outcome.trace == ""


def test_a_dying_worker_takes_only_its_job_along():
    jobs = [Job(f"job {n}", json.loads, {"s": str(n)}) for n in range(4)]
    jobs.insert(1, Job("dies", os._exit, {"status": 9}))
    outcomes = {outcome.job.title: outcome for outcome in run_jobs(jobs, 2)}
    assert len(outcomes) == 5
    assert "died twice" in outcomes.pop("dies").error
    assert sorted(outcome.value for outcome in outcomes.values()) == [0, 1, 2, 3]


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
    with pytest.raises(InputError):
        raise InputError("x")
