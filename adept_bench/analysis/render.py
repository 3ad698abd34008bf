"""A comparison as text: stacked tables of about a hundred columns (scores, losses, cost), or Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adept_bench.analysis.table import REFERENCES
from adept_bench.escapes import markdown, markdown_block, markdown_row, rich_text

WIDTH = 110
NONE = "-"  # what there is not


@dataclass(frozen=True)
class Block:
    """One of the stacked tables; the first column is the method, the others are numbers."""

    title: str
    header: list[str]
    rows: list[list[str]]


def as_json(tables: Sequence[dict[str, Any]]) -> str:
    """All tables as one JSON document: {"tables": [...]}."""
    return json.dumps({"tables": list(tables)}, indent=1, ensure_ascii=False, allow_nan=False)


def as_markdown(tables: Sequence[dict[str, Any]]) -> str:
    """GitHub Markdown: a heading a (preset, suite), a pipe table a block, notes as a list."""
    return "\n\n".join(_markdown(table) for table in tables)


def _markdown(table: dict[str, Any]) -> str:
    parts = [f"### {markdown(table['suite'])} on {markdown(table['preset'])}"]
    for block in blocks(table):
        rule = ["---"] + ["---:"] * (len(block.header) - 1)
        header, *rows = ([markdown(value) for value in row] for row in (block.header, *block.rows))
        parts.append("\n".join([f"**{markdown(block.title)}**", "", *map(markdown_row, (header, rule, *rows))]))
    parts.append("\n".join(f"- {markdown_block(note)}" for note in footnotes(table)))
    return "\n\n".join(parts)


def as_text(tables: Sequence[dict[str, Any]], width: int | None = None, colour: bool = False) -> str:
    """rich tables; `width` columns (`WIDTH` at least: no number is cut), terminal styles where `colour`."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = StringIO()
    console = Console(file=out, width=max(width or 0, WIDTH), force_terminal=colour, no_color=not colour)
    for table in tables:
        console.print(rich_text(f"{table['suite']} on {table['preset']}", style="bold"))
        for block in blocks(table):
            shown = Table(title=rich_text(block.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
            for index, name in enumerate(block.header):
                broken = name.replace("→", "→\n").replace("chance-", "chance-\n")
                shown.add_column(rich_text(broken), justify="right" if index else "left", no_wrap=True)
            for row in block.rows:
                shown.add_row(*(rich_text(value) for value in row))
            console.print(shown)
        for note in footnotes(table):
            console.print(rich_text(note, style="dim"))
        console.print()
    return out.getvalue().rstrip() + "\n"


def blocks(table: dict[str, Any]) -> list[Block]:
    """Scores of each group, then each held-out loss, then cost; a row a method in each."""
    found = [_scores(table, group) for group in table["groups"]]
    found += [_losses(table, name) for name in table["losses"]]
    return [*found, _cost(table)]


def _scores(table: dict[str, Any], group: str) -> Block:
    header = ["method", "%", "chance-corr.", "vs vanilla", "vs full", "right→wrong", "wrong→right"]
    rows, items, answers = [], 0, 0
    for row in table["rows"]:
        score, flipped = row["groups"].get(group), row["flips"].get(group)
        if score is None:
            rows.append([row["method"]] + [NONE] * (len(header) - 1))
            continue
        items = max(items, score["items"])
        answers = max(answers, flipped["answers"] if flipped else 0)
        rows.append(
            [
                row["method"],
                f"{100 * score['mean']:.1f}",
                _number(score["chance_corrected"], 100, 1),
                *(_interval(_difference(row, "differences", name, group), 100, 1) for name in REFERENCES),
                *(str(flipped[way]) if flipped else NONE for way in ("right_to_wrong", "wrong_to_right")),
            ]
        )
    flipped_of = f"; flips against vanilla, of {answers} answers" if answers else ""
    return Block(f"{group}: mean of {items} items, differences in points{flipped_of}", header, rows)


def _losses(table: dict[str, Any], name: str) -> Block:
    rows = []
    for row in table["rows"]:
        loss = row["losses"].get(name)
        means = [f"{loss['before']:.3f}", f"{loss['after']:.3f}"] if loss else [NONE, NONE]
        differences = [_interval(_difference(row, "loss_differences", other, name), 1, 3) for other in REFERENCES]
        rows.append([row["method"], *means, *differences])
    header = ["method", "before", "after", "after, vs vanilla", "after, vs full"]
    return Block(f"held-out {name} loss, nats a token", header, rows)


def _cost(table: dict[str, Any]) -> Block:
    header = ["method", "seeds", "trains %", "rate", "train s", "s / full", "FLOPs / full", "probe s", "peak MiB"]
    rows = [
        [
            row["method"],
            str(len(row["seeds"])),
            f"{100 * row['trainable_fraction']:.1f}",
            "/".join(f"{rate:.2g}" for rate in row["learning_rate"]) or NONE,
            f"{row['train_seconds']:.1f}",
            _number(row["train_seconds_ratio"], 1, 2),
            _number(row["train_flops_ratio"], 1, 2),
            f"{row['probe_seconds']:.1f}",
            f"{row['peak_memory_bytes'] / 2**20:.0f}",
        ]
        for row in table["rows"]
    ]
    return Block("cost: means over seeds (memory: highest)", header, rows)


def footnotes(table: dict[str, Any]) -> list[str]:
    """What the intervals mean here, and what could not be compared."""
    counts = sorted({len(row["seeds"]) for row in table["rows"]})
    if counts == [1]:
        meaning = "[95% interval] paired, over items only: one seed; another seed may differ by more than this"
    else:
        meaning = "[95% interval] paired, over items and seeds; losses: over seeds"
        if counts[0] == 1:
            meaning += "; rows of one seed: over items only"
    return [meaning, *(f"note: {note}" for note in table["notes"])]


def _difference(row: dict[str, Any], kind: str, reference: str, name: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = row[kind].get(reference, {}).get(name)
    return found


def _number(value: float | None, scale: float, digits: int) -> str:
    return NONE if value is None else f"{scale * value:.{digits}f}"


def _interval(estimate: dict[str, Any] | None, scale: float, digits: int) -> str:
    if estimate is None:
        return NONE
    value = f"{scale * estimate['value']:+.{digits}f}"
    if estimate["low"] is None:
        return value
    return f"{value} [{scale * estimate['low']:+.{digits}f}, {scale * estimate['high']:+.{digits}f}]"
