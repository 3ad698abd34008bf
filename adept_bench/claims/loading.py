"""The ledger from its YAML file; what does not fit is told by file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from adept_bench.claims.ledger import Claim, Ledger
from adept_bench.config.names import METHOD_NAMES, RESERVED_METHODS
from adept_bench.config.sources import Lines, explain, read_yaml
from adept_bench.errors import InputError, unknown_name

LEDGER = Path(__file__).with_name("ledger.yaml")
Named = tuple[tuple[str | int, ...], str, str, Iterable[str]]
"""Place of a name, what it names, the name, and the names there are."""


def load_ledger(path: Path = LEDGER) -> Ledger:
    """The ledger in the file. InputError lists every problem by file and line."""
    data, lines = read_yaml(path)
    try:
        ledger = Ledger.model_validate(data)
    except ValidationError as error:
        raise explain(error.errors(), Ledger, lines, str(path)) from None
    _check_ids(ledger, lines)
    for index, claim in enumerate(ledger.claims):
        for place, kind, value, known in _names(claim, ledger):
            if value not in known:
                raise unknown_name(lines[("claims", index, *place)], kind, value, known)
    return ledger


def _check_ids(ledger: Ledger, lines: Lines) -> None:
    first: dict[str, int] = {}
    for index, claim in enumerate(ledger.claims):
        if claim.id in first:
            where = lines[("claims", index, "id")]
            raise InputError(f"{where}: id {claim.id!r} is already taken; expected another one")
        first[claim.id] = index


def _names(claim: Claim, ledger: Ledger) -> Iterator[Named]:
    """Every name in the claim that must be known."""
    methods = (*METHOD_NAMES, *RESERVED_METHODS, *ledger.variants)
    yield ("measure", "method"), "method", claim.measure.method, methods
    if claim.measure.reference is not None:
        yield ("measure", "reference"), "method", claim.measure.reference, methods
    for number, method in enumerate(claim.also):
        yield ("also", number), "method", method, methods
    for number, reported in enumerate(claim.paper):
        if reported.backbone is not None:
            yield ("paper", number, "backbone"), "backbone", reported.backbone, ledger.backbones
        if reported.task is not None:
            yield ("paper", number, "task"), "task", reported.task, ledger.tasks
