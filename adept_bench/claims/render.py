"""Evaluated claims as text: rich tables of at most 120 columns, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from adept_bench.claims.verdicts import NO_DATA, VERDICTS

WIDTH = 120
NONE = "-"
HEADER = ["claim", "paper", "here [95% interval]", "seeds", "p (Holm)", "verdict"]
STYLES = {"reproduced": "bold green", "direction reproduced": "green", "not reproduced": "red", NO_DATA: "dim"}

Row = dict[str, Any]


def as_json(rows: Sequence[Row]) -> str:
    """One JSON document: {"claims": [...], "summary": {preset: {verdict: count}}}; see `evaluate` for a claim."""
    document = {"claims": list(rows), "summary": {name: counts(of) for name, of in by_preset(rows)}}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def by_preset(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(preset, its rows), in the order given."""
    return [(name, list(of)) for name, of in groupby(rows, key=lambda row: row["preset"])]


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict, every verdict named."""
    return {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}


def summary(rows: Sequence[Row]) -> str:
    """A line a preset: "lab: 1 reproduced, 4 direction reproduced, ..."."""
    lines = []
    for name, of in by_preset(rows):
        lines.append(f"{name}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts(of).items()))
    return "\n".join(lines)


def as_markdown(rows: Sequence[Row], heading: str = "###") -> str:
    """A heading, a pipe table, a list of what has no data, notes and the summary, for each preset."""
    return "\n\n".join(_markdown(name, of, heading) for name, of in by_preset(rows))


def _markdown(preset: str, rows: Sequence[Row], heading: str) -> str:
    tested = [row for row in rows if row["verdict"] != NO_DATA]
    lines = [_pipes(HEADER), _pipes(["---", "---", "---:", "---:", "---:", "---"])]
    for row in tested:
        verdict = f"**{row['verdict']}**" if row["verdict"] != "inconclusive" else row["verdict"]
        lines.append(_pipes([*columns(row)[:-1], verdict]))
    parts = [f"{heading} The paper's claims on {preset}", f"{summary(rows)}."]
    parts += ["\n".join(lines)] if tested else []
    parts.append("\n".join(f"- {note}" for note in [*notes(rows), *missing(rows)]))
    return "\n\n".join(parts)


def missing(rows: Iterable[Row]) -> list[str]:
    """A line a reason for having no data, with how many claims it leaves open, and which."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == NO_DATA:
            reasons.setdefault(row["rule"], []).append(row["id"])
    return [f"no data ({reason}): {', '.join(ids)}" for reason, ids in reasons.items()]


def _pipes(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|").replace("\n", "<br>") for value in values) + " |"


def as_text(rows: Sequence[Row], width: int | None = None, colour: bool = False) -> str:
    """A rich table a preset, at most `WIDTH` columns wide; terminal styles where `colour`."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = StringIO()
    console = Console(file=out, width=min(max(width or WIDTH, 100), WIDTH), force_terminal=colour, no_color=not colour)
    for preset, of in by_preset(rows):
        console.print(Text(f"The paper's claims on {preset}", style="bold"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for index, (name, size) in enumerate(zip(HEADER, (None, 24, 22, 5, 8, 12), strict=True)):
            table.add_column(name, justify="right" if index in (2, 3, 4) else "left", min_width=size, max_width=size)
        for about, group in groupby(of, key=lambda row: row["about"]):
            table.add_row(Text(about, style="bold"))
            for row in group:
                *cells, verdict = columns(row)
                table.add_row(*map(Text, cells), Text(verdict, style=STYLES.get(verdict, "")))
            table.add_section()
        console.print(table)
        for note in [*notes(of), *missing(of)]:
            console.print(Text(note, style="dim"))
        console.print(Text(summary(of), style="bold"))
        console.print()
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"


def notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers mean here: correction, intervals, scale."""
    tests = rows[0]["tests"]
    found = [
        f"p: two-sided, adjusted by Holm over the {tests} claims of this preset that can be tested",
        "intervals: 95%, each alone; differences over items and seeds, ratios over seeds (geometric mean), "
        "depth over base models",
    ]
    if not any(one["compared"] for row in rows for one in row["paper"]):
        found.append(
            "only directions are judged: sizes and bounds are the paper's backbones', and this preset runs another "
            "base model"
        )
    remarks = {f"{row['about']}: {row['note']}": None for row in rows if row["note"] and row["verdict"] != NO_DATA}
    remarks |= {f"{row['about']}: {row['left_out']}": None for row in rows if row["left_out"]}
    return [*found, *remarks]


def columns(row: Row) -> list[str]:
    estimate = row["estimate"]
    p = row["p_adjusted"]
    return [
        row["statement"],
        "\n".join(_paper(row)) or NONE,
        _interval(row, estimate) if estimate else NONE,
        str(len(row["seeds"])) if row["seeds"] else NONE,
        NONE if p is None else "<0.001" if p < 0.001 else f"{p:.3f}",
        row["verdict"],
    ]


def _paper(row: Row) -> list[str]:
    if row["asserts"] == "direction":
        return ["a direction"] + [_reported(row, one) for one in row["paper"]]
    return [_reported(row, one) for one in row["paper"]] or ["size not known"]


def _reported(row: Row, one: dict[str, Any]) -> str:
    if one["value"] is None:
        return ", ".join(f"{method} {level:g}%" for method, level in one["levels"].items())
    if one["kind"] == "bound":
        signs = {"less": "<≤", "greater": ">≥"}[row["direction"]]
        return f"{signs[one['rounding'] > 0]} {_number(row['unit'], one['value'], 2)}"
    sign = "up to " if one["kind"] == "maximum" else ""
    if row["unit"] == "ratio":
        sign = " / ".join(f"{level:g}%" for level in one["levels"].values()) + " = "
    where = " ".join(part for part in (one["task"], (one["backbone"] or "").removesuffix("-Base")) if part)
    return f"{sign}{_number(row['unit'], one['value'], 2)} {where}".rstrip()


def _interval(row: Row, estimate: dict[str, Any]) -> str:
    unit, digits = row["unit"], 1 if row["unit"] == "points" else 2
    value = _number(unit, estimate["value"], digits)
    if estimate["low"] is None or estimate["low"] == estimate["high"]:
        return value
    return f"{value} [{_number(unit, estimate['low'], digits)}, {_number(unit, estimate['high'], digits)}]"


def _number(unit: str, value: float, digits: int) -> str:
    """Points and correlations with their sign; ratios that are tiny or huge in few figures."""
    if unit in ("points", "rho"):
        return f"{value:+.{digits}f}"
    return f"{value:.{digits}f}" if value < 100 else f"{value:.1e}"
