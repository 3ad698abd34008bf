"""The comparison of methods: one row a method, for each (preset, suite), as plain JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from adept_bench.analysis.clock import timed_with
from adept_bench.analysis.paired import Estimate, flips, paired_difference, paired_values
from adept_bench.analysis.protocol import group_tasks
from adept_bench.config.names import METHOD_NAMES
from adept_bench.errors import InputError
from adept_bench.results.schema import Cell

REFERENCES = ("vanilla", "full")


def methods_in_order(names: Iterable[str]) -> list[str]:
    """Core methods, then variants, then others by name."""
    known = {name: index for index, name in enumerate(METHOD_NAMES)}
    return sorted(set(names), key=lambda name: (known.get(name, len(known)), name))


def groups_in_order(names: Iterable[str]) -> list[str]:
    """General, domain, then others by name."""
    known = {"general": 0, "domain": 1}
    return sorted(set(names), key=lambda name: (known.get(name, len(known)), name))


def comparisons(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """`comparison` of each (preset, suite) among `cells`, in order of name; presets and suites never mix."""
    keys = sorted({(cell.preset, cell.suite) for cell in cells})
    return [comparison([cell for cell in cells if (cell.preset, cell.suite) == key]) for key in keys]


def comparison(cells: Sequence[Cell]) -> dict[str, Any]:
    """One table: {"preset", "suite", "groups", "losses", "rows", "notes"}; all cells of one preset and suite.

    A row: "method", "seeds", "groups" (name -> "mean", "chance_corrected", "items"), "differences" (reference -> group
    -> estimate or None), "flips" (group -> counts against vanilla, or None), "losses" (corpus -> "before", "after"),
    "loss_differences" (reference -> corpus -> estimate), "trainable_fraction", "train_seconds", "train_seconds_ratio",
    "train_flops", "train_flops_ratio", "tokens", "probe_seconds", "peak_memory_bytes", "learning_rate". Scores are
    shares (0..1), a ratio is to `full` over the seeds both have, of seconds over those timed alike (`clock`). What
    cannot be compared is None or left out, and a note says why.
    """
    by_method = {
        name: sorted((cell for cell in cells if cell.method == name), key=lambda cell: cell.seed)
        for name in methods_in_order(cell.method for cell in cells)
    }
    notes: list[str] = []
    training = {name: mine for name, mine in by_method.items() if any(cell.training.steps for cell in mine)}
    timed, reasons = timed_with(training, by_method.get("full", []))
    rows = [_row(name, by_method, timed.get(name, []), notes) for name in by_method]
    notes += reasons
    if len({tuple(row["seeds"]) for row in rows}) > 1:
        notes.append("methods have different seeds: means are over a row's own seeds, differences over common ones")
    return {
        "preset": cells[0].preset,
        "suite": cells[0].suite,
        "groups": groups_in_order(group for cell in cells for group in cell.groups),
        "losses": groups_in_order(name for cell in cells for name in cell.losses),
        "rows": rows,
        "notes": list(dict.fromkeys(notes)),
    }


def _row(method: str, by_method: dict[str, list[Cell]], timed: Sequence[Cell], notes: list[str]) -> dict[str, Any]:
    cells = by_method[method]
    groups = groups_in_order(group for cell in cells for group in cell.groups)
    losses = groups_in_order(name for cell in cells for name in cell.losses)
    references = {name: by_method[name] for name in REFERENCES if name in by_method and name != method}
    full = by_method.get("full", [])

    def attempt(compute: Callable[[], Any]) -> Any:
        """The result, or None with a note where the cells cannot be compared."""
        try:
            return compute()
        except InputError as reason:
            notes.append(str(reason))
            return None

    def difference(reference: list[Cell], group: str) -> dict[str, Any] | None:
        found: Estimate | None = attempt(lambda: paired_difference(cells, reference, group))
        return found.as_dict() if found else None

    def loss_difference(reference: list[Cell], name: str) -> dict[str, Any] | None:
        found: Estimate | None = attempt(lambda: paired_values(cells, reference, lambda cell: cell.losses[name].after))
        return found.as_dict() if found else None

    def flipped(group: str) -> dict[str, int] | None:
        found = attempt(lambda: flips(cells, references["vanilla"], group)) if "vanilla" in references else None
        return asdict(found) if found else None

    attempt(lambda: [group_tasks(cells, group) for group in groups])
    return {
        "method": method,
        "seeds": [cell.seed for cell in cells],
        "groups": {group: _group(cells, group) for group in groups},
        "differences": {
            name: {group: difference(reference, group) for group in groups} for name, reference in references.items()
        },
        "flips": {group: flipped(group) for group in groups},
        "losses": {name: _losses(cells, name) for name in losses},
        "loss_differences": {
            name: {loss: loss_difference(reference, loss) for loss in losses if _all_have(loss, cells, reference)}
            for name, reference in references.items()
        },
        "trainable_fraction": _mean(cell.model.trainable_fraction for cell in cells),
        "train_seconds": _mean(cell.cost.train_seconds for cell in cells),
        "train_seconds_ratio": _ratio(timed, full, lambda cell: cell.cost.train_seconds),
        "train_flops": _mean(cell.cost.train_flops for cell in cells),
        "train_flops_ratio": _ratio(cells, full, lambda cell: cell.cost.train_flops),
        "tokens": _mean(cell.training.tokens for cell in cells),
        "probe_seconds": _mean(cell.cost.probe_seconds for cell in cells),
        "peak_memory_bytes": max(cell.cost.peak_memory_bytes for cell in cells),
        "learning_rate": sorted({cell.learning_rate.value for cell in cells if cell.learning_rate} - {None}),
    }


def _group(cells: Sequence[Cell], group: str) -> dict[str, Any]:
    having = [cell for cell in cells if group in cell.groups]
    corrected = [value for cell in having if (value := cell.groups_chance_corrected.get(group)) is not None]
    return {
        "mean": _mean(cell.groups[group] for cell in having),
        "chance_corrected": _mean(corrected) if len(corrected) == len(having) else None,
        "items": sum(task.n for task in having[0].tasks.values() if task.group == group),
    }


def _losses(cells: Sequence[Cell], name: str) -> dict[str, float]:
    pairs = [cell.losses[name] for cell in cells if name in cell.losses]
    return {"before": _mean(pair.before for pair in pairs), "after": _mean(pair.after for pair in pairs)}


def _all_have(loss: str, *sides: Sequence[Cell]) -> bool:
    return all(loss in cell.losses for side in sides for cell in side)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _ratio(cells: Sequence[Cell], full: Sequence[Cell], value: Callable[[Cell], float]) -> float | None:
    """Sum over the common seeds, divided by the same of `full`."""
    reference = {cell.seed: value(cell) for cell in full}
    common = [cell for cell in cells if cell.seed in reference]
    whole = sum(reference[cell.seed] for cell in common)
    return sum(value(cell) for cell in common) / whole if whole else None
