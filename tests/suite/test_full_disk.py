"""A disk that takes no more: one line, exit code 2, and what is finished stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from full_disks import files_of_at_most

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.suite.run import report
from adept_bench.suite.workers import Job, run_jobs


def test_run_on_a_full_disk_is_one_line_and_keeps_its_cells(arguments: list[str], capsys: Any) -> None:
    results = Path(arguments[arguments.index("--results") + 1])
    call = [*arguments, "--jobs", "1", "--quiet", "--methods"]
    assert main([*call, "vanilla"]) == 0
    (kept,) = results.rglob("vanilla-seed0.json")
    before = kept.read_bytes()
    capsys.readouterr()
    with files_of_at_most(5_000):  # less than a checkpoint of the training
        assert main([*call, "full"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"--results: cannot write {results}: File too large; what is finished is kept, .*\n", err), err
    assert kept.read_bytes() == before
    assert list(results.rglob("*-seed0.json")) == [kept]
    assert not list(results.rglob("*.tmp"))
    assert main([*call, "full"]) == 0  # there is room again
    assert len(list(results.rglob("*-seed0.json"))) == 2


def full() -> None:
    from adept_bench.files import write_whole
    from adept_bench.models.folders import writing

    with files_of_at_most(10), writing(Path("there"), "--results"):
        write_whole(Path("there") / "x", b"0" * 100)


def later(begun: list[int]) -> None:
    begun.append(1)


def test_other_jobs_are_not_begun(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    begun: list[int] = []
    jobs = [Job("first", full), Job("second", later, {"begun": begun})]
    with pytest.raises(InputError, match=r"^--results: cannot write there: File too large; what is finished is kept"):
        report(run_jobs(jobs, 1), tmp_path)
    assert begun == []
    assert list((tmp_path / "there").iterdir()) == []
