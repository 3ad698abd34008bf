r"""Tables as CSV, Markdown and LaTeX.

A cell of a shown table may be marked as best, `**1.2**`, or second best, `<u>1.2</u>`: Markdown shows both as they are,
LaTeX gets \textbf and \underline. Everything else is text and is escaped.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from adept_bench.figures.base import Table, Value

WIDE = 7
"""Columns from which a LaTeX table is scaled to the line's width."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "ρ": r"$\rho$",
    "Δ": r"$\Delta$",
    "\u00a0": "~",
}


def best(text: str) -> str:
    """The text marked as the best of its column."""
    return f"**{text}**"


def second(text: str) -> str:
    """The text marked as the second best of its column."""
    return f"<u>{text}</u>"


def as_csv(table: Table) -> str:
    """RFC 4180 with "\\n" ends; numbers unrounded, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows([_plain(value) for value in row] for row in table.rows)
    return out.getvalue()


def _plain(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    # numpy's numbers print their type
    return repr(int(value)) if isinstance(value, int) else repr(float(value))


def as_markdown(table: Table, caption: str) -> str:
    """A pipe table, the first column to the left, and its caption."""
    rule = ["---"] + ["---:"] * (len(table.header) - 1)
    lines: list[Sequence[Value]] = [table.header, rule, *table.rows]
    rows = ["| " + " | ".join(_shown(value).replace("|", "\\|") for value in line) + " |" for line in lines]
    return "\n".join(rows) + f"\n\n{caption}\n"


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
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{tab:{label}}}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """`text` so that LaTeX prints it as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _row(values: Sequence[Value]) -> str:
    return " & ".join(_latex_cell(_shown(value)) for value in values) + r" \\"


def _latex_cell(text: str) -> str:
    if marked := re.fullmatch(r"\*\*(.+)\*\*", text):
        return rf"\textbf{{{escaped(marked[1])}}}"
    if marked := re.fullmatch(r"<u>(.+)</u>", text):
        return rf"\underline{{{escaped(marked[1])}}}"
    plain = escaped(text)
    # after the end of a row LaTeX takes "[" for an option
    return f"{{}}{plain}" if plain.startswith("[") else plain


def _shown(value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else f"{value:.4g}"
