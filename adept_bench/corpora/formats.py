"""One reader a file format: each yields the documents' texts and raises InputError naming file and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError, nearest


def read_jsonl(path: Path, column: str) -> Iterator[str]:
    """A JSON object a line, its text in the field `column`; blank lines are skipped."""
    with open(path, "rb") as handle:
        for number, raw in enumerate(handle, 1):
            where = f"{path}:{number}"
            line = _decode(raw, where).removeprefix("\ufeff").rstrip("\r\n")
            if line.strip():
                yield _field(_parse(line, where), column, where)


def read_json(path: Path, column: str) -> Iterator[str]:
    """A list of strings, a list of objects with `column`, or one object whose `column` is a list of strings."""
    content = _parse(_whole(path), str(path), count_lines=True)
    if isinstance(content, dict):
        if not isinstance(content.get(column), list):
            raise InputError(
                f"{path}: expected a list of documents, or an object whose {column!r} is a list of strings"
            )
        for number, text in enumerate(content[column], 1):
            yield _text(text, f"{path}: item {number} of {column!r}")
        return
    if not isinstance(content, list):
        raise InputError(f"{path}: holds {_kind(content)}; expected a list of documents")
    for number, entry in enumerate(content, 1):
        where = f"{path}: item {number}"
        yield _text(entry, where) if isinstance(entry, str) else _field(entry, column, where)


def read_txt(path: Path, column: str) -> Iterator[str]:
    """A document a paragraph; paragraphs are separated by blank lines."""
    if column != "text":
        raise InputError(f"{path}: a .txt file has no columns, so #{column} chooses nothing")
    paragraph: list[str] = []
    for line in [*_whole(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph = []


def read_parquet(path: Path, column: str) -> Iterator[str]:
    """The rows of the column `column`."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from error
    with table:
        names = table.schema_arrow.names
        if column not in names:
            raise InputError(f"{path}: {_no_field('column', column, names)}")
        row = 0
        for batch in table.iter_batches(columns=[column]):
            for value in batch.column(0).to_pylist():
                row += 1
                yield _text(value, f"{path}: row {row}: column {column!r}")


READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".txt": read_txt,
    ".parquet": read_parquet,
}


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: byte {raw[error.start]:#04x} is not valid UTF-8; expected UTF-8 text") from error


def _whole(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # with a byte order mark, the codec counts from behind it
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise InputError(f"{path}:{line}: byte {byte:#04x} is not valid UTF-8; expected UTF-8 text") from error


def _parse(text: str, where: str, *, count_lines: bool = False) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{where}:{error.lineno}" if count_lines else where
        shown = text.strip()[:60] if not count_lines else ""
        raise InputError(
            f"{where}: not JSON ({error.msg} at column {error.colno}){': ' + shown if shown else ''}"
        ) from error
    except RecursionError as error:
        raise InputError(f"{where}: JSON nested too deeply") from error


def _field(entry: Any, column: str, where: str) -> str:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: holds {_kind(entry)}; expected an object with a {column!r} field")
    if column not in entry:
        raise InputError(f"{where}: {_no_field('field', column, list(entry))}")
    return _text(entry[column], f"{where}: field {column!r}")


def _no_field(kind: str, column: str, names: list[str]) -> str:
    close = nearest(column, names)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"no {kind} {column!r}; there are: {', '.join(names) or 'none'} (choose one with FILE#{kind.upper()}){hint}"


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where} holds {_kind(value)}; expected text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds half a surrogate pair, which is not valid Unicode text") from error
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
