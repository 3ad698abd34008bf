"""What the page does not show, and why."""

from __future__ import annotations

from adept_bench.claims.verdicts import NO_DATA
from adept_bench.claims.wording import by_preset
from adept_bench.report.markup import Safe, items, join, paragraphs, tag
from adept_bench.report.material import Material, Pair


def render(material: Material) -> Safe:
    """Unreadable files and claims without data; for each (preset, suite) absent results, figures and comparisons."""
    parts = []
    if general := [*material.missing, *_claims(material)]:
        parts.append(join([tag("h3", "Files and claims"), items(general)]))
    for pair in material.pairs:
        if lines := _lines(pair):
            parts.append(join([tag("h3", pair.title), items(lines)]))
    return join(parts) if parts else paragraphs("Nothing: all results that the suites ask for are here and shown.")


def _claims(material: Material) -> list[str]:
    counts = {name: sum(row["verdict"] == NO_DATA for row in rows) for name, rows in by_preset(material.claims)}
    return [
        f"claims without data on {name}: {count}, listed with the claims" for name, count in counts.items() if count
    ]


def _lines(pair: Pair) -> list[str]:
    notes = pair.compared["notes"] if pair.compared else []
    return list(dict.fromkeys([*pair.missing, *notes]))
