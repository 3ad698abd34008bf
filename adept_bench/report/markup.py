"""HTML from Python values; whatever is not markup is escaped, since results are foreign input.

A string becomes markup only through `tag` and `join`; every other string, a method's name as well as a token such as
`<script>`, is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adept_bench import escapes

VOID = frozenset({"meta", "img", "br", "col"})
SHORT = 20  # rows of a table that stays whole in print


class Safe(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Safe:
    """`value` as text by `escapes.html`; what is markup already stays."""
    return value if isinstance(value, Safe) else Safe(escapes.html(str(value)))


def join(parts: Iterable[object], between: str = "") -> Safe:
    """The parts one after the other; those that are no markup are escaped, and so is `between`."""
    return Safe(text(between).join(text(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: object) -> Safe:
    """`<name attributes>children</name>`.

    An attribute of None or False is left out, True stands without a value; a trailing underscore is dropped (`class_`)
    and others become hyphens (`aria_label`).
    """
    opening = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        opening += f" {key}" if value is True else f' {key}="{text(value)}"'
    if name in VOID:
        return Safe(f"<{opening}>")
    return Safe(f"<{opening}>{join(children)}</{name}>")


def scrolling(content: Safe, label: object, class_: str = "scroll") -> Safe:
    """A box that scrolls sideways where its content is too wide; the keyboard reaches it too."""
    return tag("div", content, class_=class_, role="region", aria_label=label, tabindex="0")


def table(caption: object, header: Sequence[object], rows: Iterable[Sequence[object]], class_: str = "") -> Safe:
    """A table in a box of its own; the first column names the row, columns of numbers stand to the right.

    A None is an empty cell; one that is `Safe` is taken as markup. A row of a single value is a heading over those that
    follow.
    """
    lines = [["" if value is None else value for value in row] for row in rows]
    sides = _sides(header, [line for line in lines if len(line) == len(header)])
    head = tag("tr", *(tag("th", name, scope="col", class_=side) for name, side in zip(header, sides, strict=True)))
    bodies: list[list[Safe]] = [[]]
    for line in lines:
        if len(line) == 1 < len(header):
            bodies.append([tag("tr", tag("th", line[0], scope="rowgroup", colspan=len(header)))])
            continue
        values = (tag("td", value, class_=side) for value, side in zip(line[1:], sides[1:], strict=True))
        bodies[-1].append(tag("tr", tag("th", line[0], scope="row"), *values))
    parts = [
        tag("caption", tag("span", caption)),
        tag("thead", head),
        *(tag("tbody", *body) for body in bodies if body),
    ]
    class_ = f"{class_} short".strip() if len(lines) <= SHORT else class_
    return scrolling(tag("table", *parts, class_=class_ or None), caption)


def _sides(header: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str | None]:
    """The class of each column."""
    return [
        "number"
        if index and any(row[index] != "" for row in rows) and all(_numeric(row[index]) for row in rows)
        else None
        for index in range(len(header))
    ]


def _numeric(value: object) -> bool:
    """Whether a cell is a number, a number with its interval, or says that there is none."""
    shown = re.sub("<[^>]*>", "", value) if isinstance(value, Safe) else str(value)
    shown = shown.strip()
    return shown in ("", "-", "–", "—") or shown.lstrip("+-−<≤±> ").replace(".", "", 1)[:1].isdigit()


def folded(summary: object, *content: object, open_: bool = False) -> Safe:
    """A long part that a reader opens; print shows it open."""
    return tag("details", tag("summary", summary), *content, open=open_)


def items(lines: Iterable[object]) -> Safe:
    """A list of lines; nothing where there are none."""
    found = [tag("li", line) for line in lines]
    return tag("ul", *found) if found else Safe("")


def paragraphs(*lines: object) -> Safe:
    """A paragraph a line."""
    return join(tag("p", line) for line in lines)
