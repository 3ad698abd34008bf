"""The text of a row: of one column or field, or of several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adept_bench.errors import InputError, nearest


def row_text(row: dict[str, Any], column: str, where: str, kind: str = "column") -> str:
    """The text of a row in `column`, or in several (`question,answer`): in the order named, a line break between them.

    Of several, blank ones are left out. A list of messages ({"role", "content"} or {"from", "value"}) is the text of
    its messages, a line break between them. Raises InputError, naming `where`, for a column that is not there and for
    what is no text.
    """
    chosen = chosen_columns(column, row, kind, where)
    texts = [text_of(_messages(row[name]), f"{where}: {kind} {name!r}") for name in chosen]
    return texts[0] if len(texts) == 1 else "\n".join(text for text in texts if text.strip())


def chosen_columns(column: str, there: Iterable[str], kind: str, where: str) -> list[str]:
    """The columns that `column` names: the one of that very name, else those between its commas."""
    names = list(there)
    chosen = [column] if column in names else column.split(",")
    for name in chosen:
        if name not in names:
            raise InputError(f"{where}: {_no_field(kind, name, names)}")
    return chosen


def _messages(value: Any) -> Any:
    """The text of a list of messages; any other value as it is."""
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        return value
    texts = [message.get("content", message.get("value")) for message in value]
    return "\n".join(texts) if texts and all(isinstance(text, str) for text in texts) else value


def _no_field(kind: str, column: str, names: list[str]) -> str:
    close = nearest(column, names)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"no {kind} {column!r}; there are: {', '.join(names) or 'none'} (choose one with FILE#{kind.upper()}){hint}"


def text_of(value: Any, where: str) -> str:
    """The value, which must be text that UTF-8 can hold; else InputError, naming `where`."""
    if not isinstance(value, str):
        raise InputError(f"{where} holds {kind_of(value)}; expected text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds half a surrogate pair, which is not valid Unicode text") from error
    return value


def kind_of(value: Any) -> str:
    """What a value of JSON is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
