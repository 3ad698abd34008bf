"""The file of chosen learning rates, `<results>/<preset>/<suite>/learning-rates.json`: whole, or made whole again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from adept_bench.errors import InputError
from adept_bench.files import DamagedFileError, log_aside, read_sealed, write_sealed
from adept_bench.results.damage import explained
from adept_bench.results.values import HUGE, Count, Number

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig

EVIDENCE = "learning-rates.json"
_FREE = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


@with_config(_FREE)
class _Trial(TypedDict):
    learning_rate: Annotated[float, Field(gt=0, le=HUGE)]
    score: Number
    seed: NotRequired[Count]


@with_config(_FREE)
class _Chosen(TypedDict):
    trials: Annotated[list[_Trial], Field(min_length=1)]
    settings: NotRequired[dict[str, Any]]


@with_config(_FREE)
class _Evidence(TypedDict):
    criterion: str
    protocol: dict[str, Any]
    methods: dict[str, _Chosen]


_EVIDENCE = TypeAdapter(_Evidence)


def evidence_path(results: Path, config: RunConfig) -> Path:
    """Where `--select-lr` stores its trials and choices."""
    return results / config.preset / config.suite / EVIDENCE


def store(path: Path, content: dict[str, Any]) -> None:
    """Write trials and choices, and a second copy of them into the results' .work folder."""
    for place in (_second(path), path):
        write_sealed(place, content)


def evidence(path: Path, *, replaced: bool = False) -> dict[str, Any] | None:
    """The trials and choices in the file (criterion, protocol, methods), None where there is none.

    A damaged file is set aside and made again from its second copy. Where that is not whole either: InputError, since
    going on would be training at other rates than the chosen ones; with `replaced`, for who chooses anew, the file is
    set aside, and there is none.
    """
    try:
        return _checked(path) if path.is_file() else None
    except (OSError, DamagedFileError) as error:
        why = f"{path}: damaged: not a file of chosen learning rates ({error})"
    try:
        second = _checked(_second(path))
    except (OSError, DamagedFileError):
        if not replaced:
            raise InputError(f"{why}; expected one: --select-lr chooses again, from the stored trials") from None
        log_aside(path, why, "methods that are not chosen for now need their --select-lr again")
        return None
    log_aside(path, why, f"made again from {_second(path)}")
    write_sealed(path, second)
    return second


def _second(path: Path) -> Path:
    from adept_bench.suite.cell import WORK

    preset, suite, name = path.parts[-3:]
    return path.parents[2] / WORK / preset / suite / name


def _checked(path: Path) -> dict[str, Any]:
    """The content of a file of evidence. Raises DamagedFileError for any other."""
    found = read_sealed(path)
    try:
        _EVIDENCE.validate_python(found)
    except ValidationError as error:
        raise DamagedFileError(explained(error)) from None
    return found
