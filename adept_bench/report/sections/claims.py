"""The claims of the paper beside what the stored results show, each with its verdict and the rule that gave it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from adept_bench.claims.render import HEADER, by_preset, columns, counts, missing, notes
from adept_bench.claims.verdicts import DIRECTION, INCONCLUSIVE, NO_DATA, NOT, REPRODUCED, VERDICTS
from adept_bench.report.markup import Safe, folded, items, join, paragraphs, table, tag
from adept_bench.report.material import Material

MEANINGS = {
    REPRODUCED: "the claimed direction is established after correction, and the size compatible with the reported one "
    "on the paper's own backbone, or the claim has no size",
    DIRECTION: "the claimed direction is established; the size falls short, or none may be compared here",
    NOT: "the opposite direction is established, or an effect worth speaking of is ruled out",
    INCONCLUSIVE: "the results allow neither; with few seeds this is the rule where seeds differ",
    NO_DATA: "the results that it needs are not there",
}


def render(material: Material) -> Safe:
    """What the verdicts mean, then the claims of each preset: counts, tested claims, what has no data."""
    if not material.claims:
        return paragraphs("No claim of the paper has been evaluated; see what is missing.")
    meanings = folded("What the verdicts mean", items(join([badge(one), f": {MEANINGS[one]}."]) for one in VERDICTS))
    return join([meanings, *(_preset(name, rows) for name, rows in by_preset(material.claims))])


def verdict_counts(rows: Sequence[dict[str, Any]]) -> str:
    """ "2 reproduced, 1 no data": the verdicts that occur."""
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(rows).items() if count)


def badge(verdict: str) -> Safe:
    """A verdict with a mark and a colour of its own."""
    return tag("span", verdict, class_=f"verdict {verdict.replace(' ', '-')}")


def _preset(name: str, rows: list[dict[str, Any]]) -> Safe:
    tested = [row for row in rows if row["verdict"] != NO_DATA]
    # the verdict beside the claim: on a phone the first two columns are what is seen
    header = [HEADER[0], HEADER[-1], *HEADER[1:-1], "results"]
    lines: list[Sequence[object]] = []
    for about, group in groupby(tested, key=lambda row: row["about"]):
        lines += [[about], *map(_line, group)]
    return join(
        [
            tag("h3", f"Preset {name}"),
            paragraphs(f"{len(rows)} claims: {verdict_counts(rows)}."),
            table(f"Claims of the paper on {name}", header, lines, "words claims") if tested else "",
            tag("div", items(notes(rows)), class_="notes"),
            folded(f"{len(rows) - len(tested)} claims without data", items(missing(rows)))
            if len(tested) < len(rows)
            else "",
        ]
    )


def _line(row: dict[str, Any]) -> list[object]:
    claim, *values, verdict = columns(row)
    ruled = join([badge(verdict), tag("br"), tag("span", row["rule"], class_="soft")])
    return [claim, ruled, *values, str(row["cells"])]
