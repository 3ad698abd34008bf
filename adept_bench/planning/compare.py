"""Predicted beside measured, for stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import ValidationError

from adept_bench.analysis.clock import apart
from adept_bench.config.schema import RunConfig, SelectionConfig
from adept_bench.errors import InputError
from adept_bench.planning.devices import CPU_BANDWIDTH, CPU_RATE
from adept_bench.planning.estimate import Estimate, Workbench
from adept_bench.planning.timing import Rate
from adept_bench.results.damage import explained
from adept_bench.results.schema import Cell

REFERENCE = "full"
WITHIN = 0.25  # what the plan promises on the lab preset


@dataclass(frozen=True)
class Pair:
    """A cell and its estimate."""

    cell: Cell
    estimate: Estimate


def compared(results: Path, preset: str, suite: str) -> dict[str, Any]:
    """Plain JSON values: "preset", "suite", "rows" (one a cell that trains) and "summary" (one a method).

    A row: method, seed, and for parameters, trainable, operations, seconds and memory {"predicted", "measured",
    "error"} (error: predicted / measured - 1; None where they cannot be compared, and "why").
    Seconds are predicted at the rate that the seed's own `full` cell reached, memory from the peak of that cell less
    its predicted parts, which is the process without the model; both therefore say nothing of `full` itself.
    Where the cells record their share of the processor, processor seconds are compared, else wall time.
    Raises InputError where there are no stored cells.
    """
    from adept_bench.results.store import Store

    cells = [cell for cell in Store(results).load_all(preset, suite) if cell.training.steps]
    if not cells:
        raise InputError(
            f"--compare: no trained result of {suite} on {preset} in {str(results)!r}; run the suite first"
        )
    bench = _Benches()
    pairs = [Pair(cell, bench.estimate(cell)) for cell in cells]
    references = {pair.cell.seed: pair for pair in pairs if pair.cell.method == REFERENCE}
    rows = [_row(pair, references.get(pair.cell.seed)) for pair in pairs]
    return {"preset": preset, "suite": suite, "rows": rows, "summary": _summary(rows)}


class _Benches:
    """A workbench a base model."""

    def __init__(self) -> None:
        self.by_source: dict[tuple[str, str], Workbench] = {}

    def estimate(self, cell: Cell) -> Estimate:
        from adept_bench.methods.registry import get
        from adept_bench.planning.architectures import config_of

        config = run_config(cell)
        key = (config.model.source, config.model.dtype)
        if key not in self.by_source:
            architecture, _ = config_of(config.model)
            self.by_source[key] = Workbench(architecture, config.model.dtype, config.model.trust_remote_code)
        name = cell.variant.of if cell.variant else cell.method
        layers = cell.model.expanded_layers or cell.method_definition.get("trained_layers")
        if layers:  # those that importance, then known, has chosen
            options = config.options.model_copy(update={"layers": list(layers), "k": len(layers)})
            config = config.model_copy(update={"options": options})
        return Estimate(self.by_source[key], get(name, config.options), config, cell.seed, ())


def run_config(cell: Cell) -> RunConfig:
    """The configuration that a stored cell was run with; its learning rate is the one it was given.

    Raises InputError for a cell whose configuration is none of a run.
    """
    stored = {name: part for name, part in cell.config.items() if name in RunConfig.model_fields}
    rate = cell.learning_rate.value if cell.learning_rate else None
    try:
        return RunConfig.model_validate({**stored, "selection": SelectionConfig(grid=[rate or 1e-4]).model_dump()})
    except ValidationError as error:
        raise InputError(f"{cell.preset}/{cell.suite}/{cell.stem}.json: config: {explained(error)}") from None


def _row(pair: Pair, reference: Pair | None) -> dict[str, Any]:
    cell, estimate = pair.cell, pair.estimate
    row: dict[str, Any] = {
        "method": cell.method,
        "seed": cell.seed,
        "parameters": _both(estimate.shape.total, cell.model.total_parameters),
        "trainable": _both(estimate.shape.trainable, cell.model.trainable_parameters),
        "operations": _both(estimate.operations.train, cell.cost.train_flops),
        "seconds": {**_both(None, _processor_seconds(cell)), "why": f"no {REFERENCE} result of seed {cell.seed}"},
        "memory": {**_both(None, cell.cost.peak_memory_bytes), "why": f"no {REFERENCE} result of seed {cell.seed}"},
    }
    if reference is None:
        return row
    if reference is pair:
        row["seconds"]["why"] = row["memory"]["why"] = "what the others are predicted from"
        return row
    process = reference.cell.cost.peak_memory_bytes - reference.estimate.peak
    row["memory"] = {**_both(process + estimate.peak, cell.cost.peak_memory_bytes), "why": None}
    why = _not_comparable(cell, reference.cell)
    row["seconds"]["why"] = why
    if why is None:
        rate = _reached(reference)
        predicted = estimate.seconds(rate)["training"]
        row["seconds"] = {**_both(predicted, _processor_seconds(cell)), "why": None}
    return row


def _reached(reference: Pair) -> Rate:
    """The rate of the reference cell; the bandwidth differs from the lab machine's as the rate does."""
    rate = reference.estimate.operations.train / _processor_seconds(reference.cell)
    return Rate(rate, CPU_BANDWIDTH * rate / CPU_RATE, f"{REFERENCE}, seed {reference.cell.seed}")


