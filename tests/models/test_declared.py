"""What a configuration alone shows to be wrong is said before there is a weight, a corpus or a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adept_bench.__main__ import main
from adept_bench.models.declared import declared_layers


@pytest.fixture
def described(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of 4 layers of which only the configuration is there."""
    folder = tmp_path / "described"
    folder.mkdir()
    shutil.copy(tiny_model / "config.json", folder)
    monkeypatch.chdir(tmp_path)
    return folder


LAYERS = [
    ("expand --model described --output o --layers 1,5", "--layers: 5 is out of range; expected 0 to 3"),
    ("expand --model described --output o --layers 1,1", "--layers: 1 is given twice; expected each layer once"),
    ("expand --model described --output o --layers=-1", "--layers: '-1' is not a whole number from 0"),
    ("expand --model described --output o --select uniform --k 5", "--k: 5; expected 1 to 4"),
    ("probe units --model described --corpus none.txt --layers 0,4", "--layers: 4 is no layer of this model; "),
    (
        "run --suite medical --model described --methods vanilla,adept --set options.layers=[1,4]",
        "options.layers: 4 is not a layer; expected 0 to 3",
    ),
    (
        "run --suite medical --model described --methods frozen --set options.k=5",
        "options.k: 5 layers asked for; expected 1 to 4",
    ),
    (
        "run --suite medical --model described --methods vanilla --set analyses.activation_layers=[4]",
        "analyses.activation_layers: 4 is not a layer; expected 0 to 3",
    ),
]


@pytest.mark.parametrize(("line", "said"), LAYERS)
def test_layers_that_the_model_has_not_are_refused_from_its_configuration(
    line: str, said: str, described: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line.split(), "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert [path.name for path in described.parent.iterdir()] == ["described"]


def test_a_configuration_that_cannot_be_read_is_left_to_the_load(described: Path) -> None:
    assert declared_layers(str(described)) == 4
    (described / "config.json").write_text("{")
    assert declared_layers(str(described)) is None


def test_adapt_refuses_layers_before_it_measures(
    tiny_model: Path, texts: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["adapt", "--model", str(tiny_model), "--corpus", str(texts[0]), "--probe-corpus", str(texts[1])]
    for setting, said in (("layers=[0,4]", "options.layers: 4 is not a layer"), ("k=5", "options.k: 5 layers")):
        assert main([*call, "--set", f"options.{setting}", "--output", str(tmp_path / "o")]) == 2
        assert capsys.readouterr().err.startswith(said)
    assert list(tmp_path.iterdir()) == []


SEEDS = [
    ("run --suite s.yaml", "s.yaml:3: seeds.1: 4294967296 is not valid; expected less than or equal to 4294967295"),
    ("run --suite medical --set selection.seed=4294967296", "--set: selection.seed: 4294967296 is not valid"),
    ("adapt --model m --corpus f --output o --seed 4294967296", "adept-bench adapt: Invalid value for '--seed'"),
]


@pytest.mark.parametrize(("line", "said"), SEEDS)
def test_seeds_that_generators_do_not_take_are_refused_as_they_are_read(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text("domain: medical\nmethods: [vanilla]\nseeds: [4294967295, 4294967296]\n")
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]
