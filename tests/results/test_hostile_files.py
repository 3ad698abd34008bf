"""Files among the results that hold anything at all: each is left out in one line, and the good ones are treated."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell
from adept_bench.results.store import Store
from adept_bench.results.timing import read_timing

STORED = Path(__file__).parents[2] / "results"
GOOD = ("lab/math/vanilla-seed0.json", "lab/math/full-seed0.json")
OTHERS = (None, True, 0, -1, 1.5, 10**40, "x", "a\nb\x1b[31m", [], ["x"], [None], [[]], {}, {"a": 1}, {"a": {"b": []}})
NESTED = "[" * 200_000


@pytest.fixture(autouse=True)
def no_waiting():
    """A FIFO or an endless device that is opened after all fails its test, and not the whole run."""
    signal.alarm(120)
    yield
    signal.alarm(0)


@pytest.fixture
def results(tmp_path):
    """A folder of two good cells of seed 0."""
    for name in GOOD:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((STORED / name).read_bytes())
    return tmp_path


def _with(field: str, value: object, seed: int) -> str:
    cell = json.loads((STORED / GOOD[1]).read_text(encoding="utf-8"))
    return json.dumps({**cell, "seed": seed, field: value})


def _refusal(read: Callable[[Path], object], path: Path) -> str:
    """What the reader says of the file; empty where it reads it."""
    try:
        read(path)
    except InputError as reason:
        return str(reason)
    return ""


def _bad_texts() -> dict[str, bytes]:
    """Contents of no cell, by what is said of them."""
    whole = (STORED / GOOD[1]).read_bytes()
    deep = _with("config", {"a": 0}, 0).replace('{"a": 0}', '{"a": ' + NESTED + "}")
    return {
        "brackets nested more than 100 deep": NESTED.encode(),
        "brackets nested more than 100 deep;": deep.encode(),
        "a number of thousands of digits": b'{"schema_version": ' + b"9" * 5000 + b"}",
        "a number of thousands of digits;": whole.replace(b'"seed": 0', b'"seed": ' + b"9" * 5000),
        "schema_version True": whole.replace(b'"schema_version": 1', b'"schema_version": true'),
        "schema_version 1.0": whole.replace(b'"schema_version": 1', b'"schema_version": 1.0'),
        "schema_version '1'": whole.replace(b'"schema_version": 1', b'"schema_version": "1"'),
        "schema_version None": b"[]",
        "broken JSON": b"",
        "broken JSON (": b"\0" * 64,
        "broken JSON (I": whole.replace(b'"lab"', b'"l\0b"', 1),
        "not UTF-8 text": whole + b"\xff",
    }


def _no_files(folder: Path) -> dict[str, Path]:
    """What is no file of a name of one, by what is said of it."""
    (folder / "of-a-folder-seed1.json").mkdir()
    os.mkfifo(folder / "of-a-fifo-seed1.json")
    (folder / "of-a-device-seed1.json").symlink_to("/dev/zero")
    (folder / "of-itself-seed1.json").symlink_to("of-itself-seed1.json")
    (folder / "of-nothing-seed1.json").symlink_to("nothing")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # names of sockets are short
        listening.bind("of-a-socket-seed1.json")
        os.chdir(here)
    told = {"folder": "a folder", "fifo": "a pipe (FIFO)", "device": "a device", "socket": "a socket"}
    said = {f"it is {words}": folder / f"of-a-{name}-seed1.json" for name, words in told.items()}
    return said | {
        "symbolic links": folder / "of-itself-seed1.json",
        "no such file": folder / "of-nothing-seed1.json",
    }


def _run(capsys, *arguments: str) -> tuple[str, list[str]]:
    """(stdout, lines of stderr) of a command that ends well."""
    assert main(list(arguments)) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    return out, err.splitlines()


def test_every_command_leaves_out_what_is_no_cell_and_goes_on(results, tmp_path_factory, capsys):
    output = tmp_path_factory.mktemp("output")
    folder = results / "lab" / "math"
    said = _no_files(folder)
    for number, (words, content) in enumerate(_bad_texts().items()):
        said[words] = folder / f"full-seed{number + 100}.json"
        said[words].write_bytes(content)
    timings = results / "timing" / "h100"
    timings.mkdir(parents=True)
    os.mkfifo(timings / "lab-full.json")
    (timings / "lab-adept.json").write_text(NESTED)
    for command in (
        ("show",),
        ("claims",),
        ("figures", "--only", "main_table", "--output", str(output)),
        ("report", "--output", str(output / "report.html")),
    ):
        out, log = _run(capsys, *command, "--results", str(results))
        for words, path in said.items():
            (line,) = [line for line in log if f"{path}:" in line]
            assert "left out: " in line, command
            assert words.rstrip(";(I ") in line, command
        if command[0] in ("claims", "report"):
            assert len([line for line in log if str(timings) in line]) == 2
        assert len([line for line in log if "left out: " in line]) <= len(said) + 2
        if command[0] == "show":
            assert "full" in out
            assert "vanilla" in out
    assert list(output.rglob("*main_table*"))
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "left out: lab/math/of-a-fifo-seed1.json" in page


def test_a_cell_whose_fields_have_other_types_is_left_out_or_shown(results, tmp_path_factory, capsys):
    """Every field with values of every type: what is accepted is in the table, what is not is named; all ends well."""
    folder, seed, refused, kept = results / "lab" / "math", 0, [], []
    for field in Cell.model_fields:
        for value in OTHERS:
            seed += 1
            path = folder / f"full-seed{seed}.json"
            path.write_text(_with(field, value, seed), encoding="utf-8")
            reason = _refusal(Store(results).read, path)
            assert reason.isprintable()
            if reason:
                refused.append(path)
            else:
                kept.append(seed)
    # what is free in form stays so: the empty config, and further keys
    assert 10 < len(kept) < len(refused)
    for command in (
        ("show", "--format", "json"),
        ("claims",),
        ("figures", "--only", "losses", "--output", str(tmp_path_factory.mktemp("output"))),
    ):
        out, log = _run(capsys, *command, "--results", str(results))
        assert [line.partition("left out: ")[2].partition(":")[0] for line in log if "left out: " in line] == [
            str(path) for path in sorted(refused)
        ]
        if command[0] == "show":
            (table,) = json.loads(out)["tables"]
            rows = {row["method"]: row["seeds"] for row in table["rows"]}
            assert rows["full"] == sorted([0, *kept])


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"options": []}},
        {"config": {"options": {"k": "two"}}},
        {"config": {"options": {"k": 10**30}}},
        {"config": {"data": "lab:general"}},
        {"config": {"identity": ["model"]}},
        {"probe": {"layers_general": {"importance": "abc", "metric": "masking"}}},
        {"probe": {"layers_general": {"importance": [1, None], "metric": "masking"}}},
        {"method_definition": {"trained_layers": 3}},
        {"method_definition": {"trained_layers": ["x", 1]}},
        {"certificate": {"tolerance": "small"}},
        {"certificate": {"max_logit_difference": 10**400}},
    ],
)
def test_what_figures_and_claims_read_of_a_free_block_has_a_type(results, change):
    """Named by its dotted place, so that it can be found in the file."""
    path = results / GOOD[1]
    cell = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**cell, **change}), encoding="utf-8")
    ((name, block),) = change.items()
    with pytest.raises(InputError, match=rf"full-seed0.json: .*{name}\.{next(iter(block))}"):
        Store(results).read(path)


def test_a_link_to_a_cell_is_a_cell(results, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.json"
    path = (results / GOOD[1]).rename(elsewhere)
    (results / GOOD[1]).symlink_to(path)
    assert Store(results).read(results / GOOD[1]).method == "full"


def test_what_is_neither_file_nor_folder_makes_room_for_the_cell(results):
    """A run stores its own result there; the link is kept beside it."""
    path = results / "lab" / "math" / "lora-seed0.json"
    path.symlink_to("/dev/zero")
    assert Store(results).valid("lab", "math", "lora", 0) is None
    assert path.with_name("lora-seed0.json.damaged-1").is_symlink()


def test_a_timing_of_other_types_is_refused_by_name(tmp_path):
    source = next((STORED / "timing").rglob("*.json"))
    timing = json.loads(source.read_text(encoding="utf-8"))
    path = tmp_path / "lab-full.json"
    for field in timing:
        for value in OTHERS:
            path.write_text(json.dumps({**timing, field: value}), encoding="utf-8")
            reason = _refusal(read_timing, path)
            assert not reason or (reason.startswith(f"{path}: ") and field in reason)
