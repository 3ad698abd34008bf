"""Errors a user can act on, each one clear line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad usage, configuration or input: the command prints the message and ends with exit code 2.

    The message names the option or the file and line, the value, what was expected and, where there is one, the
    nearest valid name.
    """


def nearest(value: str, names: Iterable[str]) -> str | None:
    """The valid name closest to `value`, or None when nothing is close."""
    known = {name.lower(): name for name in names}
    found = difflib.get_close_matches(value.lower(), known, n=1, cutoff=0.5)
    return known[found[0]] if found else None


def unknown_name(where: str, kind: str, value: str, names: Iterable[str]) -> InputError:
    """The error for a name that does not exist: `where` is the option or file that holds it."""
    names = list(names)
    close = nearest(value, names)
    hint = f"; did you mean {close!r}?" if close else ""
    return InputError(f"{where}: unknown {kind} {value!r}; expected one of: {', '.join(names)}{hint}")
