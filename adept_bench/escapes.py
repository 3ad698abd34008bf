r"""Texts that come from files, made safe for what they are written to: a terminal, Markdown, LaTeX, CSV, HTML, SVG.

Names keep to a pattern (`config.names`); tokens, devices, paths, notes and captions may hold anything. Each format
shows the text as it is, but for characters that cannot be seen or would turn those around them: they become `\u001b`,
which stands for the same character in JSON. Pictures take no text for a formula (`figures.style`).
"""

from __future__ import annotations

import html as _html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff{_BIDI}]")
"""Control characters, line separators, lone surrogates, what XML forbids, what sets the direction of text."""
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def visible(text: str, keep: str = "\n") -> str:
    r"""`text` with `\u001b` for each character that cannot be seen, but those of `keep`."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _code(found[0]), text)


def _code(character: str) -> str:
    return _SHORT.get(character, f"\\u{ord(character):04x}")


def terminal(text: str) -> str:
    """For a terminal or a log: no control character but the ends of lines."""
    return visible(text)


def line(text: str) -> str:
    """The same in one line."""
    return visible(text, keep="")


def rich_text(text: str, style: str = "") -> Text:
    """For a table or console of rich: the same as for a terminal, without rich's own markup and emoji codes."""
    from rich.text import Text

    return Text(terminal(text), style=style)


# what Markdown takes for its own inside a line; "<", "&" and "*" only where markup can begin, "_" not inside a word,
# and a bracket only where a link could follow: intervals, "< 0.1", "2 * 3" and names stay readable in the source
_MARKDOWN = re.compile(r"[\\`~$|]|\*(?!\s)|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])|](?=[(:\[])|(?<![^\W_])_|_(?![^\W_])")
_CODE = r"(?<!`)`[A-Za-z0-9_-](?:[A-Za-z0-9_ .,:/=+@-]*[A-Za-z0-9_-])?`(?!`)"
_MARKDOWN_OR_CODE = re.compile(f"({_CODE})|{_MARKDOWN.pattern}")
_MARKDOWN_START = re.compile(r"(?:#{1,6}|[-+*>]|(?:-\s*){3,}|=+)(?=\s|$)|>|\[(?=[ xX]\])")
_NUMBERED = re.compile(r"(\d+)([.)])(?=\s|$)")


def markdown(text: str) -> str:
    """For a cell of a table or the middle of a line; the end of a line becomes `<br>`."""
    lines = visible(text).split("\n")
    return "<br>".join(_MARKDOWN.sub(r"\\\g<0>", one) for one in lines)


def markdown_block(text: str) -> str:
    """For a paragraph or an item of a list, in one line; a command or name in backquotes, as notes have it, is code."""
    joined = re.sub(r" *\n *", " ", visible(text)).strip(" ")
    plain = _MARKDOWN_OR_CODE.sub(lambda found: found[1] or f"\\{found[0]}", joined)
    if _MARKDOWN_START.match(plain):
        return f"\\{plain}"
    return _NUMBERED.sub(r"\1\\\2", plain, count=1) if _NUMBERED.match(plain) else plain


def markdown_row(cells: list[str]) -> str:
    """A row of a table; `cells` are Markdown already."""
    return f"| {' | '.join(cells)} |"


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
    "`": r"\textasciigrave{}",
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
    "\n": " ",  # an empty line would end a paragraph, which a caption may not
}
_RUNS = ("-–—", "'", ",")
"""Characters that LaTeX would join to another one where two of them meet."""


def latex(text: str) -> str:
    """For the body of a LaTeX document, which then prints it as it is; the end of a line becomes a blank."""
    plain = visible(text)
    return "".join(
        _LATEX.get(letter, letter) + ("{}" if any(letter in run and after in run for run in _RUNS) else "")
        for letter, after in zip(plain, [*plain[1:], " "])
    )


def latex_label(text: str) -> str:
    r"""For the argument of `\label`: other characters than letters, digits and `._:-` become hyphens."""
    return re.sub(r"[^A-Za-z0-9._:-]", "-", text)


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_FORMULA = tuple("=+-@'\t\r\n＝＋－＠")


def csv(text: str) -> str:
    """For a cell of text in a CSV file: an apostrophe before what a spreadsheet would take for a formula.

    Texts that begin with `=`, `+`, `-`, `@`, a tab or an end of line get it, but numbers do not; so do those that begin
    with an apostrophe: who reads a text back drops the first apostrophe of each that begins with one. The rest is as it
    was, control characters too; only lone surrogates, which UTF-8 does not have, become visible.
    """
    written = re.sub("[\ud800-\udfff]", lambda found: _code(found[0]), text)
    return f"'{written}" if written.startswith(_FORMULA) and not _NUMBER.fullmatch(written) else written


def html(text: str) -> str:
    """For text and attributes of a page."""
    return _html.escape(visible(text, keep="\n\t"), quote=True)


def xml(document: str) -> str:
    """A whole XML document, such as an SVG, without the characters that XML forbids even where they are escaped."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", lambda found: _code(found[0]), document)
