"""Evaluated claims in words, alike in every output: verdicts, numbers, notes, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from adept_bench.claims.declared import in_words
from adept_bench.claims.units import Unit, possible
from adept_bench.claims.verdicts import INCONCLUSIVE, KINDS, NO_DATA, VERDICTS

NONE = "-"
HEADER = ["claim", "paper", "here [95% interval]", "seeds", "p", "adj. p", "verdict"]
SIGNED = ("points", "rho", "nats")

Row = dict[str, Any]


def by_preset(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(preset, its rows), in the order given."""
    return [(name, list(of)) for name, of in groupby(rows, key=lambda row: row["preset"])]


def sections(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Heading and rows of the primary claims and of all others; those of a preset, without empty ones."""
    primary = [row for row in rows if row["family"] == "primary"]
    others = [row for row in rows if row["family"] != "primary"]
    found = [("Primary", primary), ("Secondary", others)]
    return [(f"{name} claims ({_correction(mine)})", mine) for name, mine in found if mine]


def _correction(rows: Sequence[Row]) -> str:
    tested = max(rows, key=lambda row: row["tests"])
    if not tested["tests"]:
        return "none can be tested"
    return f"{tested['correction']} over the {tested['tests']} that can be tested"


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows have each verdict, every verdict named."""
    return {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}


def kinds(rows: Sequence[Row]) -> dict[str, int]:
    """How many inconclusive rows there are of each kind, every kind named."""
    return {kind: sum(row["kind"] == kind for row in rows) for kind in KINDS}


def counted(rows: Sequence[Row], all_named: bool = False) -> str:
    """ "2 reproduced, 3 inconclusive (1 bounded, 2 undecidable), 1 no data": the verdicts that occur, or all."""
    parts = []
    for verdict, count in counts(rows).items():
        if count or all_named:
            which = ", ".join(f"{many} {kind}" for kind, many in kinds(rows).items() if many)
            parts.append(f"{count} {verdict}" + (f" ({which})" if verdict == INCONCLUSIVE and which else ""))
    return ", ".join(parts)


def summary(rows: Sequence[Row]) -> str:
    """A line a preset and family: "lab, primary: 1 reproduced, 4 direction reproduced, ..."."""
    return "\n".join(
        f"{name}, {heading.split()[0].lower()}: {counted(mine, all_named=True)}"
        for name, of in by_preset(rows)
        for heading, mine in sections(of)
    )


def columns(row: Row) -> list[str]:
    """The row's cells under `HEADER`."""
    estimate = row["estimate"]
    return [
        row["statement"],
        "\n".join(_paper(row)),
        _interval(row["unit"], estimate) if estimate else NONE,
        str(len(row["seeds"])) if row["seeds"] else NONE,
        p_value(row["p"]),
        p_value(row["p_adjusted"]),
        ruled(row),
    ]


def ruled(row: Row) -> str:
    """The verdict with its kind: "inconclusive: bounded (< 3.1 points)"."""
    return f"{row['verdict']}: {kind_of(row)}" if row["kind"] else str(row["verdict"])


def kind_of(row: Row) -> str:
    """Of which kind an inconclusive row is, with what there is to say of its size."""
    if row["kind"] == "bounded":
        return f"bounded (< {amount(row['unit'], row['bound'])})"
    if row["kind"] == "undecidable":
        return "undecidable here"
    return "underpowered" + (f" ({_seen(row['unit'], row['detectable'])})" if row["detectable"] else "")


def _seen(unit: Unit, detectable: float) -> str:
    return f"from {amount(unit, detectable)}" if possible(unit, detectable) else "for any effect"


def amount(unit: Unit, value: float) -> str:
    """A distance from no effect."""
    if unit == "ratio":
        return f"×{value:.2f}" if value < 100 else f"×{value:.0e}"
    if unit == "points":
        return f"{value:.1f} points"
    digits = 3 if unit == "nats" and value < 0.1 else 2
    return f"{value:.{digits}f} {unit}"


def p_value(p: float | None) -> str:
    """In five columns."""
    return NONE if p is None else "<.001" if p < 0.001 else f"{p:.3f}"


def missing(rows: Iterable[Row]) -> list[str]:
    """A line a reason for having no data, with how many claims it leaves open, and which."""
    return _by_reason("no data", (row for row in rows if row["verdict"] == NO_DATA))


def undecidable(rows: Iterable[Row]) -> list[str]:
    """A line a reason for being undecidable, and which claims are."""
    return _by_reason("undecidable here", (row for row in rows if row["kind"] == "undecidable"))


def _by_reason(what: str, rows: Iterable[Row]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row["rule"], []).append(row["id"])
    return [f"{what} ({reason}): {', '.join(ids)}" for reason, ids in reasons.items()]


def notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers mean here: correction, intervals, kinds, scale; then remarks on single claims."""
    found = [
        "p: two-sided; adj. p: after the correction of the claim's family. Intervals: 95%, each alone; differences "
        "over items and seeds, ratios over seeds (geometric mean), layers and units over base models",
        "bounded: no effect is larger, by the interval at the family's level; underpowered: an effect from this size "
        "on would be found in 80% of cases; undecidable here: no result of this preset could speak of it",
    ]
    if not any(one["compared"] for row in rows for one in row["paper"]):
        found.append(
            "only directions are judged: sizes and bounds are the paper's backbones', and this preset runs another "
            "base model"
        )
    declared = [line for name, _ in by_preset(rows) if (line := in_words(name))]
    return [*declared, *found, *_remarks(rows), *_beside(rows), *undecidable(rows)]


def _remarks(rows: Sequence[Row]) -> list[str]:
    shown = [row for row in rows if row["verdict"] != NO_DATA]
    remarks = [f"{row['about']}: {row['note']}" for row in shown if row["note"]]
    left_out = [f"{row['id']}: {row['left_out']}" for row in shown if row["left_out"]]
    return list(dict.fromkeys([*remarks, *left_out]))


def _beside(rows: Sequence[Row]) -> list[str]:
    """The range of a mean over levels, and the same quantity by other choices."""
    return [f"{row['id']}: {'; '.join(parts)}" for row in rows if (parts := beside_of(row))]


def beside_of(row: Row) -> list[str]:
    """The range that a mean is over, then the same quantity by other choices."""
    span = row["span"]
    over = [f"over {span['held']} {span['low']} to {span['high']}, where {span['ends']} ends"] if span else []
    return over + [f"{one['what']} {_interval(row['unit'], one)}" for one in row["beside"]]


def _paper(row: Row) -> list[str]:
    if row["variant_of"]:
        return [f"{row['where']}: as for ADEPT"]
    numbers = [_reported(row, one) for one in row["paper"]]
    if row["asserts"] == "direction":
        numbers = ["a direction", *numbers]
    first, *rest = numbers or ["size not known"]
    return [f"{row['where']}: {first}", *rest]


def _reported(row: Row, one: dict[str, Any]) -> str:
    if one["value"] is None:
        return ", ".join(f"{method} {level:g}%" for method, level in one["levels"].items())
    if one["kind"] == "bound":
        signs = {"less": "<≤", "greater": ">≥"}[row["direction"]]
        return f"{signs[one['rounding'] > 0]} {number(row['unit'], one['value'], 2)}"
    sign = "up to " if one["kind"] == "maximum" else ""
    if row["unit"] == "ratio":
        sign = " / ".join(f"{level:g}%" for level in one["levels"].values()) + " = "
    where = " ".join(part for part in (one["task"], (one["backbone"] or "").removesuffix("-Base")) if part)
    return f"{sign}{number(row['unit'], one['value'], 2)} {where}".rstrip()


def _interval(unit: Unit, estimate: dict[str, Any]) -> str:
    digits = {"points": 1, "nats": 3}.get(unit, 2)
    value = number(unit, estimate["value"], digits)
    if estimate["low"] is None or estimate["low"] == estimate["high"]:
        return value
    return f"{value} [{number(unit, estimate['low'], digits)}, {number(unit, estimate['high'], digits)}]"


def number(unit: Unit, value: float, digits: int) -> str:
    """Differences and correlations with their sign; ratios that are tiny or huge in few figures."""
    if unit in SIGNED:
        return f"{value:+.{digits}f}"
    return f"{value:.{digits}f}" if value < 100 else f"{value:.1e}"
