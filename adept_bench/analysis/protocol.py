"""Which cells may be compared: same items, prompts, base, corpora and token budget, seed by seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from adept_bench.errors import InputError
from adept_bench.results.schema import Cell, TaskResult

FIELDS = ("metric", "version", "num_fewshot", "n", "items_hash")
"""What a task's results must share to be compared."""
_CONDITIONS = attrgetter(*FIELDS)


def label(cell: Cell) -> str:
    """The cell in words, as its file is named."""
    return f"{cell.preset}/{cell.suite}/{cell.stem}"


def pair_seeds(cells: Sequence[Cell], reference: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """(cell, its reference) for each seed that both have, by seed.

    Raises InputError where a seed occurs twice on one side, or a pair does not have preset, base model, corpora and (if
    both train) token budget in common.
    """
    first, second = _by_seed(cells), _by_seed(reference)
    pairs = [(first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]
    for cell, other in pairs:
        _same(cell, other, "preset", cell.preset, other.preset)
        if cell.model.hash and other.model.hash:
            _same(cell, other, "base model", cell.model.hash, other.model.hash)
        _same_identity(cell, other)
    check_budget([cell for pair in pairs for cell in pair])
    return pairs


def _same_identity(cell: Cell, other: Cell) -> None:
    """Names in a configuration may have stood for other content: `identity` holds the hashes of model and corpora.

    A suite's variant that varies a corpus (what is probed, what is replayed) is compared all the same: that is what it
    varies, and its name says so.
    """
    mine, theirs = (one.config.get("identity") or {} for one in (cell, other))
    varied = {name for one in (cell, other) if one.variant for name in one.variant.settings}
    for name in sorted(mine.keys() | theirs.keys()):
        if f"data.{name}" not in varied:
            _same(cell, other, f"identity of {name}", mine.get(name), theirs.get(name))


def check_budget(cells: Iterable[Cell]) -> None:
    """Raise InputError unless all cells that train do so on the same number of tokens."""
    training = [cell for cell in cells if cell.training.steps > 0]
    for cell in training[1:]:
        _same(training[0], cell, "training tokens", training[0].training.tokens, cell.training.tokens)


def group_tasks(cells: Sequence[Cell], group: str) -> list[str]:
    """Names of the group's tasks; raises InputError unless all cells answered the same items in the same way."""
    first = cells[0]
    names = sorted(name for name, task in first.tasks.items() if task.group == group)
    same = {name: _CONDITIONS(first.tasks[name]) for name in names}
    for cell in cells:
        # whole paths are compared again and again: what agrees is passed over quickly
        if {name: _CONDITIONS(task) for name, task in cell.tasks.items() if task.group == group} == same:
            continue
        found = sorted(name for name, task in cell.tasks.items() if task.group == group)
        _same(first, cell, f"tasks of group {group!r}", ", ".join(names) or "none", ", ".join(found) or "none")
        for name in names:
            for what, mine, other in _conditions(first.tasks[name], cell.tasks[name]):
                _same(first, cell, f"{what} of task {name!r}", mine, other)
    return names


def _conditions(one: TaskResult, other: TaskResult) -> list[tuple[str, object, object]]:
    return list(zip(FIELDS, _CONDITIONS(one), _CONDITIONS(other), strict=True))


def _by_seed(cells: Sequence[Cell]) -> dict[int, Cell]:
    found: dict[int, Cell] = {}
    for cell in cells:
        if cell.seed in found:
            raise InputError(f"{label(found[cell.seed])} and {label(cell)}: two cells of one seed; expected one")
        found[cell.seed] = cell
    return found


def _same(one: Cell, other: Cell, what: str, first: object, second: object) -> None:
    if first != second:
        raise InputError(
            f"{label(one)} and {label(other)} cannot be compared: {what} {first!r} and {second!r}; expected the same"
        )
