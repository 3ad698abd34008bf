"""Small files that still read well: arrays on one line, unit rates as columns, seven significant digits."""

from __future__ import annotations

import json
from typing import Any

SIGNIFICANT = 7  # float32 carries no more
ROW_FIELDS = ("name", "layer", "importance", "normalized", "lr_scale", "learning_rate")


def dumps(value: Any) -> str:
    """JSON with sorted keys, one line a field; lists of scalars, and flat records in a list, stay on one line.

    Raises ValueError for NaN and infinity, TypeError for what JSON cannot hold.
    """
    return _dump(value, 0) + "\n"


def _dump(value: Any, depth: int) -> str:
    if not value or not isinstance(value, (dict, list, tuple)) or _flat_list(value):
        return _line(value)
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict):
        fields = [f"{_line(str(key))}: {_dump(value[key], depth + 1)}" for key in sorted(value)]
        return "{" + inner + ("," + inner).join(fields) + outer + "}"
    records = [_line(item) if _flat_record(item) else _dump(item, depth + 1) for item in value]
    return "[" + inner + ("," + inner).join(records) + outer + "]"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _flat_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and not any(isinstance(item, (dict, list, tuple)) for item in value)


def _flat_record(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(item, (dict, list, tuple)) for item in value.values())


def rounded(value: Any) -> Any:
    """`value` with every float at seven significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def compact_training(training: dict[str, Any]) -> dict[str, Any]:
    """The `training` block with refreshes as columns and short floats.

    A refresh may come as rows, `{"step", "units": [{"name", "layer", "importance", "normalized", "lr_scale",
    "learning_rate", ...}]}`; its further fields become columns under `details`. Columns are taken as they are.
    Raises ValueError where two refreshes do not list the same units.
    """
    refreshes = training.get("refreshes") or []
    training = dict(training)
    if any("units" in refresh for refresh in refreshes):
        names = [unit["name"] for unit in refreshes[0]["units"]]
        training["units"] = {"name": names, "layer": [unit.get("layer") for unit in refreshes[0]["units"]]}
        training["refreshes"] = [_columns(refresh, names) for refresh in refreshes]
    for field in ("curve", "refreshes"):
        training[field] = rounded(training.get(field) or [])
    return training


def _columns(refresh: dict[str, Any], names: list[str]) -> dict[str, Any]:
    units = {unit["name"]: unit for unit in refresh["units"]}
    if len(units) != len(refresh["units"]) or set(units) != set(names):
        raise ValueError(f"training.refreshes: step {refresh['step']} lists other units than the first refresh")
    columns: dict[str, Any] = {field: [units[name].get(field) for name in names] for field in ROW_FIELDS[2:]}
    further = sorted({field for unit in units.values() for field in unit} - set(ROW_FIELDS))
    columns["details"] = {field: [units[name].get(field) for name in names] for field in further}
    return {"step": refresh["step"], **columns}
