from __future__ import annotations

import runpy
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from adept_bench.report.gather import gather
from adept_bench.report.page import page
from adept_bench.results.store import Store

ROOT = Path(__file__).parents[2]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Outline(HTMLParser):
    """What a parser that knows nothing of this package makes of a page; AssertionError where tags do not match."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.headings: list[tuple[int, str]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.text += data
        if self.open and self.open[-1] in {"h1", "h2", "h3", "h4"}:
            level, before = self.headings[-1]
            self.headings[-1] = (level, before + data)

    def all(self, tag):
        """The attributes of all elements of that name."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def outline() -> Callable[[str], Outline]:
    return Outline


@pytest.fixture(scope="session")
def example() -> Callable[..., dict[str, Any]]:
    """The maker of example cells, see results/example_cell.py."""
    return runpy.run_path(str(ROOT / "tests" / "results" / "example_cell.py"))["example"]


@pytest.fixture
def stored(tmp_path, example) -> Callable[..., Path]:
    """Writes example cells, a call each, below one folder of results, which it returns."""

    def write(method: str = "adept", seed: int = 0, change: Callable[[dict[str, Any]], Any] | None = None, **options):
        cell = example(method, seed, **options)
        if change:
            change(cell)
        Store(tmp_path / "results").write(cell)
        return tmp_path / "results"

    return write


@pytest.fixture(scope="session")
def real_page(tmp_path_factory) -> Path:
    """The page of the committed results."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    material = gather(ROOT / "results")
    assert material.faults == []
    file.write_text(page(material), encoding="utf-8")
    return file
