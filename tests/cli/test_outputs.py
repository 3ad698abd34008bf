"""One rule for what commands write: nothing of the user's is replaced, and what cannot be written is said first."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.cluster.slurm import Runs, write_slurm
from adept_bench.errors import InputError
from adept_bench.files import write_whole
from adept_bench.outputs import EVALUATION, LAYERS, REPORT, UNITS, FileOutput, Ours, check_folder, check_new_folder

LAYER_REPORT = {"metric": "masking", "model": "m", "corpus": {}, "base_loss": 1.0, "layers": [], "lowest": []}
UNIT_REPORT = {"model": "m", "corpus": {}, "normalize": "all", "units": []}
EVALUATED = {"model": {}, "suite": "s", "preset": "p", "tasks": {}, "losses": {}}
CELL = EVALUATED | {"schema_version": 1}
PAGE = '<!DOCTYPE html>\n<html lang="en"><head><meta name="generator" content="adept-bench 1.0">'

# every command that writes a file; what it reads does not exist, so that it fails after its output is checked
FILES = {
    "report": "report --results none",
    "eval": "eval --suite none.yaml --model /no/model",
    "probe layers": "probe layers --corpus none.txt --model /no/model",
    "probe units": "probe units --corpus none.txt --model /no/model",
}
FOLDERS = {
    "adapt": "adapt --corpus none.txt --model /no/model",
    "expand": "expand --layers 1 --model /no/model",
    "merge": "merge --models /no/a,/no/b",
    "figures": "figures --results none",
    "lab": "lab build",
}
SLURM = "plan --suite medical --slurm"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert len(err) < 500
    return err


def link(path: Path) -> None:
    target = path.with_name("precious.txt")
    target.write_text("all of it")
    path.symlink_to(target)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def listening(path: Path) -> None:
    os.chdir(path.parent)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.lstat().st_mode, path.lstat().st_ino) for path in folder.iterdir()}


THINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a pipe"),
    "link": (link, "a symbolic link"),
    "dangling link": (dangling, "a symbolic link"),
    "socket": (listening, "a socket"),
    "folder": (Path.mkdir, "is a folder"),
}


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("command", FILES)
def test_only_a_regular_file_is_replaced(command, thing, force, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, words = THINGS[thing]
    make(tmp_path / "o")
    before = identities(tmp_path)
    assert main([*FILES[command].split(), "--output", str(tmp_path / "o"), *force]) == 2
    assert words in said(capsys)
    assert identities(tmp_path) == before


@pytest.mark.parametrize("command", FILES)
def test_a_device_is_refused_before_it_is_opened(command, capsys):
    """/dev/full would say so to whoever writes to it, and a file put in its place would be there afterwards."""
    before = os.lstat("/dev/full")
    assert main([*FILES[command].split(), "--output", "/dev/full", "--force"]) == 2
    assert "/dev/full is a device" in said(capsys)
    assert os.lstat("/dev/full").st_rdev == before.st_rdev


@pytest.mark.parametrize("command", FILES)
@pytest.mark.parametrize("content", ["", "<html>my thesis</html>", json.dumps(CELL), "{}", "[" * 50_000, "\x00\xff"])
def test_a_file_of_the_users_needs_force(command, content, tmp_path, capsys):
    (tmp_path / "thesis.html").write_text(content)
    assert main([*FILES[command].split(), "--output", str(tmp_path / "thesis.html")]) == 2
    line = said(capsys)
    assert "thesis.html is there" in line
    assert "--force" in line
    assert main([*FILES[command].split(), "--output", str(tmp_path / "thesis.html"), "--force"]) == 2
    assert "--output" not in said(capsys)  # but what it was to read
    assert (tmp_path / "thesis.html").read_text() == content


@pytest.mark.parametrize(
    ("ours", "content"),
    [(LAYERS, LAYER_REPORT), (UNITS, UNIT_REPORT), (EVALUATION, EVALUATED), (REPORT, PAGE)],
)
def test_what_the_same_command_wrote_is_replaced(ours: Ours, content: object, tmp_path: Path) -> None:
    path = tmp_path / "o"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    output = FileOutput(path, ours)
    output.check()
    output.write("new")
    assert path.read_text() == "new"
    with pytest.raises(InputError, match="is there"):  # it is not ours any more
        output.write("newer")


def test_an_input_is_never_the_output(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "eval.json"):
        (model / name).write_text(json.dumps(EVALUATED) if name == "eval.json" else "{}")
    with pytest.raises(InputError, match="is an input"):
        FileOutput(model / "config.json", UNITS, True, [model / "config.json"]).check()
    with pytest.raises(InputError, match="is part of an input"):  # force or not
        FileOutput(model / "config.json", EVALUATION, True, [str(model)]).check()
    for name in ("eval.json", "new.json"):  # a result beside the weights is no harm
        FileOutput(model / name, EVALUATION, False, [model, "a/hub-id", "pip:x==1#y", "\0", "~nobody/x"]).check()


def long(folder: Path) -> Path:
    return folder / ("x" * 300)


def long_below(folder: Path) -> Path:
    return folder / ("x" * 300) / "o"


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "o"


def nowhere(folder: Path) -> Path:
    return Path("/proc/none/o")  # where nobody can write


@pytest.mark.parametrize("where", [long, long_below, below_a_file, nowhere])
@pytest.mark.parametrize("command", [*FILES, *FOLDERS, "slurm"])
def test_what_cannot_be_written_is_one_line_before_the_work(command, where, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = str(where(tmp_path))
    before = sorted(tmp_path.iterdir())
    words = (
        [*SLURM.split(), output] if command == "slurm" else [*(FILES | FOLDERS)[command].split(), "--output", output]
    )
    assert main(words) == 2
    assert said(capsys).startswith("--slurm: " if command == "slurm" else "--output: ")
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        FileOutput(tmp_path / name, UNITS).check()
        write_whole(tmp_path / name, "x")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("in/deep", "inner", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "in" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    return tmp_path


@pytest.mark.parametrize(
    ("output", "given", "refused"),
    [
        ("in", "in", True),
        ("in/deep", "in", True),
        ("in/new/er", "in", True),
        ("link/new", "in", True),
        ("in/new", "link", True),
        ("in/deep/../new", "in/.", True),
        (".", "in", True),
        ("in", "in/file", True),
        ("inner/new", "in", False),
        ("in/deep", "in/file", False),
        ("empty", "in", False),
        ("in2", "in", False),
    ],
)
def test_folders_apart(output: str, given: str, refused: bool, places: Path) -> None:
    for check in (check_folder, check_new_folder):
        if refused:
            with pytest.raises(InputError, match="an input of this command"):
                check(places / output, [str(places / given)])
        else:
            check(places / output, [str(places / given)])
    assert sorted(path.name for path in places.iterdir()) == ["empty", "in", "inner", "link"]


def test_job_files_of_the_users_are_kept(tmp_path, capsys):
    folder, runs = tmp_path / "jobs", Runs("medical", ["full"], [0], tmp_path)
    write_slurm(runs, folder)
    write_slurm(runs, folder)  # its own are written again
    (folder / "submit.sh").write_text("my own")
    assert main([*SLURM.split(), str(folder)]) == 2
    assert "submit.sh is there" in said(capsys)
    assert (folder / "submit.sh").read_text() == "my own"
    write_slurm(runs, folder, force=True)
    assert "sbatch" in (folder / "submit.sh").read_text()


@pytest.mark.parametrize("name", ["thesis.txt", "base-0/thesis.txt", "corpora/general.jsonl", "items"])
def test_lab_build_goes_only_where_nothing_else_is(name, tmp_path, capsys):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("all of it")
    assert main(["lab", "build", "--output", str(tmp_path)]) == 2
    line = said(capsys)
    assert line.startswith("--output: ")
    assert str(tmp_path) in line
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [name]
