"""What `--select-lr` stored of its trials, checked before anything is chosen by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from adept_bench.errors import InputError
from adept_bench.guarded import RECORD, read_json
from adept_bench.results.damage import explained
from adept_bench.results.values import HUGE, Count, Number

EXPECTED = "a file of chosen learning rates; remove it or run --select-lr"
_FREE = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


@with_config(_FREE)
class StoredTrial(TypedDict):
    learning_rate: Annotated[float, Field(gt=0, le=HUGE)]
    score: Number
    seed: NotRequired[Count]


@with_config(_FREE)
class StoredMethod(TypedDict):
    trials: Annotated[list[StoredTrial], Field(min_length=1)]
    settings: NotRequired[dict[str, Any]]


@with_config(_FREE)
class Evidence(TypedDict):
    criterion: str
    protocol: dict[str, Any]
    methods: dict[str, StoredMethod]


_ADAPTER = TypeAdapter(Evidence)


def read_evidence(path: Path) -> dict[str, Any]:
    """The content of the file: criterion, protocol, methods by name. Raises InputError, naming it, for any other."""
    content = read_json(path, RECORD, EXPECTED)
    try:
        _ADAPTER.validate_python(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explained(error)}; expected {EXPECTED}") from None
    return dict(content)
