"""Controls of ADEPT's choice of layers: what each way to choose picks, and what comes of it (paper, Table 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adept_bench.analysis.paired import Estimate, group_mean
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import (
    attempt,
    boxed,
    comparable,
    dot,
    groups,
    method_rows,
    rates_in_words,
    reference,
    seeds_differ,
    sources,
)
from adept_bench.figures.style import COLOURS, INK, PALE, WIDTH, clean, heading, label, new_figure
from adept_bench.figures.variants import (
    ESTIMATE,
    POINTS,
    difference,
    in_words,
    interval_in_words,
    numbers,
    seed_differences,
    setting,
)
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFAULT, UNIFORM, ABOUT = "adept", "adept-uniform-expansion", "selection"
PANELS = ("general", "domain")
WORDS = {
    "importance": "least important\n(ADEPT)",
    "domain-importance": "least important\nfor the domain",
    "highest": "most important",
    "uniform": "evenly spaced",
    "random": "random",
    "last": "last",
    "first": "first",
}
"""Ways to choose, as rows are named."""
ROW = 0.46
"""Inches a row takes: two lines of its name, or a mark between its numbers and its seeds."""
Found = dict[tuple[str, str], tuple[Estimate, Estimate | None, dict[int, float]]]
"""By (method, group): the mean, the paired difference to ADEPT, and that by seed."""


def draw(cells: Sequence[Cell]) -> Drawing:
    """Left, how many seeds chose each layer of the base; right, general and domain accuracy; a row a way to choose.

    Raises MissingError without adept or without another way; InputError where cells may not be mixed.
    """
    kept = [cell for cell in cells if _belongs(cell)]
    named = comparable(kept, "selection") if kept else {}
    if not named.keys() - {DEFAULT}:
        raise MissingError(
            "selection: no result of another way to choose layers than adept's; expected variants about 'selection' or "
            f"{UNIFORM}; `adept-bench run --suite ablation` makes them"
        )
    default = reference(named, DEFAULT, "selection")
    named = {name: mine for name, mine in named.items() if all(layers(cell) for cell in mine)}
    shown = [group for group in PANELS if group in groups(default)]
    notes = seeds_differ(named)
    if without := sorted({cell.method for cell in kept} - named.keys()):
        notes.append(f"no layers are stored for {', '.join(without)}")
    if DEFAULT not in named:
        raise MissingError("selection: the results of adept do not say which layers were copied")
    found = _found(named, default, shown, notes)
    return Drawing(
        data=Table(["method", "chosen_by", "seed", "layers", "measure", "of", *ESTIMATE], _long(named, found)),
        caption=_caption(named, found, shown),
        cells=sources(*named.values()),
        figure=_picture(named, found, shown),
        notes=list(dict.fromkeys(notes)),
    )


def layers(cell: Cell) -> list[int]:
    """Layers of the base that the cell's method copies, or trains where it copies none; empty where not stored."""
    trained: Any = cell.method_definition.get("trained_layers") or []
    return sorted(cell.model.expanded_layers) or sorted(trained)


def chosen_by(cell: Cell) -> str:
    """The way the cell's layers were chosen: "importance", "random", ..."""
    return str(cell.method_definition.get("chosen_by") or setting(cell.config, "options.select") or cell.method)


def _belongs(cell: Cell) -> bool:
    if cell.variant is not None:
        return cell.variant.about == ABOUT
    return cell.method in (DEFAULT, UNIFORM)


def _found(named: Mapping[str, list[Cell]], default: list[Cell], shown: Sequence[str], notes: list[str]) -> Found:
    found: Found = {}
    for method, mine in named.items():
        for group in shown:
            against, by_seed = None, {}
            if method != DEFAULT:
                against = attempt(lambda m=mine, g=group: difference(m, default, g), notes)  # type: ignore[misc]
                by_seed = seed_differences(mine, default, group) if against else {}
            found[method, group] = group_mean(mine, group), against, by_seed
    return found


def _picture(named: Mapping[str, list[Cell]], found: Found, shown: Sequence[str]) -> Figure:
    every = [cell for mine in named.values() for cell in mine]
    depth = max(_depth(cell) for cell in every)
    figure = new_figure(height=0.95 + ROW * len(named))
    # a column a layer, but no more than half of the width
    grid_width = min(0.19 * depth, 0.5 * WIDTH)
    rest = (WIDTH - 1.2 - grid_width) / max(len(shown), 1)
    panels = figure.subplots(1, 1 + len(shown), width_ratios=[grid_width, *[rest] * len(shown)], squeeze=False)[0]
    _grid(panels[0], named, depth)
    for axes, group in zip(panels[1:], shown, strict=True):
        _scores(axes, group, named, found)
    heading(figure, every)
    return figure


