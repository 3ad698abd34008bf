"""Evaluated claims as text: rich tables of at most 120 columns, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import groupby
from typing import TYPE_CHECKING

from adept_bench.claims.verdicts import INCONCLUSIVE, NO_DATA
from adept_bench.claims.wording import (
    HEADER,
    Row,
    by_preset,
    columns,
    counts,
    kinds,
    missing,
    notes,
    sections,
    summary,
)
from adept_bench.escapes import markdown, markdown_block, markdown_row, rich_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 120
WIDTHS = (None, 21, 23, 5, 5, 6, 16)
RIGHT = (2, 3, 4, 5)
STYLES = {"reproduced": "bold green", "direction reproduced": "green", "not reproduced": "red", NO_DATA: "dim"}


def as_json(rows: Sequence[Row]) -> str:
    """One JSON document: {"claims": [...], "summary": {preset: {verdict: count}}, "kinds": {preset: {kind: count}}};
    see `evaluate` for a claim."""
    presets = by_preset(rows)
    document = {
        "claims": list(rows),
        "summary": {name: counts(of) for name, of in presets},
        "kinds": {name: kinds(of) for name, of in presets},
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def as_markdown(rows: Sequence[Row], heading: str = "###") -> str:
    """For each preset a heading, a pipe table a family, notes, a list of what has no data, and the summary."""
    return "\n\n".join(_markdown(name, of, heading) for name, of in by_preset(rows))


def _markdown(preset: str, rows: Sequence[Row], heading: str) -> str:
    counted = "\n".join(f"- {markdown_block(one)}" for one in summary(rows).split("\n"))
    parts = [f"{heading} The paper's claims on {markdown(preset)}", counted]
    for title, mine in sections(rows):
        tested = [row for row in mine if row["verdict"] != NO_DATA]
        if tested:
            parts += [f"**{markdown(title)}**", "\n".join(_pipe_table(tested))]
    parts.append("\n".join(f"- {markdown_block(note)}" for note in [*notes(rows), *missing(rows)]))
    return "\n\n".join(parts)


def _pipe_table(rows: Sequence[Row]) -> Iterator[str]:
    yield pipes(HEADER)
    yield markdown_row(["---:" if index in RIGHT else "---" for index, _ in enumerate(HEADER)])
    for row in rows:
        *cells, verdict = map(markdown, columns(row))
        yield markdown_row([*cells, verdict if row["verdict"] == INCONCLUSIVE else f"**{verdict}**"])


def pipes(values: Sequence[str]) -> str:
    """A row of a Markdown table of these texts."""
    return markdown_row(list(map(markdown, values)))


def as_text(rows: Sequence[Row], width: int | None = None, colour: bool = False) -> str:
    """A rich table a preset and family, at most `WIDTH` columns wide; terminal styles where `colour`.

    Secondary claims without data are only listed, with the reasons.
    """
    console, out = console_of(width, colour)
    for preset, of in by_preset(rows):
        console.print(rich_text(f"The paper's claims on {preset}", style="bold"))
        for title, mine in sections(of):
            console.print(rich_text(f"\n{title}", style="bold"))
            console.print(_table([row for row in mine if row["verdict"] != NO_DATA or row["family"] == "primary"]))
        for note in [*notes(of), *missing(of)]:
            console.print(rich_text(note, style="dim"))
        console.print(rich_text(summary(of), style="bold"))
        console.print()
    return plain(out)


def _table(rows: Sequence[Row]) -> Table:
    table = table_of(HEADER, WIDTHS, RIGHT)
    for about, group in groupby(rows, key=lambda row: row["about"]):
        table.add_row(rich_text(about, style="bold"))
        for row in group:
            *cells, verdict = columns(row)
            table.add_row(*map(rich_text, cells), rich_text(verdict, style=STYLES.get(row["verdict"], "")))
        table.add_section()
    return table


def table_of(header: Sequence[str], widths: Sequence[int | None], right: Sequence[int]) -> Table:
    """An empty table with these columns; a width of None takes what is left."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, (name, size) in enumerate(zip(header, widths, strict=True)):
        table.add_column(name, justify="right" if index in right else "left", min_width=size, max_width=size)
    return table


def console_of(width: int | None, colour: bool) -> tuple[Console, StringIO]:
    """A console of at most `WIDTH` columns, and what it writes to."""
    from rich.console import Console

    out = StringIO()
    return Console(
        file=out, width=min(max(width or WIDTH, 100), WIDTH), force_terminal=colour, no_color=not colour
    ), out


def plain(out: StringIO) -> str:
    """What was written, without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"
