"""Where the result goes: encodings that lack a character, a reader that goes away, a disk that is full."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adept_bench.__main__ import main
from adept_bench.stdout import print_json, watched

RESULTS = Path(__file__).parents[2] / "results"


def run(arguments: str, stdout: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that writes to `stdout`, which it leaves in its place."""
    monkeypatch.setattr(sys, "stdout", stdout)
    code = main(arguments.split())
    assert sys.stdout is stdout
    return code


@pytest.mark.parametrize("buffering", [1, -1])  # each line as it comes; all at the end
def test_a_full_stdout_is_one_line(
    buffering: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("list", "--version", "list figures --quiet"):
        with open("/dev/full", "w", buffering=buffering) as full:
            assert run(command, full, monkeypatch) == 2
        assert capsys.readouterr().err == "stdout: cannot be written: No space left on device\n"


@pytest.mark.parametrize("buffering", [1, -1])
def test_a_reader_that_went_away_is_no_error(
    buffering: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=buffering) as pipe:
        assert run("list", pipe, monkeypatch) == 141
    assert capsys.readouterr().err == ""


def test_bad_usage_stays_bad_usage_whatever_stdout_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as full:
        full.write("left over")
        assert run("list nothing", full, monkeypatch) == 2
    assert "unknown kind 'nothing'" in capsys.readouterr().err


def test_a_broken_pipe_of_something_else_is_a_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> dict[str, str]:
        raise BrokenPipeError(32, "a worker's pipe")

    monkeypatch.setitem(__import__("adept_bench.cli.info").cli.info._LISTS, "suites", fails)
    assert main(["list", "suites"]) == 1
    assert "unexpected BrokenPipeError: [Errno 32] a worker's pipe" in capsys.readouterr().err


def test_stdout_that_is_closed_is_said_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["list"]) == 2
    assert capsys.readouterr().err.startswith("stdout: is closed; expected")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_characters_that_an_encoding_lacks_are_replaced_and_json_stays_the_same(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = RESULTS / "lab" / "math"
    command = f"show --results {RESULTS} --preset lab --suite {cells.name} --quiet --format "
    printed: dict[tuple[str, str], bytes] = {}
    for name in ("utf-8", encoding):
        for kind in ("table", "json"):
            raw = io.BytesIO()
            assert run(command + kind, io.TextIOWrapper(raw, encoding=name, write_through=True), monkeypatch) == 0
            printed[name, kind] = raw.getvalue()
    whole = printed["utf-8", "table"].decode()
    assert not whole.isascii()
    assert printed[encoding, "table"] == whole.encode(encoding, errors="replace")
    assert json.loads(printed[encoding, "json"].decode(encoding)) == json.loads(printed["utf-8", "json"])


def test_json_escapes_what_stdout_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"é": "µ ± 😀 — \udcff", "plain": [1, "a"]}
    for encoding, kept in (("ascii", ""), ("latin-1", "éµ±"), ("utf-8", "éµ±😀—")):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
        with watched():
            print_json(json.dumps(value, ensure_ascii=False))
        text = raw.getvalue().decode(encoding)
        assert json.loads(text) == value
        assert {character for character in text if not character.isascii()} == set(kept)


def test_the_interpreter_adds_nothing_to_the_end_of_a_command_that_nobody_reads() -> None:
    """Its own last flush, in `... | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    found = subprocess.run(
        [sys.executable, "-m", "adept_bench", "list"],
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (found.returncode, found.stderr) == (141, "")
