"""The file of chosen learning rates, `<results>/<preset>/<suite>/learning-rates.json`: whole, or made whole again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.files import DamagedFileError, log_aside, read_sealed, write_sealed

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig

EVIDENCE = "learning-rates.json"


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
    methods = found.get("methods")
    if not (isinstance(found.get("criterion"), str) and isinstance(found.get("protocol"), dict)):
        raise DamagedFileError("no criterion or no protocol")
    if not isinstance(methods, dict) or not all(map(_is_entry, methods.values())):
        raise DamagedFileError("a method without trials of a rate and a score each")
    return found


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("trials"), list) or not entry["trials"]:
        return False
    return isinstance(entry.get("settings", {}), dict) and all(map(_is_trial, entry["trials"]))


def _is_trial(trial: Any) -> bool:
    return isinstance(trial, dict) and all(
        isinstance(trial.get(name), (int, float)) for name in ("learning_rate", "score")
    )
