"""Files of a figure: the same bytes for the same cells, sources inside, and no pyplot."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from adept_bench.errors import InputError
from adept_bench.figures import export as exporting
from adept_bench.figures import manifest
from adept_bench.figures.base import Drawing, FigureKind, Table
from adept_bench.figures.collect import collect
from adept_bench.figures.export import Exported, export
from adept_bench.figures.registry import FIGURES

ALL = ("png", "svg", "pdf")
KINDS = ["main_table", "retention", "gains", "losses", "cost"]


@pytest.fixture
def pair(results):
    (found,) = collect(results)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_bytes_depend_on_the_results_alone(pair, results, tmp_path, name):
    first = export(FIGURES[name], pair, ALL)
    moved = tmp_path / "elsewhere"
    shutil.copytree(results, moved)
    for path in moved.rglob("*.json"):
        path.touch()
    second = export(FIGURES[name], collect(moved)[0], ALL)
    endings = {file.rpartition(".")[2] for file in first.files}
    assert {*ALL, "csv"} <= endings
    assert ({"md", "tex"} <= endings) == (name == "main_table")
    assert first == second


def test_sources_are_exactly_the_files_drawn_from(pair, results):
    for name in KINDS:
        sources = export(FIGURES[name], pair, ("png",)).sources
        methods = ("full", "adept") if name == "cost" else ("vanilla", "full", "adept")
        expected = {f"lab/medical/{method}-seed{seed}.json" for method in methods for seed in (0, 1)}
        assert set(sources) == expected
        for file, digest in sources.items():
            assert hashlib.sha256((results / file).read_bytes()).hexdigest() == digest


def test_sources_are_in_the_pictures(pair):
    one = export(FIGURES["gains"], pair, ALL)
    png = Image.open(io.BytesIO(one.files["gains.png"]))
    assert all(name in png.text["Description"] for name in one.sources)
    assert png.text["Title"] == "Gains over full CPT, medical on lab"
    assert png.size[0] > 1000
    assert png.getpixel((2, png.size[1] - 2)) == Image.open(io.BytesIO(one.files["gains.png"])).getpixel((2, 2))
    svg = one.files["gains.svg"].decode()
    text = " ".join(ET.fromstring(svg).itertext())
    assert all(name in text for name in one.sources)
    assert "<dc:date>" not in svg
    assert b"CreationDate" not in one.files["gains.pdf"]
    assert b"adept-seed0.json" in one.files["gains.pdf"].replace(b"\\\n", b"")


def test_the_palette_keeps_the_colours_of_methods(pair):
    image = Image.open(io.BytesIO(export(FIGURES["retention"], pair, ("png",)).files["retention.png"])).convert("RGB")
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert {(255, 255, 255), (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)} <= colours


def test_foreign_cells_cannot_be_a_source(pair, invented):
    strangers = invented("full", suite="math")
    kind = FigureKind("x", "X", "ours", lambda cells: Drawing(Table(["a"], []), "", strangers))
    with pytest.raises(InputError, match="math/full-seed0"):
        export(kind, pair)


def test_no_pyplot():
    import subprocess
    import sys

    code = (
        "import sys; from adept_bench.figures.registry import FIGURES; from adept_bench.figures import render;"
        "print([name for name in ('matplotlib.pyplot', 'torch', 'transformers', 'seaborn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def made(name="a", place="lab/medical", files=None, sources=None, **changes):
    values = {"title": "A", "paper": "ours", "caption": "c", "notes": [], "matplotlib": "3"} | changes
    files = {f"{name}.png": b"1", f"{name}.csv": b"2"} if files is None else files
    return Exported(name=name, place=place, files=files, sources=sources or {"lab/medical/x-seed0.json": "h"}, **values)


def listed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_manifest_says_what_there_is(tmp_path):
    written, removed = manifest.update(tmp_path, [made()], {"lab/medical/b": "no cell"}, True)
    assert sorted(written) == listed(tmp_path) == ["lab/medical/a.csv", "lab/medical/a.png", "manifest.json"]
    assert removed == []
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["missing"] == {"lab/medical/b": "no cell"}
    entry = content["figures"]["lab/medical/a"]
    assert entry["files"] == {"a.png": hashlib.sha256(b"1").hexdigest(), "a.csv": hashlib.sha256(b"2").hexdigest()}
    assert entry["sources"] == {"lab/medical/x-seed0.json": "h"}


def test_what_does_not_change_is_not_touched(tmp_path):
    manifest.update(tmp_path, [made()], {}, True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert manifest.update(tmp_path, [made()], {}, True) == ([], [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    written, _ = manifest.update(tmp_path, [made(files={"a.png": b"new", "a.csv": b"2"})], {}, True)
    assert written == ["lab/medical/a.png", "manifest.json"]


def test_a_restricted_render_keeps_the_others(tmp_path):
    manifest.update(tmp_path, [made(), made("b")], {}, True)
    _, removed = manifest.update(tmp_path, [made("b", caption="new")], {"lab/medical/c": "none"}, False)
    assert removed == []
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(content["figures"]) == ["lab/medical/a", "lab/medical/b"]
    assert content["figures"]["lab/medical/b"]["caption"] == "new"
    assert "lab/medical/a.png" in listed(tmp_path)


def test_a_full_render_removes_what_the_manifest_lists_and_no_more(tmp_path):
    manifest.update(tmp_path, [made(), made("b", "lab/math")], {}, True)
    (tmp_path / "lab" / "medical" / "mine.png").write_bytes(b"mine")
    _, removed = manifest.update(tmp_path, [made()], {"lab/math/b": "gone"}, True)
    assert sorted(removed) == ["lab/math/b.csv", "lab/math/b.png"]
    assert listed(tmp_path) == ["lab/medical/a.csv", "lab/medical/a.png", "lab/medical/mine.png", "manifest.json"]
    assert not (tmp_path / "lab" / "math").exists()


def test_other_formats_stay_while_they_are_true(tmp_path):
    both = {"a.png": b"1", "a.svg": b"s", "a.csv": b"2"}
    manifest.update(tmp_path, [made(files=both)], {}, True)
    manifest.update(tmp_path, [made()], {}, False)
    assert "lab/medical/a.svg" in listed(tmp_path)
    _, removed = manifest.update(tmp_path, [made(sources={"lab/medical/x-seed0.json": "other"})], {}, False)
    assert removed == ["lab/medical/a.svg"]


def test_formats_are_known():
    assert set(exporting.DEFAULT_FORMATS) <= set(exporting.FORMATS)
