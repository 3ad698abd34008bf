"""One reader a file format: each yields the documents' texts, a part of the file at a time, and names file and line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adept_bench.corpora.columns import chosen_columns, kind_of, row_text, text_of
from adept_bench.corpora.opening import decode, lines, not_utf8, utf16
from adept_bench.errors import InputError

JSON_LIMIT = 1 << 29  # bytes of a .json file, which is parsed whole: its objects take several times as much memory
PEEK = 1 << 20  # bytes of a first line that are looked at
PARAGRAPH_LIMIT = 1 << 26  # characters of a .txt document: a file without blank lines would be a single one
PARQUET_ROWS = 256  # rows decoded at a time
PARQUET_BUFFER = 1 << 20  # bytes of a column read at a time; without it, a whole row group's column is


@dataclass
class Position:
    """How many bytes of the file (as it lies on the disk) have been read: for progress."""

    done: int = 0


def read_jsonl(path: Path, column: str, position: Position | None = None) -> Iterator[str]:
    """A JSON object a line, its text in the field `column`; blank lines are skipped.

    A file that is one JSON value over all its lines is read as `read_json` reads it.
    """
    if _is_one_value(path):
        yield from _json_texts(path, column, position)
        return
    with lines(path, position or Position()) as handle:
        yield from jsonl_texts(handle, column, str(path))


def jsonl_texts(handle: Iterable[bytes], column: str, name: str) -> Iterator[str]:
    """As `read_jsonl`, of lines that are read already; `name` is the file's in messages."""
    start = 0
    for number, raw in enumerate(handle, 1):
        where = f"{name}:{number}"
        line = decode(raw, where, start).removeprefix("\ufeff").rstrip("\r\n")
        start += len(raw)
        if line.strip():
            yield _field(_parse(line, where), column, where)


def read_json(path: Path, column: str, position: Position | None = None) -> Iterator[str]:
    """A list of strings, a list of objects with `column`, or one object whose `column` is a list of strings.

    The file is parsed whole; above `JSON_LIMIT` bytes it is refused with the way to convert it. A file of JSON objects,
    one a line, as many sites call .json too, is read as `read_jsonl` reads it, however large.
    """
    if _is_lines(path):
        with lines(path, position or Position()) as handle:
            yield from jsonl_texts(handle, column, str(path))
        return
    yield from _json_texts(path, column, position)


def _first_line(handle: io.BufferedReader) -> bytes:
    """The first line that is not blank, at most `PEEK` bytes of it."""
    return next((line for line in iter(lambda: handle.readline(PEEK), b"") if line.strip(b"\xef\xbb\xbf \t\r\n")), b"")


def _is_lines(path: Path) -> bool:
    """Whether a .json file is JSON lines: its first line is an object, and another line follows."""
    with lines(path, Position()) as handle:
        first = _first_line(handle)
        try:
            whole = isinstance(json.loads(first.decode("utf-8-sig")), dict)
        except (ValueError, RecursionError):
            return False
        return whole and bool(_first_line(handle))


def _is_one_value(path: Path) -> bool:
    """Whether a .jsonl file is a single JSON value: no object begins with [, and none ends with its first bracket."""
    with lines(path, Position()) as handle:
        first = _first_line(handle).removeprefix(b"\xef\xbb\xbf").strip()
    return first.startswith(b"[") or first == b"{"


def _json_texts(path: Path, column: str, position: Position | None) -> Iterator[str]:
    size = path.stat().st_size
    content = _parse(_whole(path), str(path), count_lines=True)
    if position is not None:
        position.done = size
    if isinstance(content, dict):
        if isinstance(content.get(column), str):  # JSON lines of a single line
            yield _field(content, column, f"{path}:1")
            return
        if not isinstance(content.get(column), list):
            raise InputError(
                f"{path}: expected a list of documents, or an object whose {column!r} is a list of strings"
            )
        for number, text in enumerate(content[column], 1):
            yield text_of(text, f"{path}: item {number} of {column!r}")
        return
    if not isinstance(content, list):
        raise InputError(f"{path}: holds {kind_of(content)}; expected a list of documents")
    for number, entry in enumerate(content, 1):
        where = f"{path}: item {number}"
        yield text_of(entry, where) if isinstance(entry, str) else _field(entry, column, where)


