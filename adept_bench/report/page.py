"""The whole page: head, title, contents and the sections in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adept_bench import __version__
from adept_bench.report.markup import Safe, join, tag
from adept_bench.report.material import Material, Pair
from adept_bench.report.sections import (
    certificates,
    claims,
    figures,
    missing,
    protocol,
    provenance,
    summary,
    tables,
    timings,
)

TITLE = "ADEPT and its baselines: stored results"
# the browser itself then refuses whatever is not in this file, and any script
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Section:
    """A heading of the page. `by_pair`: whether the contents list its part on every (preset, suite)."""

    name: str
    title: str
    render: Callable[[Material], Safe]
    by_pair: bool = False


SECTIONS = [
    Section("summary", "Summary", summary.render),
    Section("tables", "Tables", tables.render, by_pair=True),
    Section("figures", "Figures", figures.render, by_pair=True),
    Section("timings", "Timings", timings.render),
    Section("claims", "Claims of the paper", claims.render),
    Section("certificates", "Expansion certificates", certificates.render),
    Section("protocol", "Protocol", protocol.render),
    Section("provenance", "Provenance", provenance.render),
    Section("missing", "What is missing", missing.render),
]


def page(material: Material) -> str:
    """The report as one HTML document; the same results give the same text, to the byte."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="generator", content=f"adept-bench {__version__}"),
        tag("title", f"{TITLE}, {material.date}"),
        # CSS is no text to escape; it holds no "<", and a test says so
        tag("style", Safe(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))),
    )
    parts = [
        tag("section", tag("h2", one.title, id=one.name), one.render(material), aria_labelledby=one.name)
        for one in SECTIONS
    ]
    body = tag("body", tag("header", *_opening(material)), _contents(material), tag("main", *parts))
    return "<!DOCTYPE html>\n" + tag("html", head, "\n", body, lang="en") + "\n"


def _opening(material: Material) -> list[Safe]:
    cells = material.cells
    presets = sorted({pair.preset for pair in material.pairs})
    several = f"{len(material.pairs)} comparisons" if len(material.pairs) > 1 else "one comparison"
    held = f"{len(cells)} results in {several}, preset{'s' if len(presets) > 1 else ''} {', '.join(presets)}"
    return [
        tag("h1", TITLE),
        tag("p", f"{held}; the newest is of {material.date}. Made by adept-bench {__version__}.", class_="lede"),
    ]


def _contents(material: Material) -> Safe:
    entries = [
        join([tag("a", one.title, href=f"#{one.name}"), _pairs(one, material.pairs) if one.by_pair else ""])
        for one in SECTIONS
    ]
    ordered = tag("ol", *(tag("li", entry) for entry in entries))
    return tag("nav", ordered, aria_label="Contents")


def _pairs(section: Section, pairs: list[Pair]) -> Safe:
    links = (tag("a", pair.title, href=f"#{section.name}-{pair.anchor}") for pair in pairs)
    return tag("ol", *(tag("li", link) for link in links))
