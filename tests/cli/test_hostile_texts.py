"""Whole commands over results whose free texts are hostile: terminal, pictures, tables and page stay what they are."""

from __future__ import annotations

import csv
import runpy
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from adept_bench.__main__ import main
from adept_bench.figures.registry import FIGURES
from adept_bench.report import drawn, gather
from adept_bench.results.store import Store

example = runpy.run_path(str(Path(__file__).parents[1] / "results" / "example_cell.py"))["example"]
TEXT = '\x1b[31m$$ =HYPERLINK("x") **x** <b> ^^5c | ]]> \u202e\x00 $\\frac'
DRAWN = ("main_table", "training_curves", "unit_rates", "unit_importance", "token_shift", "sensitivity")


def _cell(method: str, seed: int) -> dict:
    cell = example(method, seed)
    cell["provenance"] |= {"device": TEXT, "python": TEXT, "versions": {TEXT: TEXT}}
    cell["model"] |= {"source": TEXT, "revision": TEXT}
    cell["config"] |= {"data": {"probe": TEXT}, "options": {"k": 2}}
    cell["config"]["training"]["schedule"] = TEXT
    if cell["learning_rate"]:
        cell["learning_rate"] |= {"criterion": TEXT, "differs": [TEXT]}
    cell["training"]["curve"] += [{"step": 200, "loss": 1.5, "learning_rate": 1e-5}] if method != "vanilla" else []
    for refresh in cell["training"]["refreshes"]:
        for unit in refresh["units"]:
            unit["name"] += TEXT
    if method == "adept-k1":
        cell["variant"] = {"of": "adept", "about": TEXT, "settings": {"data.probe": TEXT, "options.k": 1}}
        cell["config"]["options"]["k"] = 1
    if method in ("vanilla", "adept"):
        names = [f"model.layers.{layer}.mlp.{part}{TEXT}.weight" for layer in (0, 1) for part in ("up", "down")]
        units = {"name": names, "layer": [0, 0, 1, 1], "norm": [False] * 4, "importance": [0.1, 2.0, 30.0, 4.0]}
        shift = {"positions": 9, "unshifted": 3, "marginal": 3, "shifted": 3}
        tokens = [{"token": token, "shifted": 1, "positions": 2} for token in (TEXT, "=1+1", "$$")]
        cell["analyses"] = {
            "units": [{"corpus": "general", "elements": [4] * 4, **units}],
            "token_shift": [{"corpus": "general", "tokens": tokens, **shift}] if method == "adept" else [],
        }
    return cell


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for method in ("vanilla", "full", "adept", "adept-k1"):
        for seed in (0, 1):
            Store(folder).write(_cell(method, seed))
    return folder


@pytest.mark.parametrize("format", ["table", "markdown", "json"])
@pytest.mark.parametrize("command", ["show", "claims"])
def test_nothing_unseen_reaches_the_terminal(results, capsys, command, format):
    assert main([command, "--results", str(results), "--format", format]) == 0
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    if format == "markdown":
        assert "<b>" not in said.out.replace("\\<b>", "")


@pytest.mark.filterwarnings("error:Glyph")
def test_figures_are_drawn_and_well_formed(results, tmp_path, capsys):
    assert main(["figures", "--results", str(results), "--output", str(tmp_path), "--only", ",".join(DRAWN)]) == 0
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    place = tmp_path / "lab" / "medical"
    assert {path.stem for path in place.glob("*.csv")} == set(DRAWN)
    for path in place.glob("*.svg"):
        ElementTree.parse(path)
    for path in place.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "@"))]
    for path in place.glob("*.tex"):
        assert "^^" not in path.read_text(encoding="utf-8")


def test_the_page_has_no_markup_of_theirs(results, tmp_path, capsys, monkeypatch):
    few = {name: FIGURES[name] for name in ("main_table", "token_shift")}  # all of them take long
    monkeypatch.setattr(drawn, "FIGURES", few)
    monkeypatch.setattr(gather, "FIGURES", few)
    tags, text = set(), []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)

        def handle_data(self, data):
            text.append(data)

    path = tmp_path / "page.html"
    assert main(["report", "--results", str(results), "--output", str(path), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    reader = Reader(convert_charrefs=True)
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert "b" not in tags
    shown = TEXT.replace("\x1b", "\\u001b").replace("\u202e", "\\u202e").replace("\x00", "\\u0000")
    assert shown in "".join(text)
    assert not set("\x1b\u202e\x00") & set("".join(text))