def _grid(axes: Axes, named: Mapping[str, list[Cell]], depth: int) -> None:
    """Squares of the layers, the darker the more seeds chose them, with that number."""
    from matplotlib.colors import to_rgb

    blue = to_rgb(COLOURS[DEFAULT])
    for row, mine in enumerate(named.values()):
        counts = Counter(layer for cell in mine for layer in layers(cell))
        for layer in range(depth):
            share = counts[layer] / len(mine)
            # from nearly white to blue; 0 stays an empty square
            fill = [1 - (0.15 + 0.85 * share) * (1 - channel) for channel in blue] if share else "none"
            axes.bar(layer, 0.56, bottom=row - 0.28, width=0.88, color=fill, edgecolor=PALE, linewidth=0.7)
            if share:
                ink = "white" if share > 0.45 else INK
                axes.text(layer, row, str(counts[layer]), ha="center", va="center", fontsize=8, color=ink)
    axes.set_yticks(range(len(named)), [_row_name(method, mine[0]) for method, mine in named.items()])
    axes.set_ylim(len(named) - 0.4, -0.72)
    step = 1 if depth <= 12 else 2 if depth <= 24 else 4
    axes.set_xticks(range(0, depth, step))
    axes.set_xlim(-0.7, depth - 0.3)
    axes.set_xlabel("layer of the base" + (" (seeds that chose it)" if depth > 10 else ""))
    clean(axes)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def _row_name(method: str, cell: Cell) -> str:
    return WORDS.get(chosen_by(cell), label(method).replace(", ", ",\n"))


def _depth(cell: Cell) -> int:
    return cell.model.base_layers or cell.model.layers - len(cell.model.expanded_layers)


def _scores(axes: Axes, group: str, named: Mapping[str, list[Cell]], found: Found) -> None:
    """Means with intervals and seeds; above each, its paired difference to ADEPT."""
    method_rows(axes, list(named), names=False)
    axes.axvline(POINTS * found[DEFAULT, group][0].value, color=COLOURS[DEFAULT], linewidth=0.8, linestyle=(0, (3, 2)))
    for row, (method, mine) in enumerate(named.items()):
        mean, against, _ = found[method, group]
        dot(axes, row, method, mean, [cell.groups[group] for cell in mine], POINTS)
        if against is not None:
            boxed(axes, row - 0.14, in_words(against), pad=0.6)
    axes.set_ylim(len(named) - 0.4, -0.72)
    axes.set_xlabel(f"{group} accuracy, %")


def _long(named: Mapping[str, list[Cell]], found: Found) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for method, mine in named.items():
        way = chosen_by(mine[0])
        every = {cell.seed: " ".join(map(str, layers(cell))) for cell in mine}
        for cell in mine:
            for group, value in cell.groups.items():
                rows.append(
                    [method, way, cell.seed, every[cell.seed], "accuracy", group, value, None, None, None, None]
                )
        for (name, group), (mean, against, by_seed) in found.items():
            if name != method:
                continue
            rows.append([method, way, None, None, "accuracy", group, *numbers(mean)])
            if against is not None:
                what = f"accuracy minus that of {DEFAULT}"
                rows.append([method, way, None, None, what, group, *numbers(against)])
                rows += [
                    [method, way, seed, every[seed], what, group, value, None, None, None, None]
                    for seed, value in by_seed.items()
                ]
    return rows


def _caption(named: Mapping[str, list[Cell]], found: Found, shown: Sequence[str]) -> str:
    one = named[DEFAULT][0]
    cells, seeds = sum(map(len, named.values())), len(named[DEFAULT])
    items = ", ".join(f"{group}: {found[DEFAULT, group][0].items} items" for group in shown)
    means = [mean for mean, _, _ in found.values()]
    against = [one for _, one, _ in found.values() if one is not None]
    scores = (
        f" Right: accuracy in percent ({items}), marks means over seeds with "
        f"{interval_in_words(means, paired=False)}, small points below them single seeds, the dashed line ADEPT's "
        "mean; "
        "numbers are differences to ADEPT in points with "
        f"{interval_in_words(against)}. The intervals of two means may overlap where their paired difference is clear."
        if shown and against
        else ""
    )
    return (
        f"ADEPT with its layers chosen in other ways, on suite {one.suite}, preset {one.preset} ({cells} results). "
        "Left: "
        "layers of the base that were copied, with the number of seeds that chose each (darker: more; "
        f"{seeds} seed{'' if seeds == 1 else 's'} of ADEPT); each seed has a base model of its own where the preset "
        "has "
        f"one a seed.{scores}{rates_in_words(named)}"
    )


KIND = FigureKind("selection", "Which layers to copy", "Table 11", draw)
