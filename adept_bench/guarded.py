"""Text and JSON from files that someone else may have written: whatever is in them, one clear line or a plain value.

What can be asked for here is refused before it costs anything: what is no regular file (a FIFO waits for ever, a device
may never end), what is too large for its kind, brackets nested so deeply that a reader which calls itself breaks.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from adept_bench.errors import InputError
from adept_bench.escapes import line

MIB = 1 << 20
SMALL = 1 * MIB  # bytes of what people write by hand: YAML
RECORD = 64 * MIB  # of what programs write: a result, a record, the index of a model's files
MODEL = 512 * MIB  # of a model's JSON, the largest of which is its tokenizer
DEPTH = 100  # brackets inside brackets; JSON that anyone means has ten

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}\n]', re.DOTALL)


class AbsentError(InputError):
    """There is no such file."""


class DamagedError(InputError):
    """There is a file, but what it holds is not what was expected."""


def read_text(path: str | Path, limit: int, expected: str, option: str | None = None) -> str:
    """The UTF-8 text of a regular file, or of a link to one, of at most `limit` bytes.

    Raises InputError, naming file and what was `expected`, behind `option` where one named the file: AbsentError where
    there is none, DamagedError for text that is not UTF-8, too much of it, and for what is neither file nor folder.
    """
    where = f"{option}: {path}" if option else f"{path}"
    try:
        kind = os.stat(path).st_mode  # before it is opened: opening a device may do something
        if not stat.S_ISREG(kind):
            error = InputError if stat.S_ISDIR(kind) else DamagedError
            found = _KINDS.get(stat.S_IFMT(kind), "no file")
            raise error(f"{where}: cannot be read: it is {found}; expected {expected}")
        # does not wait, should it have become a pipe meanwhile
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as handle:
            data = handle.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise AbsentError(f"{where}: there is no such file; expected {expected}") from None
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise InputError(f"{option or 'file'}: {str(path)!r} cannot be the name of a file") from None
    if len(data) > limit:
        raise DamagedError(f"{where}: more than {limit} bytes; expected {expected}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{where}: not UTF-8 text (byte {error.start}); expected {expected}") from None


def parse_json(text: str, where: str, expected: str = "JSON") -> Any:
    """The JSON value in `text`. Raises DamagedError, which begins with `where` and where known the line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DamagedError(f"{where}:{error.lineno}: broken JSON ({error.msg}); expected {expected}") from None
    except RecursionError:
        raise _too_deep(text, where, expected) from None
    except ValueError:  # the one left: a number of thousands of digits
        raise DamagedError(f"{where}: JSON with a number of thousands of digits; expected {expected}") from None
    if _deep(value):
        raise _too_deep(text, where, expected)
    return value


def read_json(path: str | Path, limit: int, expected: str, option: str | None = None) -> Any:
    """`parse_json` of what `read_text` reads."""
    return parse_json(read_text(path, limit, expected, option), f"{option}: {path}" if option else f"{path}", expected)


def one_line(text: str, most: int = 200) -> str:
    """`text` on one line, what cannot be seen escaped, and what is beyond `most` characters left out."""
    return line(text if len(text) <= most else f"{text[: most - 3]}...")


def _deep(value: Any) -> bool:
    """Whether lists and objects are nested more than `DEPTH` deep: looked at level by level, so that no depth breaks
    this."""
    level = [value]
    for _ in range(DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _too_deep(text: str, where: str, expected: str) -> DamagedError:
    depth, line = 0, 1
    for found in _MARKS.finditer(text):
        mark = found[0]
        if mark == "\n":
            line += 1
        elif mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        if depth > DEPTH:
            break
    return DamagedError(f"{where}:{line}: brackets nested more than {DEPTH} deep; expected {expected}")
