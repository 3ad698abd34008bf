"""`adept-bench report` as it is called."""

from __future__ import annotations

import pytest

from adept_bench.__main__ import main
from adept_bench.figures.base import FigureKind
from adept_bench.report import drawn, gather


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    for module in (drawn, gather):
        monkeypatch.setattr(module, "FIGURES", {})


def test_writes_a_page(stored, tmp_path, capsys):
    output = tmp_path / "report.html"
    assert main(["report", "--results", str(stored()), "--output", str(output)]) == 0
    assert output.read_text(encoding="utf-8").startswith('<!DOCTYPE html>\n<html lang="en">')
    out, err = capsys.readouterr()
    assert out == ""
    assert f"wrote {output}" in err
    assert "drawing" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "none/report.html"], "--output: none does not exist"),
        (["--output", "."], "--output: . is a folder"),
        (["--output", "r.html", "--preset", "labb"], "did you mean 'lab'"),
        (["--output", "r.html", "--results", "none"], "--results: no folder 'none'"),
        ([], "--output"),
    ],
)
def test_bad_input_is_one_line_and_code_2(stored, tmp_path, monkeypatch, capsys, arguments, message):
    stored()
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--quiet", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "r.html").exists()


def test_output_is_checked_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gather, "gather", lambda *_: pytest.fail("worked"))
    assert main(["report", "--output", str(tmp_path / "none" / "report.html")]) == 2


def test_nothing_valid_is_lost_where_nothing_can_be_shown(tmp_path, capsys):
    output = tmp_path / "report.html"
    output.write_text('<meta name="generator" content="adept-bench 1.0">before')
    (tmp_path / "results" / "lab" / "medical").mkdir(parents=True)
    (tmp_path / "results" / "lab" / "medical" / "full-seed0.json").write_text("{")
    assert main(["report", "--quiet", "--results", str(tmp_path / "results"), "--output", str(output)]) == 2
    assert "full-seed0.json:1: broken JSON" in capsys.readouterr().err
    assert output.read_text().endswith(">before")


def test_an_error_of_ours_costs_its_part_and_code_1(stored, tmp_path, monkeypatch, capsys):
    def broken(cells):
        raise ZeroDivisionError("of ours")

    for module in (drawn, gather):
        monkeypatch.setattr(module, "FIGURES", {"one": FigureKind("one", "One", "ours", broken)})
    output = tmp_path / "report.html"
    assert main(["report", "--results", str(stored()), "--output", str(output)]) == 1
    assert "One (one): unexpected ZeroDivisionError" in output.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in capsys.readouterr().err
