"""Folders that are written: checked before the work, and where a disk is full one line and nothing left."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from full_disks import files_of_at_most
from safetensors.torch import save_file

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.files import not_written
from adept_bench.models.folders import new_folder
from adept_bench.outputs import check_new_folder


def commands(model: Path, texts: Any, output: Path) -> dict[str, list[str]]:
    sets = {"training.tokens": 4 * 2 * 32, "training.length": 32, "training.batch_size": 2, "data.probe_documents": 4}
    more = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    own, to = ["--model", str(model)], ["--output", str(output), "--quiet"]
    return {
        "expand by logits": ["expand", *own, *to, "--layers", "1", "--certify", "logits"],
        "expand by tensors": ["expand", *own, *to, "--layers", "1", "--certify", "tensors"],
        "adapt": ["adapt", *own, *to, "--corpus", str(texts[0]), "--method", "full", *more],
        "merge": ["merge", "--models", f"{model},{model}", *to],
    }


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit on the size of files here")
@pytest.mark.parametrize("command", [*commands(Path(), ("", ""), Path())])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    command: str, tiny_model: Path, texts: Any, tmp_path: Path, capsys: Any
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    (model / "expansion.json").write_text('{"base_hash": "x", "base_layers": 4, "layers": []}')
    size = (model / "model.safetensors").stat().st_size
    capsys.readouterr()
    with files_of_at_most(size // 2):
        assert main(commands(model, texts, tmp_path / "o")[command]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert error.startswith("--output: cannot write ")
    assert str(tmp_path) in error
    assert not (tmp_path / "o").exists()
    assert not list(tmp_path.glob("*.tmp"))
    if command == "adapt":  # what is finished is kept, and the same command goes on
        assert main(commands(model, texts, tmp_path / "o")[command]) == 0
    assert {path.name for path in tmp_path.iterdir()} <= {"m", "o"}


@pytest.mark.parametrize("command", [*commands(Path(), ("", ""), Path())])
def test_too_little_room_is_said_before_the_work(
    command: str, tiny_model: Path, texts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    (model / "expansion.json").write_text('{"base_hash": "x", "base_layers": 4, "layers": []}')
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    capsys.readouterr()
    assert main(commands(model, texts, tmp_path / "o")[command]) == 2
    assert capsys.readouterr().err.startswith(f"--output: {tmp_path} has 0.0 GiB free; ")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


def almost_too_long(folder: Path) -> Path:
    return folder / ("x" * 250)  # a name that a folder may have, and the temporary one beside it may not


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "o"


@pytest.mark.parametrize("where", [too_long, almost_too_long, below_a_file])
def test_what_could_not_become_the_output_is_said_before_the_work(
    where: Callable[[Path], Path], tmp_path: Path
) -> None:
    output = where(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"^--output: cannot write .*(name too long|file is a file)") as raised:
        check_new_folder(output)
    assert len(str(raised.value)) < 400
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_is_not_replaced() -> None:
    with pytest.raises(InputError, match=r"is where a disk is mounted|is not empty"):
        check_new_folder("/proc")


def plain(path: Path) -> None:
    path.write_bytes(b"0" * 9000)


def test_what_libraries_say_of_a_full_disk(tmp_path: Path) -> None:
    """Their own errors, as they are raised where the system refuses."""
    tensors = {"a": torch.zeros(5000)}
    errors: list[BaseException] = []
    with files_of_at_most(4096):
        for write in (partial(save_file, tensors), partial(torch.save, tensors), plain):
            with pytest.raises(Exception) as raised:  # noqa: PT011
                write(tmp_path / "f")
            errors.append(raised.value)
    assert [not_written(error) is not None for error in errors] == [True, True, True]
    assert not_written(OSError(errno.ENOSPC, "")) == "No space left on device"
    assert not_written(FileNotFoundError(errno.ENOENT, "no")) is None
    assert not_written(ValueError("another")) is None


def test_another_error_passes_and_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "o") as temporary:
            (temporary / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
