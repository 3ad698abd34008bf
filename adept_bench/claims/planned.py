"""What claims could see, as text: rich tables of at most 120 columns, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

from adept_bench.claims.planning import SEEDS, Planned
from adept_bench.claims.render import console_of, pipes, plain, table_of
from adept_bench.claims.units import possible, unscaled
from adept_bench.claims.wording import amount
from adept_bench.escapes import markdown, markdown_row, rich_text

HEADER = ["claim", "spread of seeds; items", "from", *(f"{seeds} seeds" for seeds in SEEDS)]
WIDTHS = (None, 17, 12, *(14 for _ in SEEDS))
RIGHT = tuple(range(3, 3 + len(SEEDS)))
NOTE = (
    "the smallest effect found in 80% of repetitions at the level of a claim that is alone found in its family, in "
    "parentheses at 5%; none: not even the largest possible; spreads of stored results are estimates themselves, from "
    "as many seeds as are named"
)


def power_as_json(planned: Sequence[Planned]) -> str:
    """One JSON document: {"power": [...]}, the fields of `Planned`."""
    return json.dumps({"power": [one.as_dict() for one in planned]}, indent=1, ensure_ascii=False, allow_nan=False)


def power_as_markdown(planned: Sequence[Planned], heading: str = "###") -> str:
    """A heading a preset, a pipe table a family."""
    parts = []
    for preset, of in groupby(planned, key=lambda one: one.preset):
        parts.append(f"{heading} What the claims could see on {markdown(preset)}")
        for title, mine in _families(list(of)):
            rule = ["---:" if index in RIGHT else "---" for index, _ in enumerate(HEADER)]
            lines = [pipes(HEADER), markdown_row(rule)]
            parts += [f"**{markdown(title)}**", "\n".join([*lines, *(pipes(_columns(one)) for one in mine)])]
    return "\n\n".join([*parts, f"- {NOTE}"])


def power_as_text(planned: Sequence[Planned], width: int | None = None, colour: bool = False) -> str:
    """A rich table a preset and family, at most 120 columns wide."""
    console, out = console_of(width, colour)
    for preset, of in groupby(planned, key=lambda one: one.preset):
        console.print(rich_text(f"What the claims could see on {preset}", style="bold"))
        for title, mine in _families(list(of)):
            console.print(rich_text(f"\n{title}", style="bold"))
            table = table_of(HEADER, WIDTHS, RIGHT)
            for one in mine:
                table.add_row(*map(rich_text, _columns(one)))
            console.print(table)
    console.print(rich_text(NOTE, style="dim"))
    return plain(out)


def _families(planned: Sequence[Planned]) -> list[tuple[str, list[Planned]]]:
    found = []
    for family in ("primary", "secondary"):
        mine = [one for one in planned if one.family == family]
        if mine:
            tests = f"{mine[0].correction} over {mine[0].tests}, level {100 * mine[0].level:.2f}%"
            found.append((f"{family.capitalize()} claims ({tests})", mine))
    return found


def _columns(one: Planned) -> list[str]:
    basis = one.basis
    items = f"; {_bare(one, unscaled(one.unit, basis.item_error))}" if basis.item_error else ""
    return [
        one.statement,
        f"{amount(one.unit, unscaled(one.unit, basis.seed_sd))}{items}",
        basis.source,
        *(f"{_seen(one, size.adjusted)} ({_seen(one, size.single)})" for size in one.detectable),
    ]


def _seen(one: Planned, value: float) -> str:
    return _bare(one, value) if possible(one.unit, value) else "none"


def _bare(one: Planned, value: float) -> str:
    """Without the unit, which the row has already."""
    return amount(one.unit, value).removesuffix(f" {one.unit}")
