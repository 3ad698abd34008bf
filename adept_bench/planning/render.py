"""The plan as text: a table of what each method needs, one of hours by device, and the assumptions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from adept_bench.escapes import markdown, markdown_block, markdown_row, rich_text

Rows = list[list[str]]
MEMORY = ("weights", "gradients", "buckets", "optimizer", "activations", "gathered", "peak", "main")
SPENT = ("training", "probing", "evaluation")
SOMETIMES = {"buckets", "gathered", "main"}  # of several processes: shown where one of the methods has them


def tables(plan: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """(title, header, rows) of each table."""
    return [_needs(plan), _hours(plan)]


def _needs(plan: dict[str, Any]) -> tuple[str, list[str], Rows]:
    every = [one["memory"] or {} for one in plan["methods"]]
    parts = [part for part in MEMORY if part not in SOMETIMES or any(memory.get(part) for memory in every)]
    header = ["method", "parameters", "train", "layers", "operations", *parts]
    rows = []
    for one in plan["methods"]:
        memory = one["memory"] or {}
        layers = ",".join(map(str, one["layers"])) + ("?" if one["layers_assumed"] else "")
        rows.append(
            [
                one["name"],
                _count(one["parameters"]),
                f"{one['trainable_fraction']:.1%}",
                layers or "-",
                f"{one['operations']['training']:.2e}" if one["operations"]["training"] else "-",
                *[_bytes(memory.get(part)) for part in parts],
            ]
        )
    return f"What a cell needs ({plan['suite']} on {plan['preset']}, {plan['model']['source']})", header, rows


def _hours(plan: dict[str, Any]) -> tuple[str, list[str], Rows]:
    main = any(found["main"] for one in plan["methods"] for found in one["devices"].values())
    header = ["device", "method", "fits", "peak", *(["main"] if main else []), *SPENT, "hours"]
    rows = []
    for device, about in plan["devices"].items():
        count = f" x{about['count']}" if about["count"] > 1 else ""
        for place, one in enumerate(plan["methods"]):
            found = one["devices"][device]
            seconds = found["seconds"] or {}
            rows.append(
                [
                    about["title"] + count if place == 0 else "",
                    one["name"],
                    found["fits"],
                    _bytes(found["peak"]),
                    *([_bytes(found["main"] or None)] if main else []),
                    *[_time(seconds.get(part)) for part in SPENT],
                    "-" if found["hours"] is None else f"{found['hours']:.3g}",
                ]
            )
    return "Hours of one cell", header, rows


def notes(plan: dict[str, Any]) -> list[str]:
    """What the numbers rest on."""
    training, assumed = plan["training"], plan["assumptions"]
    found = [
        f"architecture: {plan['model']['architecture']}",
        f"training: {training['tokens']:,} tokens in {training['steps']:,} steps, {training['precision']}, sequences "
        f"of {training['length']}, batch {training['batch_size']} x {training['accumulation']}",
    ]
    if any(one["layers_assumed"] for one in plan["methods"]):
        found.append(f"layers marked ?: assumed; {assumed['layers']}")
    found += [f"{plan['devices'][name]['title']}: {source}" for name, source in assumed["rate"].items()]
    if any(device != "cpu" for device in plan["devices"]):
        reserved, lost = assumed["reserved_bytes"] / 2**30, assumed["fragmented"]
        found.append(f"fits: the peak within the device's memory less {lost:.0%} and {reserved:g} GiB")
    if any(found["main"] for one in plan["methods"] for found in one["devices"].values()):
        machine, named = assumed["devices_a_machine"], assumed["main_memory_named_bytes"] / 2**30
        found.append(
            "shards (FSDP, ZeRO): each device holds the whole weights before they are sharded, so the peak is no less; "
            f"main: main memory of a process above, of a machine (up to {machine} processes) below, where more than "
            f"{named:.0f}G stand beside what fits"
        )
    unknown = sorted({name for one in plan["methods"] for name in one["evaluation"]["not_counted"]})
    if unknown:
        found.append(f"evaluation of {', '.join(unknown)} is not counted: their size is not known here")
    hours = ", ".join(f"{plan['devices'][name]['title']} {value:.3g}" for name, value in _totals(plan).items())
    found.append(f"all {plan['totals']['cells']} cells: device hours {hours}")
    return found


def _totals(plan: dict[str, Any]) -> dict[str, float]:
    return dict(plan["totals"]["device_hours"])


def as_markdown(found: Sequence[tuple[str, list[str], Rows]], lines: Sequence[str]) -> str:
    """Markdown tables and a list of notes."""
    parts = []
    for title, header, rows in found:
        cells = [[markdown(value) for value in row] for row in (header, *rows)]
        parts += [f"## {markdown(title)}", ""]
        parts += map(markdown_row, (cells[0], ["---"] * len(header), *cells[1:]))
        parts.append("")
    return "\n".join([*parts, *[f"- {markdown_block(line)}" for line in lines]])


def as_text(found: Sequence[tuple[str, list[str], Rows]], lines: Sequence[str], width: int) -> str:
    """Plain tables for a terminal of `width` columns."""
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for title, header, rows in found:
        table = Table(title=rich_text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for place, name in enumerate(header):
            table.add_column(name, justify="left" if place == 0 or name in ("method", "fits", "layers") else "right")
        for row in rows:
            table.add_row(*map(rich_text, row))
        console.print(table)
        console.print()
    for line in lines:
        console.print(rich_text(line))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _count(value: int) -> str:
    return f"{value / 1e9:.2f}B" if value >= 1e9 else f"{value / 1e6:.2f}M"


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value / 2**30:.1f}G" if value >= 2**30 else f"{value / 2**20:.1f}M"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds >= 3600:
        return f"{seconds / 3600:.1f}h"
    return f"{seconds / 60:.1f}m" if seconds >= 60 else f"{seconds:.1f}s"
