"""YAML that someone else may have written: plain values with the place of every key, or one clear line.

What would cost much is refused from the stream of events, before anything is built: brackets in brackets, and aliases,
of which a few lines can stand for gigabytes or for a value that holds itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from adept_bench.guarded import DEPTH, DamagedError, one_line

NODES = 100_000  # keys and values, those counted again that an alias stands for; our largest file has 3,000
DIGITS = 400  # characters of a number; no float has more, and reading them takes the square of their count

Location = tuple[str | int, ...]
Lines = dict[Location, str]

_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
# what YAML takes no part in: control characters but tab and line ends, and halves of characters
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-3 as a number, as YAML 1.2 does and as people mean it."""


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same in C, where PyYAML has it: seven times as fast, but less clear about what is wrong."""


for _one in (_Loader, _FastLoader):
    _one.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def parse_yaml(text: str, where: str, shown: str | None = None) -> tuple[Any, Lines]:
    """The value of the YAML in `text` (None where there is none) and, for each key in it, "where:line".

    Raises DamagedError for all that is no plain YAML: its message begins with "where:line: not valid YAML", or with
    `shown` where that is given, for a text that stands on no line.
    """
    source = _Source(text, where, shown)
    if found := _CONTROL.search(text):
        raise source.refused(text.count("\n", 0, found.start()), _named(found[0]))
    try:
        try:
            return source.parsed(_FastLoader)
        except yaml.YAMLError:
            return source.parsed(_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise source.refused(mark.line if mark else None, error.problem or error.context or "unreadable") from None
    except yaml.YAMLError as error:
        raise source.refused(None, str(error).splitlines()[0]) from None


class _Source:
    """A text, and how its places are named."""

    def __init__(self, text: str, where: str, shown: str | None) -> None:
        self.text, self.where, self.shown = text, where, shown
        self.lines: Lines = {}

    def refused(self, line: int | None, problem: str) -> DamagedError:
        """`line`: counted from 0."""
        begin = self.shown or f"{self.where}{'' if line is None else f':{line + 1}'}: not valid YAML"
        return DamagedError(f"{begin}: {one_line(problem)}")

    def parsed(self, kind: type[Any]) -> tuple[Any, Lines]:
        """Raises YAMLError too, as the library words it."""
        self.lines = {}
        self._check(kind)
        loader = kind(self.text)
        try:
            node = loader.get_single_node()
            return (self._built(loader, node, ()) if node is not None else None), self.lines
        finally:
            loader.dispose()

    def _check(self, kind: type[Any]) -> None:
        """Depth, and how many values there are once every alias has its own."""
        total, opened = 0, list[tuple[str | None, int]]()  # of each list or mapping: its anchor, values before it
        sizes = dict[str | None, int | None]()  # values below an anchor; None while it is open
        for event in yaml.parse(self.text, Loader=kind):
            line = event.start_mark.line if event.start_mark else None
            if isinstance(event, yaml.AliasEvent):
                size = sizes.get(event.anchor, 1)  # an anchor that does not exist is refused later
                if size is None:
                    raise self.refused(line, f"*{event.anchor} stands inside of what it stands for")
                total += size
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = opened.pop()
                if anchor is not None:
                    sizes[anchor] = total - before
            elif isinstance(event, yaml.NodeEvent):
                total += 1
                if event.anchor is not None:
                    sizes[event.anchor] = 1
                if isinstance(event, yaml.CollectionStartEvent):
                    opened.append((event.anchor, total - 1))
                    if event.anchor is not None:
                        sizes[event.anchor] = None
            if len(opened) > DEPTH:
                raise self.refused(line, f"nested more than {DEPTH} deep")
            if total > NODES:
                raise self.refused(line, f"more than {NODES} values, aliases counted as what they stand for")

    def _built(self, loader: Any, node: yaml.Node, at: Location) -> Any:
        line = node.start_mark.line
        self.lines.setdefault(at, f"{self.where}:{line + 1}")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(loader, node)
        plain = f"{_TAG}map" if isinstance(node, yaml.MappingNode) else f"{_TAG}seq"
        if node.tag != plain:
            raise self.refused(line, f"the tag {node.tag.replace(_TAG, '!!')!r} is not known here")
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(loader, node, at))
        return [self._built(loader, item, (*at, index)) for index, item in enumerate(node.value)]

    def _pairs(self, loader: Any, node: yaml.MappingNode, at: Location) -> Iterator[tuple[str, Any]]:
        known = set[str]()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._bad_key(line, "a key must be a plain name")
            key = str(key_node.value)
            if found := _CONTROL.search(key):
                raise self._bad_key(line, f"{_named(found[0])} in a key")
            if key in known:
                before = "" if self.shown else f" at {self.lines[(*at, key)]}"
                raise self._bad_key(line, f"key {key!r} is already set{before}")
            known.add(key)
            self.lines[(*at, key)] = f"{self.where}:{line + 1}"
            yield key, self._built(loader, value_node, (*at, key))

    def _bad_key(self, line: int, problem: str) -> DamagedError:
        return DamagedError(f"{self.shown}: {problem}" if self.shown else f"{self.where}:{line + 1}: {problem}")

    def _scalar(self, loader: Any, node: yaml.ScalarNode) -> Any:
        text, line = node.value, node.start_mark.line
        if found := _CONTROL.search(text):
            raise self.refused(line, _named(found[0]))
        kind = node.tag.removeprefix(_TAG)
        if node.tag != _TEXT and len(text) > DIGITS:
            raise self.refused(line, f"{text[:20]}... has {len(text)} characters, too many for {kind}")
        try:
            return loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            raise self.refused(line, f"{text!r} is no {kind}; in quotes it is text") from None


def _named(character: str) -> str:
    return f"the control character U+{ord(character):04X}"
