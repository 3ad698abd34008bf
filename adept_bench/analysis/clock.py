"""Which cells' seconds may be compared: those of one machine, taken in one go, with the same share of the processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from adept_bench.results.schema import Cell

GAP = 10.0
"""Cells belong to one go where the time between them is no longer than so many times the longer of the two ..."""
ALWAYS = 600.0
"""... or than so many seconds."""
SHARES = 0.1
"""Difference in processor share (`cost.details.cpu_share`) from which seconds do not compare."""


def apart(cell: Cell, other: Cell) -> str | None:
    """Why seconds of the two do not compare, or None where they do."""
    for what, own, its in (
        ("devices", cell.provenance.device, other.provenance.device),
        ("numbers of threads", cell.cost.threads, other.cost.threads),
        ("numbers of processes", cell.provenance.processes, other.provenance.processes),
    ):
        if own != its:
            return f"other {what} ({own} and {its})"
    mine, theirs = _share(cell), _share(other)
    if mine is not None and theirs is not None and abs(mine - theirs) > SHARES:
        return f"other shares of the processor ({mine:.2f} and {theirs:.2f})"
    if (gap := _gap(cell, other)) is None:
        return "no readable start and end times"
    longer = max(one.cost.train_seconds + one.cost.probe_seconds + one.cost.eval_seconds for one in (cell, other))
    if gap > max(GAP * longer, ALWAYS):
        return f"not taken in one go ({gap / 60:.0f} minutes apart)"
    return None


def timed_with(named: Mapping[str, list[Cell]], reference: Sequence[Cell]) -> tuple[dict[str, list[Cell]], list[str]]:
    """The cells whose seconds compare with those of the reference's cell of their seed, by method; why others do not.

    The reference's own cells are in it.
    """
    twins = {cell.seed: cell for cell in reference}
    kept: dict[str, list[Cell]] = {}
    reasons: dict[str, list[str]] = {}
    for method, mine in named.items():
        for cell in mine:
            if cell.seed not in twins:
                continue
            if why := apart(cell, twins[cell.seed]):
                reasons.setdefault(why.split(" (")[0], []).append(f"{method}-seed{cell.seed}")
            else:
                kept.setdefault(method, []).append(cell)
    named_reference = reference[0].method if reference else ""
    notes = [
        f"seconds of {_listed(cells)} are not compared with those of {named_reference}: {why}"
        for why, cells in reasons.items()
    ]
    return kept, notes


def unrecorded(named: Mapping[str, list[Cell]]) -> list[str]:
    """A note on the cells that do not record their share of the processor; none where all do."""
    unknown = [f"{cell.method}-seed{cell.seed}" for mine in named.values() for cell in mine if _share(cell) is None]
    if not unknown:
        return []
    return [f"no share of the processor is recorded in {_listed(unknown)}: other work may have slowed them"]


def widest(named: Mapping[str, list[Cell]]) -> str:
    """The method whose cells' seconds compare with those of the most others; the first of equals."""
    counts = {
        method: sum(len(cells) for cells in timed_with(named, mine)[0].values()) for method, mine in named.items()
    }
    return max(counts, key=lambda method: counts[method])


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _share(cell: Cell) -> float | None:
    found = cell.cost.details.get("cpu_share")
    return float(found) if isinstance(found, int | float) else None


def _gap(cell: Cell, other: Cell) -> float | None:
    """Seconds between the end of the earlier and the start of the later; 0 where they overlap."""
    try:
        times = [
            (datetime.fromisoformat(one.provenance.started), datetime.fromisoformat(one.provenance.ended))
            for one in (cell, other)
        ]
        (_, first_end), (second_start, _) = sorted(times)
        return max((second_start - first_end).total_seconds(), 0.0)
    except (ValueError, TypeError):  # not ISO 8601, or one with and one without a time zone
        return None
