"""What ADEPT's parts do: the method without one of them, beside the whole (paper, Table 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adept_bench.analysis.paired import Estimate, group_mean, paired_values
from adept_bench.analysis.protocol import group_tasks
from adept_bench.analysis.table import groups_in_order
from adept_bench.errors import InputError
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import (
    ROW,
    boxed,
    comparable,
    dot,
    groups,
    method_rows,
    rates_in_words,
    reference,
    reference_line,
    sources,
)
from adept_bench.figures.main_table import marked
from adept_bench.figures.style import heading, label, new_figure
from adept_bench.figures.variants import (
    ESTIMATE,
    POINTS,
    comparable_pairs,
    difference,
    in_words,
    interval_in_words,
    numbers,
    seed_differences,
)
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHOLE = "adept"
PARTS = ("adept-no-stage1", "adept-no-stage2", "adept-uniform-expansion")
"""The paper's rows, and what a suite must have at least one of."""
ROWS = (WHOLE, *PARTS, "adept-as-released", "vanilla", "full")
MARKED = (WHOLE, *PARTS, "adept-as-released")
PANELS = ("general", "domain")
Found = dict[tuple[str, str, str], tuple[Estimate, dict[int, float]]]
"""By (method, "accuracy" or "loss", group or corpus): the paired difference to ADEPT, and by seed."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """The table with a row a method, and panels of the paired differences to ADEPT, scores above losses.

    Raises MissingError without adept, or without any of its ablations; InputError where cells may not be mixed.
    """
    kept = [cell for cell in cells if cell.method in ROWS]
    named = comparable(kept, "ablation") if kept else {}
    if not named.keys() & set(PARTS):
        there = sorted({cell.method for cell in cells})
        raise MissingError(
            f"ablation: no result of {', '.join(PARTS)}; expected at least one of them beside adept, found "
            f"{', '.join(there) or 'none'}; `adept-bench run --suite ablation` makes them"
        )
    whole = reference(named, WHOLE, "ablation")
    named = {name: named[name] for name in ROWS if name in named}
    notes = [f"no result of {name}" for name in MARKED if name not in named]
    found = _differences(named, whole, notes)
    if not found:
        raise MissingError(f"ablation: nothing can be compared with adept ({notes[-1]})")
    drawn = [name for name in MARKED if any(name == method for method, _, _ in found)]
    return Drawing(
        data=Table(["method", "measure", "of", "seed", *ESTIMATE], _long(named, found)),
        caption=_caption(named, found),
        cells=sources(*named.values()),
        figure=_picture(drawn, found, [cell for name in (WHOLE, *drawn) for cell in named[name]]),
        shown=_shown(named, found),
        notes=list(dict.fromkeys(notes)),
    )


def _differences(named: Mapping[str, list[Cell]], whole: list[Cell], notes: list[str]) -> Found:
    found: Found = {}
    for method, mine in named.items():
        if method == WHOLE:
            continue
        try:
            pairs = comparable_pairs(mine, whole)
            for group in groups(whole):
                found[method, "accuracy", group] = difference(mine, whole, group), seed_differences(mine, whole, group)
            for corpus in groups_in_order(name for cell in whole for name in cell.losses):
                by_seed = {cell.seed: cell.losses[corpus].after - other.losses[corpus].after for cell, other in pairs}
                estimate = paired_values(mine, whole, lambda cell, name=corpus: cell.losses[name].after)  # type: ignore[misc]
                found[method, "loss", corpus] = estimate, by_seed
        except (InputError, KeyError) as reason:
            notes.append(f"{method}: not compared with adept: {reason}")
    return found


def _picture(drawn: Sequence[str], found: Found, used: Sequence[Cell]) -> Figure:
    """Panels of general and domain, scores in the first row and losses in the second, as far as there are any."""
    rows = [measure for measure in ("accuracy", "loss") if any(measure == kind for _, kind, _ in found)]
    panels = [name for name in PANELS if any(name == of for _, _, of in found)]
    figure = new_figure(height=0.55 + len(rows) * (0.75 + 1.5 * ROW * len(drawn)))
    grid = figure.subplots(len(rows), len(panels), squeeze=False)
    for line, measure in zip(grid, rows, strict=True):
        for axes, of in zip(line, panels, strict=True):
            _panel(axes, measure, of, drawn, found, names=axes is line[0])
    heading(figure, used)
    return figure


def _panel(axes: Axes, measure: str, of: str, drawn: Sequence[str], found: Found, names: bool) -> None:
    factor, digits = (POINTS, 1) if measure == "accuracy" else (1.0, 3)
    method_rows(axes, drawn, names)
    reference_line(axes, 0, label(WHOLE))
    for row, method in enumerate(drawn):
        if (method, measure, of) not in found:
            axes.annotate("–", (0, row), ha="center", va="center")
            continue
        estimate, by_seed = found[method, measure, of]
        dot(axes, row, method, estimate, list(by_seed.values()), factor)
        boxed(axes, row - 0.24, in_words(estimate, factor, digits), pad=1.0)
    axes.set_ylim(len(drawn) - 0.4, -0.75)
    axes.margins(x=0.08)
    words = f"{of} accuracy, points" if measure == "accuracy" else f"{of} loss, nats a token"
    axes.set_xlabel(f"difference in {words}")


def _shown(named: Mapping[str, list[Cell]], found: Found) -> Table:
    """Percent; a group of one task has one column for both."""
    columns: list[tuple[str, list[str]]] = [("method", [label(method) for method in named])]
    if len({len(mine) for mine in named.values()}) > 1:
        columns.append(("seeds", [str(len(mine)) for mine in named.values()]))
    every = [cell for mine in named.values() for cell in mine]
    for group in groups(every):
        tasks, words = group_tasks(every, group), group.replace("_", " ")
        if len(tasks) > 1:
            columns += [
                (task, _marked(named, {name: _task(mine, task) for name, mine in named.items()})) for task in tasks
            ]
        means = {name: group_mean(mine, group).value for name, mine in named.items()}
        columns.append((f"{words} mean" if len(tasks) > 1 else words, _marked(named, means)))
        columns.append((f"{words}, vs {label(WHOLE)}", _against(named, found, "accuracy", group)))
    if not groups(every):
        for corpus in groups_in_order(name for cell in every for name in cell.losses):
            means = {name: sum(cell.losses[corpus].after for cell in mine) / len(mine) for name, mine in named.items()}
            columns.append((f"{corpus} loss", [f"{value:.3f}" for value in means.values()]))
            columns.append((f"{corpus} loss, vs {label(WHOLE)}", _against(named, found, "loss", corpus)))
    rows: list[list[Value]] = [[column[row] for _, column in columns] for row in range(len(named))]
    return Table([title for title, _ in columns], rows)


def _marked(named: Mapping[str, list[Cell]], shares: Mapping[str, float]) -> list[str]:
    """Best and second best among ADEPT and its ablations; the others stand beside them."""
    inside = [name for name in named if name in MARKED]
    texts = dict(zip(inside, marked([shares[name] for name in inside]), strict=True))
    return [texts.get(name, f"{POINTS * shares[name]:.1f}") for name in named]


def _against(named: Mapping[str, list[Cell]], found: Found, measure: str, of: str) -> list[str]:
    factor, digits = (POINTS, 1) if measure == "accuracy" else (1.0, 3)
    keys = [(name, measure, of) for name in named]
    return [in_words(found[key][0], factor, digits) if key in found else "–" for key in keys]


def _task(mine: Sequence[Cell], task: str) -> float:
    return sum(cell.tasks[task].value for cell in mine) / len(mine)


def _long(named: Mapping[str, list[Cell]], found: Found) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for method, mine in named.items():
        for group in groups(mine):
            rows.append([method, "accuracy", group, None, *numbers(group_mean(mine, group))])
            rows += [[method, "accuracy", group, cell.seed, cell.groups[group], *_none(4)] for cell in mine]
            for task in group_tasks(mine, group):
                values = (_task(mine, task), None, None, len(mine), mine[0].tasks[task].n)
                rows.append([method, "accuracy", f"{group}: {task}", None, *values])
        for corpus in groups_in_order(name for cell in mine for name in cell.losses):
            rows += [[method, "loss", corpus, cell.seed, cell.losses[corpus].after, *_none(4)] for cell in mine]
    for (method, measure, of), (estimate, by_seed) in found.items():
        rows.append([method, f"{measure} minus that of {WHOLE}", of, None, *numbers(estimate)])
        rows += [
            [method, f"{measure} minus that of {WHOLE}", of, seed, one, *_none(4)] for seed, one in by_seed.items()
        ]
    return rows


def _none(count: int) -> list[Value]:
    return [None] * count


def _caption(named: Mapping[str, list[Cell]], found: Found) -> str:
    one = named[WHOLE][0]
    scores = [estimate for (_, measure, _), (estimate, _) in found.items() if measure == "accuracy"]
    items = ", ".join(
        f"{of.replace('_', ' ')}: {found[name, kind, of][0].items} items"
        for of in groups([one])
        for name, kind in [next((name, kind) for name, kind, group in found if (kind, group) == ("accuracy", of))]
    )
    cells = sum(map(len, named.values()))
    scored = (
        f"Accuracy in percent, means over seeds ({items}), and differences to ADEPT in points with "
        f"{interval_in_words(scores)}; bold and underlined: highest and second highest of the column among ADEPT and "
        "its "
        "ablations, equal ones alike. "
        if scores
        else "Held-out losses, means over seeds, and differences to ADEPT. "
    )
    return (
        f"ADEPT without one of its parts, on suite {one.suite}, preset {one.preset} ({cells} results). Without stage "
        "1: no "
        "copies, the same layers of the base train at unit-wise rates; without stage 2: the copies train at one rate; "
        "uniform expansion: copies at even distances; as released: rates paired with optimizer groups as in the "
        "released "
        f"code. {scored}In the picture, right of the line is more than ADEPT: better for accuracy, worse for loss; "
        "small "
        "points below the marks are single seeds; intervals of losses are 95% Student's t over paired seeds. Intervals "
        "are "
        f"each for itself, not corrected for the number of comparisons.{rates_in_words(named)}"
    )


KIND = FigureKind("ablation", "Ablation of ADEPT's stages", "Table 2", draw)
