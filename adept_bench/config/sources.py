"""YAML with the place of every key, and validation errors that name the place, the value and the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from adept_bench.config.names import EXPECTED
from adept_bench.config.plain_yaml import Lines, Location, parse_yaml
from adept_bench.errors import InputError, nearest
from adept_bench.escapes import line
from adept_bench.guarded import SMALL, one_line, read_text


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """The mapping in the file and, for each key in it, "file:line". InputError where it is no plain YAML mapping."""
    value, lines = parse_yaml(read_text(path, SMALL, "YAML"), str(path))
    if value is None:
        return {}, lines
    if not isinstance(value, dict):
        raise InputError(f"{path}:1: expected keys with values, found {type(value).__name__}")
    return value, lines


def parse_value(text: str, option: str) -> Any:
    """The YAML value in `text`, as --set gives it. InputError names `option`."""
    return parse_yaml(text, option, shown=f"{option}: {one_line(repr(text), 80)} is not a YAML value")[0]


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `change`; mappings merge key by key, all else is replaced."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def merge_lines(base: Lines, change: Lines, data: Mapping[str, Any]) -> Lines:
    """Places after `merged`: a replaced value's inner places do not outlive it. `data` is the change."""

    def replaced(at: Location) -> bool:
        here: Any = data
        for part in at:
            if not isinstance(here, Mapping):
                return True  # something above was replaced by a list or scalar
            if part not in here:
                return False
            here = here[part]
        return True

    return {at: place for at, place in base.items() if not replaced(at)} | change


def place(lines: Lines, at: Location, otherwise: str) -> str:
    """The place of `at`, or of what is nearest above it, or `otherwise`."""
    for end in range(len(at), 0, -1):
        if at[:end] in lines:
            return lines[at[:end]]
    return lines.get((), otherwise)


def dotted(at: Location) -> str:
    """`("training", "betas", 1)` as "training.betas.1"."""
    return ".".join(str(part) for part in at)


def model_at(model: type[BaseModel], at: Location) -> type[BaseModel] | None:
    """The model that the value at `at` has, None where it is none (a scalar, a free mapping)."""
    kind: Any = model
    for part in at:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif isinstance(part, int):
            kind = next((get_args(form)[0] for form in _forms(kind) if get_origin(form) is list), None)
        else:  # dict[str, X]
            kind = next(reversed(get_args(kind)), None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _forms(kind: Any) -> Iterator[Any]:
    """The alternatives of a union, without what they are annotated with; the type itself where it is none."""
    if get_origin(kind) is Annotated:
        yield from _forms(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for form in get_args(kind):
            yield from _forms(form)
    else:
        yield kind


def location(problem: Any) -> Location:
    """Where pydantic's problem is, without what it adds of its own ("[key]") and our tags of alternatives."""
    return tuple(part for part in problem["loc"] if not (isinstance(part, str) and part.startswith("[")))


def keys_of(model: type[BaseModel], at: Location, hidden: tuple[str, ...] = ("name",)) -> list[str]:
    """The keys that may stand at `at`; `hidden` ones come from elsewhere than the file."""
    here = model_at(model, at)
    return [key for key in here.model_fields if at or key not in hidden] if here else []


def explain(problems: Sequence[Any], model: type[BaseModel], lines: Lines, otherwise: str) -> InputError:
    """Pydantic's `problems`, one line each: place, key, value, what was expected, the nearest valid name.

    A key that is missing because its name is misspelled is one problem, that of the unknown name.
    """
    meant = {
        (*at[:-1], close)
        for problem in problems
        if problem["type"] == "extra_forbidden"
        and (close := nearest(str((at := location(problem))[-1]), keys_of(model, at[:-1])))
    }
    own = [problem for problem in problems if problem["type"] != "missing" or location(problem) not in meant]
    sentences = [_sentence(problem, model, lines, otherwise) for problem in own]
    return InputError("\n".join(sorted(sentences, key=_in_file_order)))


def _in_file_order(sentence: str) -> tuple[str, int]:
    found = re.match(r"(.*?):(\d+): ", sentence)
    return (found[1], int(found[2])) if found else ("", 0)


def _sentence(problem: Any, model: type[BaseModel], lines: Lines, otherwise: str) -> str:
    at = location(problem)
    where, key, value = place(lines, at, otherwise), line(dotted(at)), problem["input"]
    kind = problem["type"]
    if kind == "extra_forbidden":
        return unknown_key(where, at, keys_of(model, at[:-1]))
    if kind == "missing":
        return f"{where}: {key} is missing"
    if kind == "value_error":
        return f"{where}: {key + ': ' if key else ''}{problem['ctx']['error']}"
    if kind in ("model_type", "dict_type"):
        keys = keys_of(model, at)
        expected = f"keys with values{' (' + ', '.join(keys) + ')' if keys else ''}"
    elif kind == "string_pattern_mismatch" and problem["ctx"]["pattern"] in EXPECTED:
        expected = EXPECTED[problem["ctx"]["pattern"]]
    else:
        expected = (
            problem["msg"].removeprefix("Input should be ").removeprefix("a valid ").partition(", unable to parse")[0]
        )
    hint = ""
    if kind == "literal_error" and isinstance(value, str):
        close = nearest(value, re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
        hint = f"; did you mean {close!r}?" if close else ""
    return f"{where}: {key}: {one_line(repr(value))} is not valid; expected {expected}{hint}"


def unknown_key(where: str, at: Location, known: list[str]) -> str:
    """The line for a key that does not exist; `known` are those that may stand in its place."""
    above = dotted(at[:-1])
    close = nearest(str(at[-1]), known)
    hint = f"; did you mean {dotted((*at[:-1], close))!r}?" if close else ""
    inside = f"keys of {above}" if above else "keys"
    return f"{where}: unknown key {dotted(at)!r}; {inside}: {', '.join(known)}{hint}"
