"""The main table: accuracy of every method on every task, with its difference to full CPT and to vanilla."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate, group_mean
from adept_bench.analysis.protocol import group_tasks
from adept_bench.analysis.table import REFERENCES
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import (
    attempt,
    comparable,
    dot,
    groups,
    method_rows,
    reference_line,
    row_height,
    seeds_differ,
)
from adept_bench.figures.dots import sources as together
from adept_bench.figures.style import heading, label, new_figure
from adept_bench.figures.tabular import Best, Second
from adept_bench.figures.variants import POINTS, difference, in_words, interval_in_words
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = ["method", "measure", "group", "task", "seed", "value", "low", "high", "p_value", "seeds", "items"]
Differences = dict[tuple[str, str, str], Estimate]
"""By (method, reference, group)."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """Rows methods; columns tasks by group, group means and their differences. The picture shows the group means.

    Raises MissingError where no cell has tasks; InputError where presets, budgets, items or task versions are mixed.
    """
    tested = [cell for cell in cells if cell.tasks]
    if not tested:
        raise MissingError("main_table: no cell has tasks; expected results of a suite with questions")
    named = comparable(tested, "main_table")
    notes = seeds_differ(named)
    means = {(method, group): group_mean(mine, group) for method, mine in named.items() for group in groups(tested)}
    differences = _differences(named, notes)
    return Drawing(
        data=Table(HEADER, _long(named, means, differences)),
        caption=_caption(named, means, differences),
        cells=together(tested),
        figure=_picture(named, means),
        shown=_shown(named, means, differences),
        notes=list(dict.fromkeys(notes)),
    )


def _differences(named: Mapping[str, list[Cell]], notes: list[str]) -> Differences:
    found: Differences = {}
    for method, mine in named.items():
        for other in REFERENCES:
            if other not in named or other == method:
                continue
            for group in groups(mine):
                estimate = attempt(lambda m=mine, o=other, g=group: difference(m, named[o], g), notes)  # type: ignore[misc]
                if estimate:
                    found[method, other, group] = estimate
    return found


def _tasks(named: Mapping[str, list[Cell]], group: str) -> list[str]:
    return group_tasks([cell for mine in named.values() for cell in mine], group)


def _all_groups(named: Mapping[str, list[Cell]]) -> list[str]:
    return groups([cell for mine in named.values() for cell in mine])


def _task_mean(mine: Sequence[Cell], task: str) -> float:
    return sum(cell.tasks[task].value for cell in mine) / len(mine)


def _shown(
    named: Mapping[str, list[Cell]], means: Mapping[tuple[str, str], Estimate], differences: Differences
) -> Table:
    """Percent; a group of one task has one column for both."""
    columns: list[tuple[str, list[str]]] = [("method", [label(method) for method in named])]
    if seeds_differ(named):
        columns.append(("seeds", [str(len(mine)) for mine in named.values()]))
    references = [name for name in REFERENCES if name in named]
    for group in _all_groups(named):
        tasks = _tasks(named, group)
        if len(tasks) > 1:
            columns += [(task, marked([_task_mean(mine, task) for mine in named.values()])) for task in tasks]
        title = f"{_words(group)} mean" if len(tasks) > 1 else _words(group)
        columns.append((title, marked([means[method, group].value for method in named])))
        for other in references:
            against = [differences.get((method, other, group)) for method in named]
            columns.append((f"vs {label(other)}", [in_words(one) if one else "–" for one in against]))
    rows: list[list[Value]] = [[column[row] for _, column in columns] for row in range(len(named))]
    return Table([title for title, _ in columns], rows)


def marked(shares: Sequence[float]) -> list[str]:
    """Percent with a decimal; the highest as shown is marked best, the next second best, equal ones alike."""
    texts = [f"{POINTS * share:.1f}" for share in shares]
    ranks = sorted(set(map(float, texts)), reverse=True)
    if len(ranks) < 2:
        return texts
    return [
        Best(text) if float(text) == ranks[0] else Second(text) if float(text) == ranks[1] else text for text in texts
    ]


def _long(
    named: Mapping[str, list[Cell]], means: Mapping[tuple[str, str], Estimate], differences: Differences
) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for method, mine in named.items():
        for group in _all_groups(named):
            rows.append([method, "accuracy", group, None, None, *_estimate(means[method, group])])
            rows += [[method, "accuracy", group, None, cell.seed, cell.groups[group], *_empty(5)] for cell in mine]
            for task in _tasks(named, group):
                rows.append([method, "accuracy", group, task, None, _task_mean(mine, task), *_empty(3)])
                rows[-1] += [len(mine), mine[0].tasks[task].n]
                rows += [
                    [method, "accuracy", group, task, cell.seed, cell.tasks[task].value, *_empty(5)] for cell in mine
                ]
            for other in REFERENCES:
                if one := differences.get((method, other, group)):
                    rows.append([method, f"difference to {other}", group, None, None, *_estimate(one, True)])
    return rows


def _estimate(one: Estimate, tested: bool = False) -> list[Value]:
    """From `value` to `items`; a p-value only of a difference: that an accuracy is 0 is no hypothesis."""
    return [one.value, one.low, one.high, one.p_value if tested else None, len(one.seeds), one.items]


def _empty(count: int) -> list[Value]:
    return [None] * count


def _picture(named: Mapping[str, list[Cell]], means: Mapping[tuple[str, str], Estimate]) -> Figure:
    shown = _all_groups(named)
    figure = new_figure(height=1.0 + row_height(len(named)) * len(named))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, group in zip(panels, shown, strict=True):
        method_rows(axes, list(named), names=axes is panels[0])
        for row, (method, mine) in enumerate(named.items()):
            dot(axes, row, method, means[method, group], [cell.groups[group] for cell in mine], POINTS)
        axes.set_xlim(-3, 103)
        axes.set_xlabel(f"{_words(group)} accuracy, %")
        if (chance := _chance(named, group)) is not None:
            reference_line(axes, POINTS * chance, "chance")
    heading(figure, [cell for mine in named.values() for cell in mine])
    return figure


def _chance(named: Mapping[str, list[Cell]], group: str) -> float | None:
    """Mean over the group's tasks of the accuracy of a guess, where all of them have one."""
    cell = next(iter(named.values()))[0]
    found = [cell.tasks[task].chance for task in _tasks(named, group)]
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if len(known) == len(found) else None


