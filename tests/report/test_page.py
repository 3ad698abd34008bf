"""The whole page: well-formed HTML that needs nothing else, of whatever results there are."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from adept_bench.errors import InputError
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table
from adept_bench.figures.tabular import Best, Second
from adept_bench.report import drawn, gather, images
from adept_bench.report.gather import gather as gathered
from adept_bench.report.page import SECTIONS, page

SCRIPT = "<script>alert('x')</script>"
NAME = "<img src=x onerror=alert(1)>"
IMAGE = '"><img src="http://foreign.example/x.png" onerror="alert(1)">'


def _figure(large=False):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2))
    axes = figure.subplots()
    axes.plot(range(4500 if large else 3), [1, 2, 1] * (1500 if large else 1), marker="o", linestyle="none")
    return figure


def _plain(cells):
    return Drawing(Table(["x"], [[1]]), f"Caption {SCRIPT}", cells, figure=_figure(), notes=[IMAGE])


def _large(cells):
    return Drawing(Table(["x"], [[1]]), "Many points.", cells, figure=_figure(large=True))


def _table(cells):
    rows = [
        ["adept", Best("1.5"), Second("2.0"), None],
        ["**x**", "**1.0**", "<u>1.0</u>", None],
        [IMAGE, "3.0", "4.0", 0.123456],
    ]
    return Drawing(Table(["x"], [[1]]), "A table.", cells, shown=Table(["method", "a", "b", "c"], rows))


def _missing(cells):
    raise MissingError("no cell has analyses")


def _broken(cells):
    raise KeyError("of ours")


@pytest.fixture
def kinds(monkeypatch):
    """Two pictures, a table, one that lacks data and one that fails, in place of the registry."""
    draws = {"plain": _plain, "large": _large, "table": _table, "missing": _missing, "broken": _broken}
    found = {name: FigureKind(name, f"Title of {name}", "ours", draw) for name, draw in draws.items()}
    monkeypatch.setattr(drawn, "FIGURES", found)
    monkeypatch.setattr(gather, "FIGURES", found)
    return found


@pytest.fixture
def results(stored):
    for seed in (0, 1):
        for method in ("vanilla", "full", "adept"):
            folder = stored(method, seed)
    stored("full", suite="math")
    return folder


def test_real_results_make_a_well_formed_page_that_needs_nothing_else(real_page, outline):
    text = real_page.read_text(encoding="utf-8")
    found = outline(text)
    assert found.tags[0] == ("html", {"lang": "en"})
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all("meta")
    assert len(text.encode()) < 12e6
    # nothing is fetched: images are in the page, links stay in it, and no element is there that could load or run
    assert all(one["src"].startswith("data:image/") for one in found.all("img"))
    assert all(one["href"].startswith("#") for one in found.all("a"))
    assert not {name for name, _ in found.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not [key for _, attributes in found.tags for key in attributes if key.startswith("on")]
    assert not re.findall(r"url\(|@import", text.split("</style>")[0])
    assert "<" not in text.split("<style>")[1].split("</style>")[0]


def test_real_results_have_all_sections_and_headings_in_order(real_page, outline):
    found = outline(real_page.read_text(encoding="utf-8"))
    assert [title for level, title in found.headings if level == 2] == [one.title for one in SECTIONS]
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {one["href"][1:] for one in found.all("a")} <= set(ids)
    assert {one["aria-labelledby"] for one in found.all("section")} <= set(ids)


def test_tables_and_figures_are_described(real_page, outline):
    text = real_page.read_text(encoding="utf-8")
    found = outline(text)
    tables, figures = text.count("<table"), text.count("<figure")
    assert tables == text.count("<caption>") > 4
    assert figures == text.count("<figcaption>") > 2
    assert all(one["scope"] in {"row", "col", "rowgroup"} for one in found.all("th"))
    assert all(len(one["alt"]) > 40 and int(one["width"]) and int(one["height"]) for one in found.all("img"))


def test_the_headline_is_what_the_files_say(real_page):
    """Computed here from the files alone: mean over seeds of the difference of mean answers."""
    folder = Path(__file__).parents[2] / "results" / "lab" / "medical"
    seeds = sorted(int(file.stem.rpartition("seed")[2]) for file in folder.glob("adept-seed*.json"))

    def mean(method, seed):
        tasks = json.loads((folder / f"{method}-seed{seed}.json").read_text())["tasks"].values()
        shares = [sum(task["items"]) / len(task["items"]) for task in tasks if task["group"] == "general"]
        return 100 * sum(shares) / len(shares)

    difference = sum(mean("adept", seed) - mean("full", seed) for seed in seeds) / len(seeds)
    score = sum(mean("adept", seed) for seed in seeds) / len(seeds)
    rows = [part.split("</tr>")[0] for part in real_page.read_text(encoding="utf-8").split(">general</th>")[1:]]
    assert any(f">{score:.1f}<" in row and f">{difference:+.1f} [" in row for row in rows)


def test_images_decode(results, kinds, outline):
    sources = [one["src"] for one in outline(page(gathered(results))).all("img")]
    assert len(sources) == 4  # two pictures of two suites
    kinds_seen = set()
    for source in sources:
        head, data = source.split(",", 1)
        kinds_seen.add(head)
        if "svg" in head:
            root = ElementTree.fromstring(unquote(data))
            assert root.tag.endswith("svg")
            assert "#" not in data
        else:
            raw = base64.b64decode(data, validate=True)
            assert raw.startswith(b"\x89PNG\r\n\x1a\n")
            assert struct.unpack(">II", raw[16:24]) == (4 * images.DPI, 2 * images.DPI)
    assert kinds_seen == {"data:image/svg+xml;charset=utf-8", "data:image/png;base64"}


def test_foreign_strings_are_text(stored, kinds, outline):
    def foreign(cell):
        cell["provenance"]["device"] = IMAGE
        cell["provenance"]["versions"][SCRIPT] = "1\x07\u202e"
        cell["learning_rate"]["criterion"] = IMAGE
        cell["config"]["training"]["schedule"] = SCRIPT
        cell["config"]["identity"][SCRIPT] = IMAGE
        cell["provenance"]["git_revision"] = NAME
        cell["learning_rate"]["differs"] = ["<u>'\"&setting", "p&lt;", "<i>task</i>"]

    stored("adept", change=foreign)
    results = stored("full")
    text = page(gathered(results))
    found = outline(text)
    assert not [one for one in found.all("img") if not one["src"].startswith("data:image/")]
    assert not found.all("script")
    assert not found.all("i")
    for word in (IMAGE, SCRIPT, NAME, "<u>'\"&setting", "p&lt;", "1\\u0007\\u202e"):
        assert word in found.text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_the_table_marks_best_and_second_and_aligns_numbers(results, kinds):
    text = page(gathered(results))
    assert "><strong>1.5</strong></td>" in text
    assert "><u>2.0</u></td>" in text
    assert '<td class="number">0.1235</td>' in text
    assert ">**1.0**</td>" in text  # what looks like a mark is text


def test_what_is_lost_is_named_and_the_rest_shown(results, kinds, outline):
    (results / "lab" / "medical" / "replay-seed0.json").write_text("{broken")
    (results / "lab" / "medical" / "lora-seed0.json").write_bytes(b"\xff\xfe")
    (results / "lab" / "math" / "adept-seed0.json").write_text('{"schema_version": 99}')
    material = gathered(results)
    text = outline(page(material)).text
    for word in ("replay-seed0.json", "lora-seed0.json", "schema_version 99", "no cell has analyses", "KeyError"):
        assert word in text
    assert str(results) not in text
    assert "llama-pro: no result" in text  # the suite asks for it
    assert "full: no result of seed 1" not in text
    assert len(material.faults) == 2  # the broken figure, in two suites
    assert "Title of plain" in text


def test_one_lonely_cell_makes_a_page(stored, kinds, outline):
    text = outline(page(gathered(stored("vanilla")))).text
    assert "No stored result holds an expansion certificate" in text
    assert "No result here says how its learning rate was chosen" in text


def test_nothing_to_show_is_an_input_error(tmp_path, stored, kinds):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="--results"):
            gathered(folder)
    with pytest.raises(InputError, match="did you mean 'lab'"):
        gathered(stored(), "labb")


def test_a_preset_alone(results, stored, kinds, outline):
    stored("full", preset="second-world")
    assert {pair.preset for pair in gathered(results).pairs} == {"lab", "second-world"}
    assert "second-world" not in outline(page(gathered(results, "lab"))).text


def test_equal_results_make_equal_pages(results, kinds):
    assert page(gathered(results)) == page(gathered(results))


def test_in_one_process_and_in_several_the_same(results, kinds, monkeypatch):
    several = page(gathered(results))
    monkeypatch.setattr(drawn, "MANY", 10_000)
    assert page(gathered(results)) == several


def test_certificates_count_what_holds_and_name_what_does_not(stored, kinds, outline):
    whole = {"logits_equal": True, "max_logit_difference": 2e-6, "tolerance": 2e-4, "frozen_identical": True}
    for seed, changes in enumerate(({}, {"frozen_identical": False}, {"max_logit_difference": 1e-4})):
        results = stored("adept", seed, lambda cell, one=changes: cell.update(certificate={**whole, **one}))
    found = outline(page(gathered(results)))
    assert "medical on lab, adept, seed 1: not frozen weights bit-identical" in found.text
    assert "3 results hold a certificate; 1 check fails" in found.text
    row = page(gathered(results)).split("medical on lab: adept</th>")[1].split("</tr>")[0]
    cells = re.findall(r"<td[^>]*>(?:<span[^>]*>)?([^<]*)", row)
    assert cells == ["3", "3 of 3", "–", "–", "2 of 3, fails", "–", "0.0001", "50%"]


def test_no_torch_is_imported():
    code = (
        "import sys, adept_bench.report.page, adept_bench.report.gather, adept_bench.cli.report\n"
        "print({'torch', 'transformers', 'lm_eval', 'datasets'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