def _share(cell: Cell) -> float | None:
    found = cell.cost.details.get("cpu_share")
    return float(found) if isinstance(found, int | float) else None


def _processor_seconds(cell: Cell) -> float:
    """Training seconds times the share of the processor that the cell got, where that is recorded."""
    share = _share(cell)
    return cell.cost.train_seconds * (1.0 if share is None else share)


def _not_comparable(cell: Cell, other: Cell) -> str | None:
    if (_share(cell) is None) != (_share(other) is None):
        return "only one of the two records its share of the processor"
    if _share(cell) is not None and (cell.provenance.device, cell.cost.threads) == (
        other.provenance.device,
        other.cost.threads,
    ):
        return None  # processor seconds, which a busy machine changes little
    return apart(cell, other)


def _both(predicted: float | None, measured: float) -> dict[str, Any]:
    error = predicted / measured - 1 if predicted is not None and measured else None
    return {"predicted": predicted, "measured": measured, "error": error}


QUANTITIES = ("parameters", "trainable", "operations", "memory", "seconds")


def _summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By method: the median and the largest error of each quantity, and of how many cells."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        line: dict[str, Any] = {"method": method}
        for quantity in QUANTITIES:
            errors = [
                row[quantity]["error"] for row in rows if row["method"] == method and row[quantity]["error"] is not None
            ]
            largest = max(errors, key=abs, default=None)
            line[quantity] = {"median": median(errors) if errors else None, "largest": largest, "cells": len(errors)}
        found.append(line)
    return found


def tables(found: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """The summary as text."""
    header = ["method", "cells", *[f"{name}" for name in QUANTITIES]]
    rows = []
    for line in found["summary"]:
        cells = max(line[name]["cells"] for name in QUANTITIES)
        rows.append([line["method"], str(cells), *[_errors(line[name]) for name in QUANTITIES]])
    title = f"Predicted less measured, {found['suite']} on {found['preset']}: median (largest)"
    return [(title, header, rows)]


def _errors(one: dict[str, Any]) -> str:
    if one["median"] is None:
        return "-"
    return f"{one['median']:+.1%} ({one['largest']:+.1%})"


def notes(found: dict[str, Any]) -> list[str]:
    """What was compared, and what not."""
    lines = [
        f"seconds and memory: predicted from the {REFERENCE} result of the same seed (its rate; its process without "
        "the model); processor seconds where the cells record their share of the processor, else wall time, which "
        "other work on the machine changes"
    ]
    reasons: dict[str, list[str]] = {}
    for row in found["rows"]:
        if row["seconds"]["why"]:
            reasons.setdefault(row["seconds"]["why"].split(" (")[0], []).append(f"{row['method']}-seed{row['seed']}")
    lines += [f"seconds of {', '.join(names[:4])}{_more(names)}: {why}" for why, names in reasons.items()]
    outside = [
        f"{row['method']}-seed{row['seed']} {row['seconds']['error']:+.0%}"
        for row in found["rows"]
        if row["seconds"]["error"] is not None and abs(row["seconds"]["error"]) > WITHIN
    ]
    if outside:
        lines.append(f"seconds off by more than {WITHIN:.0%}: {', '.join(outside[:8])}{_more(outside, 8)}")
    return lines


def _more(names: Sequence[str], shown: int = 4) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""