def read_txt(path: Path, column: str, position: Position | None = None) -> Iterator[str]:
    """A document a paragraph; paragraphs are separated by blank lines. Lines end in \\n, \\r\\n or \\r."""
    if column != "text":
        raise InputError(f"{path}: a .txt file has no columns, so #{column} chooses nothing")
    paragraph: list[str] = []
    characters = 0
    for number, line in enumerate(_text_lines(path, position or Position()), 1):
        if line.strip():
            paragraph.append(line)
            characters += len(line)
            if characters > PARAGRAPH_LIMIT:
                raise InputError(
                    f"{path}:{number}: a paragraph of {len(paragraph)} lines and more than {PARAGRAPH_LIMIT} "
                    "characters; expected a blank line behind each document (or .jsonl: a document a line)"
                )
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph, characters = [], 0
    if paragraph:
        yield "\n".join(paragraph)


def _text_lines(path: Path, position: Position) -> Iterator[str]:
    """The lines without their ends. Bytes that are not UTF-8 come out of the decoder as lone surrogates, which valid
    UTF-8 never holds: so they are found without decoding twice, however the lines end and wherever a block begins."""
    raw = lines(path, position)
    start = 0
    with io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="") as text:
        for number, line in enumerate(text, 1):
            try:
                size = len(line) if line.isascii() else len(line.encode("utf-8"))
            except UnicodeEncodeError as error:
                offset = start + len(line[: error.start].encode("utf-8"))
                byte = ord(line[error.start]) - 0xDC00
                raise not_utf8(f"{path}:{number}", byte, offset, utf16(path)) from error
            yield (line.removeprefix("\ufeff") if start == 0 else line).rstrip("\r\n")
            start += size


def read_parquet(path: Path, column: str, position: Position | None = None) -> Iterator[str]:
    """The rows of the column `column`."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from error
    with table:
        chosen = chosen_columns(column, table.schema_arrow.names, "column", str(path))
        size, rows, row = path.stat().st_size, table.metadata.num_rows, 0
        batches = table.iter_batches(batch_size=PARQUET_ROWS, columns=chosen, use_threads=False)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (pyarrow.ArrowException, OSError) as error:
                reason = str(error).splitlines()[0]
                raise InputError(f"{path}: column {column!r} cannot be read behind row {row}: {reason}") from error
            for scalars in zip(*(batch.column(name) for name in chosen), strict=True):
                row += 1
                where = f"{path}: row {row}"
                values = {name: _value(scalar, where) for name, scalar in zip(chosen, scalars, strict=True)}
                yield row_text(values, column, where, "column")
            if position is not None:
                position.done = size * row // rows


def _value(scalar: Any, where: str) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise not_utf8(where, byte, error.start, False) from error


Reader = Callable[..., Iterator[str]]
READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".txt": read_txt,
    ".parquet": read_parquet,
    ".jsonl.gz": read_jsonl,
    ".jsonl.zst": read_jsonl,
    ".txt.gz": read_txt,
    ".txt.zst": read_txt,
}


def ending(path: Path) -> str | None:
    """The one of the readable endings that the file's name has, in small letters; None for any other name."""
    name = path.name.lower()
    return next((known for known in READERS if name.endswith(known)), None)


def _too_large(path: Path) -> InputError:
    filters = """'.[] | if type == "object" then . else {text: .} end'"""
    target = f"{path.name.partition('.')[0]}.jsonl"
    target = target if target != path.name else f"lines-{target}"
    return InputError(
        f"{path}: {path.stat().st_size} bytes; a single JSON value is parsed whole, so that at most {JSON_LIMIT} are "
        f"read; expected .jsonl, which is read line by line: jq -c {filters} {path.name} > {target}"
    )


def _whole(path: Path) -> str:
    if path.stat().st_size > JSON_LIMIT:
        raise _too_large(path)
    with lines(path, Position()) as handle:
        raw = handle.read(JSON_LIMIT + 1)  # compressed, it may be larger than the file
    if len(raw) > JSON_LIMIT:
        raise _too_large(path)
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise not_utf8(f"{path}:{line}", raw[error.start], error.start, utf16(path)) from error


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
    except ValueError as error:  # the one left: a number of thousands of digits
        raise InputError(f"{where}: JSON with a number that is too long: {error}") from error


def _field(entry: Any, column: str, where: str) -> str:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: holds {kind_of(entry)}; expected an object with a {column!r} field")
    return row_text(entry, column, where, "field")
