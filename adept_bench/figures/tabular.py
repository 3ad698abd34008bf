r"""Tables as CSV, Markdown and LaTeX.

A cell of a shown table may be marked as `Best` or `Second` best: Markdown has `**1.2**` and `<u>1.2</u>`, LaTeX \textbf
and \underline. All else is text and is escaped (`adept_bench.escapes`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from adept_bench import escapes
from adept_bench.figures.base import Table, Value

WIDE = 7
"""Columns from which a LaTeX table is scaled to the line's width."""


class Best(str):
    """A cell's text that is marked as the best of its column."""

    __slots__ = ()


class Second(str):
    """A cell's text that is marked as the second best of its column."""

    __slots__ = ()


def as_csv(table: Table) -> str:
    """RFC 4180 with "\\n" ends; numbers unrounded, empty where there is none, texts by `escapes.csv`."""
    return "".join(map(_csv_row, _lines(table)))


def _lines(table: Table) -> list[Sequence[Value]]:
    """The header, then the rows."""
    return [table.header, *table.rows]


def _csv_row(values: Sequence[Value]) -> str:
    out = io.StringIO()
    # with RFC 4180's end of a row, so that both of its characters are quoted inside a cell
    csv.writer(out, lineterminator="\r\n").writerow(map(_plain, values))
    return out.getvalue().removesuffix("\r\n") + "\n"


def _plain(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return escapes.csv(value)
    if isinstance(value, bool):
        return str(int(value))
    # numpy's numbers print their type
    return repr(int(value)) if isinstance(value, int) else repr(float(value))


def as_markdown(table: Table, caption: str) -> str:
    """A pipe table, the first column to the left, and its caption."""
    rule = ["---"] + ["---:"] * (len(table.header) - 1)
    rows = [[_markdown_cell(value) for value in line] for line in _lines(table)]
    lines = [escapes.markdown_row(row) for row in (rows[0], rule, *rows[1:])]
    return "\n".join(lines) + f"\n\n{escapes.markdown_block(caption)}\n"


def _markdown_cell(value: Value) -> str:
    text = escapes.markdown(_shown(value))
    if isinstance(value, Best):
        return f"**{text}**"
    return f"<u>{text}</u>" if isinstance(value, Second) else text


def as_latex(table: Table, caption: str, label: str) -> str:
    """A floating table for booktabs; one of many columns is scaled to the line (graphicx)."""
    wide = len(table.header) >= WIDE
    tabular = [
        rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        r"\toprule",
        _row(table.header),
        r"\midrule",
        *(_row(row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if wide:
        tabular = [r"\resizebox{\linewidth}{!}{%", *tabular, "}"]
    return "\n".join(
        [
            f"% made by adept-bench figures; needs booktabs{' and graphicx' if wide else ''}",
            r"\begin{table}[t]",
            r"\centering",
            *tabular,
            rf"\caption{{{escapes.latex(caption)}}}",
            rf"\label{{tab:{escapes.latex_label(label)}}}",
            r"\end{table}",
            "",
        ]
    )


def _row(values: Sequence[Value]) -> str:
    return " & ".join(map(_latex_cell, values)) + r" \\"


def _latex_cell(value: Value) -> str:
    text = escapes.latex(_shown(value))
    if isinstance(value, Best):
        return rf"\textbf{{{text}}}"
    if isinstance(value, Second):
        return rf"\underline{{{text}}}"
    # after the end of a row LaTeX takes "[" for an option and "*" for another kind of end
    return f"{{}}{text}" if text.startswith(("[", "*")) else text


def _shown(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else f"{value:.4g}"
