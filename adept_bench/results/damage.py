"""Why a file that was refused is no result, on one line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from adept_bench.config.names import EXPECTED
from adept_bench.guarded import DamagedError, one_line, parse_json


def damage(path: Path, text: str, error: ValidationError, kind: str, version: int) -> DamagedError:
    """The error for a file of `kind` ("cell") whose `text` pydantic refused: "file:line: reason" or "file: reason".

    Only such a text is parsed a second time.
    """
    try:
        content = parse_json(text, str(path), f"the file of a {kind}")
    except DamagedError as broken:
        return broken
    found = content.get("schema_version") if isinstance(content, dict) else None
    if type(found) is not int or found != version:  # true and 1.0 are equal to 1
        return DamagedError(f"{path}: schema_version {_short(found)} is not known here; expected {version}")
    return DamagedError(f"{path}: not a valid {kind}: {explained(error)}")


def explained(error: ValidationError) -> str:
    """The first problem, where it is, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    said = first["msg"]
    if first["type"] == "string_pattern_mismatch" and first["ctx"]["pattern"] in EXPECTED:
        said = f"{first['input']!r} is not valid; expected {EXPECTED[first['ctx']['pattern']]}"
    return f"{one_line((where + ': ' if where else '') + said)}{more}"


def _short(value: object) -> str:
    return one_line(repr(value), 40)
