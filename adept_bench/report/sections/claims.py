"""The claims of the paper beside what the stored results show, each with its verdict and the rule that gave it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from adept_bench.claims.verdicts import DIRECTION, INCONCLUSIVE, NO_DATA, NOT, REPRODUCED, VERDICTS, Kind
from adept_bench.claims.wording import HEADER, beside_of, by_preset, columns, counted, kind_of, missing, notes, sections
from adept_bench.report.markup import Safe, folded, items, join, paragraphs, table, tag
from adept_bench.report.material import Material

MEANINGS = {
    REPRODUCED: "the claimed direction is established after correction, and the size compatible with the reported one "
    "on the paper's own backbone, or the claim has no size",
    DIRECTION: "the claimed direction is established; the size falls short, or none may be compared here",
    NOT: "the opposite direction is established, or an effect worth speaking of is ruled out",
    INCONCLUSIVE: "the results allow neither, in one of three ways",
    NO_DATA: "the results that it needs are not there",
}
KINDS: dict[Kind, str] = {
    "bounded": "no effect is larger than the size given, by the interval at the level of the claim's family",
    "underpowered": "a large effect is not ruled out; one of the size given, or more, would be found in 80% of cases",
    "undecidable": "no result of this preset could speak of it; the rule says why",
}


def render(material: Material) -> Safe:
    """What the verdicts mean, then the claims of each preset: counts, tested claims, what has no data."""
    if not material.claims:
        return paragraphs("No claim of the paper has been evaluated; see what is missing.")
    of_verdicts = [join([badge(one), f": {MEANINGS[one]}."]) for one in VERDICTS]
    of_kinds = [f"inconclusive, {kind}: {meaning}." for kind, meaning in KINDS.items()]
    meanings = folded("What the verdicts mean", items([*of_verdicts, *of_kinds]))
    return join([meanings, *(_preset(name, rows) for name, rows in by_preset(material.claims))])


def badge(verdict: str) -> Safe:
    """A verdict with a mark and a colour of its own."""
    return tag("span", verdict, class_=f"verdict {verdict.replace(' ', '-')}")


def _preset(name: str, rows: list[dict[str, Any]]) -> Safe:
    absent = [row for row in rows if row["verdict"] == NO_DATA]
    return join(
        [
            tag("h3", f"Preset {name}"),
            paragraphs(f"{len(rows)} claims: {counted(rows)}."),
            *(_family(f"{title}, on {name}", mine) for title, mine in sections(rows)),
            tag("div", items(notes(rows)), class_="notes"),
            folded(f"{len(absent)} claims without data", items(missing(rows))) if absent else "",
        ]
    )


def _family(title: str, rows: list[dict[str, Any]]) -> Safe:
    tested = [row for row in rows if row["verdict"] != NO_DATA]
    if not tested:
        return paragraphs(f"{title}: no data.")
    # the verdict beside the claim: on a phone the first two columns are what is seen
    header = [HEADER[0], HEADER[-1], *HEADER[1:-1], "results"]
    lines: list[Sequence[object]] = []
    for about, group in groupby(tested, key=lambda row: row["about"]):
        lines += [[about], *map(_line, group)]
    return table(title, header, lines, "words claims")


def _line(row: dict[str, Any]) -> list[object]:
    claim, *values, _ = columns(row)
    kind = f" {kind_of(row)}" if row["kind"] else ""
    ruled = join([badge(row["verdict"]), kind, tag("br"), tag("span", row["rule"], class_="soft")])
    more = [tag("span", f"; {one}" if index else one, class_="soft") for index, one in enumerate(beside_of(row))]
    return [join([claim, tag("br"), *more]) if more else claim, ruled, *values, str(row["cells"])]