def _words(group: str) -> str:
    return group.replace("_", " ")


def _caption(
    named: Mapping[str, list[Cell]], means: Mapping[tuple[str, str], Estimate], differences: Differences
) -> str:
    one = next(iter(named.values()))[0]
    cells = sum(map(len, named.values()))
    items = ", ".join(
        f"{_words(group)}: {_tasks_in_words(_tasks(named, group))}, {means[next(iter(named)), group].items} items"
        for group in _all_groups(named)
    )
    references = " and ".join(f"vs {label(name)}" for name in REFERENCES if name in named)
    compared = (
        f" The columns {references} are differences of group means in points with "
        f"{interval_in_words(list(differences.values()))}."
        if differences
        else " There is no full CPT and no vanilla to compare with."
    )
    return (
        f"Accuracy in percent of {len(named)} methods on suite {one.suite}, preset {one.preset}, {cells} results; "
        f"means over seeds and, within a group, over tasks without weights ({items}). In a column of the table the "
        "highest value is bold and the second highest underlined, among all methods, vanilla included, equal ones "
        f"alike; whether a difference is more than chance is for the intervals to say.{compared} In the picture, marks "
        f"are group means with {interval_in_words(list(means.values()), paired=False)}, and small points below them "
        "single seeds. The intervals of two methods' means may overlap where their paired difference is clear."
    )


def _tasks_in_words(tasks: Sequence[str]) -> str:
    return f"task {tasks[0]}" if len(tasks) == 1 else f"{len(tasks)} tasks"


KIND = FigureKind("main_table", "Main results", "Table 1", draw)
