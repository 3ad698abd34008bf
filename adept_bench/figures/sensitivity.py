"""How ADEPT answers to its settings: number of copies, refresh interval, probe corpus (paper, Tables 12 and 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adept_bench.analysis.paired import Estimate, group_mean
from adept_bench.errors import InputError
from adept_bench.escapes import visible
from adept_bench.figures.base import Drawing, FigureKind, MissingError, Table, Value
from adept_bench.figures.dots import comparable, groups, seeds_differ, sources
from adept_bench.figures.style import COLOURS, GREY, INK, arms, clean, heading, label, new_figure
from adept_bench.figures.variants import (
    ABOUTS,
    ESTIMATE,
    POINTS,
    abouts_in_order,
    difference,
    interval_in_words,
    numbers,
    seed_differences,
    setting,
)
from adept_bench.results.schema import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ELSEWHERE = "selection"
"""What figure `selection` shows."""
GROUPS = ("general", "domain")
LOOKS = {"general": (INK, "o", INK), "domain": (COLOURS["adept"], "s", "white")}
"""Colour, marker and fill of a group."""
TITLES = {
    "k": "copied layers",
    "refresh": "steps between refreshes",
    "probe corpus": "probe corpus",
}
ACROSS = 3
"""Panels side by side."""


@dataclass(frozen=True)
class Place:
    """One method at one place of a panel; `against` and `by_seed` are empty for the default."""

    method: str
    words: str
    cells: list[Cell]
    means: dict[str, Estimate]
    against: dict[str, Estimate]
    by_seed: dict[str, dict[int, float]]

    @property
    def is_default(self) -> bool:
        return self.cells[0].variant is None


def draw(cells: Sequence[Cell]) -> Drawing:
    """A column for each thing that variants vary: accuracy above, its paired difference to the default below.

    Raises MissingError without such variants, or without the method they vary; InputError where cells may not be mixed.
    """
    varied = [cell for cell in cells if cell.variant and cell.variant.about != ELSEWHERE]
    if not varied:
        known = ", ".join(about for about in ABOUTS if about != ELSEWHERE)
        raise MissingError(
            f"sensitivity: no result of a variant about {known} or a suite's own word; "
            "`adept-bench run --suite ablation` makes them"
        )
    defaults = {cell.variant.of for cell in varied if cell.variant}
    kept = [*varied, *(cell for cell in cells if cell.variant is None and cell.method in defaults)]
    named = comparable(kept, "sensitivity")
    shown = [group for group in GROUPS if group in groups(kept)]
    if not shown:
        raise MissingError("sensitivity: no task of group general or domain in the variants' results")
    notes = seeds_differ(named)
    notes += [f"nothing to compare with: no result of {name}" for name in sorted(defaults - named.keys())]
    abouts = abouts_in_order(cell.variant.about for cell in varied if cell.variant)
    notes += [f"no variant about {name}" for name in ABOUTS if name not in (*abouts, ELSEWHERE)]
    panels = {about: _places(about, named, shown, notes) for about in abouts}
    used = sources(*(place.cells for places in panels.values() for place in places))
    return Drawing(
        data=Table(
            ["about", "setting", "method", "trainable_fraction", "measure", "of", "seed", *ESTIMATE], _long(panels)
        ),
        caption=_caption(panels, used),
        cells=used,
        figure=_picture(panels, shown, used),
        notes=list(dict.fromkeys(notes)),
    )


def _places(about: str, named: Mapping[str, list[Cell]], shown: Sequence[str], notes: list[str]) -> list[Place]:
    """The default and the variants of a panel in the order of their settings."""
    variants = {name: mine for name, mine in named.items() if mine[0].variant and mine[0].variant.about == about}
    defaults = {mine[0].variant.of for mine in variants.values() if mine[0].variant}
    keys = sorted({key for mine in variants.values() if mine[0].variant for key in mine[0].variant.settings})
    inside = {name: named[name] for name in defaults if name in named} | variants
    several = len(defaults) > 1
    found = []
    usual = next((named[name][0] for name in sorted(defaults) if name in named), None)
    for name, mine in sorted(inside.items(), key=lambda item: _order(item[1][0], keys, usual)):
        variant, against, by_seed = mine[0].variant, {}, {}
        if variant and variant.of in named:
            for group in shown:
                try:
                    against[group] = difference(mine, named[variant.of], group)
                    by_seed[group] = seed_differences(mine, named[variant.of], group)
                except InputError as reason:
                    notes.append(f"{name}, {group}: {reason}")
        words = label(name) if several else _words(mine[0], keys)
        means = {group: group_mean(mine, group) for group in shown}
        found.append(Place(name, words, mine, means, against, by_seed))
    return found


def _order(cell: Cell, keys: Sequence[str], usual: Cell | None) -> tuple[list[tuple[bool, str]], list[float]]:
    """Settings that are words first, those of the default before others; then settings that are numbers, by size."""
    values = [(setting(cell.config, key), setting(usual.config, key) if usual else None) for key in keys]
    words = [(value != default, str(value)) for value, default in values if not isinstance(value, int | float)]
    return words, [float(value) for value, _ in values if isinstance(value, int | float)]


def _words(cell: Cell, keys: Sequence[str]) -> str:
    """What stands below a place: the values of the settings, and what they come to."""
    lines = [_value(cell, key) for key in sorted(keys, reverse=True)]
    if "options.k" in keys:
        lines.append(f"{POINTS * cell.model.trainable_fraction:.0f}%")
    return "\n".join(lines)


def _value(cell: Cell, key: str) -> str:
    value: Any = setting(cell.config, key)
    if key == "options.refresh_every" and cell.training.steps and int(value) >= cell.training.steps:
        return "never"
    if key == "data.probe_documents":
        return f"{value} docs"
    if key == "data.probe":
        # "lab:probe" and "./texts/probe.txt" alike
        return str(value or "general corpus").rsplit("/", 1)[-1].rsplit(":", 1)[-1].split("#")[0]
    return "none" if value is None else str(value)


def _picture(panels: Mapping[str, list[Place]], shown: Sequence[str], used: Sequence[Cell]) -> Figure:
    names = list(panels)
    bands = -(-len(names) // ACROSS)
    across = min(len(names), ACROSS)
    figure = new_figure(height=0.6 + 4.0 * bands)
    grid = figure.subplots(2 * bands, across, sharey="row", squeeze=False)
    for at, about in enumerate(names):
        upper, lower = grid[2 * (at // ACROSS)][at % ACROSS], grid[2 * (at // ACROSS) + 1][at % ACROSS]
        _panel(upper, panels[about], shown, differences=False)
        _panel(lower, panels[about], shown, differences=True)
        upper.set_title(visible(about))
        lower.set_xlabel(_axis_words(about, panels[about]))
    for at in range(len(names), bands * across):
        grid[2 * (at // ACROSS)][at % ACROSS].set_visible(False)
        grid[2 * (at // ACROSS) + 1][at % ACROSS].set_visible(False)
    for band in range(bands):
        grid[2 * band][0].set_ylabel("accuracy, %")
        grid[2 * band + 1][0].set_ylabel("difference to\nthe default, points")
    lines, texts = grid[0][0].get_legend_handles_labels()
    figure.legend(lines, texts, loc="outside upper right", ncols=len(shown))
    heading(figure, used)
    return figure


def _axis_words(about: str, places: Sequence[Place]) -> str:
    keys = {key for place in places for cell in place.cells if cell.variant for key in cell.variant.settings}
    words = visible(TITLES.get(about, about))
    return f"{words}\n(and share that trains)" if "options.k" in keys else words


def _panel(axes: Axes, places: Sequence[Place], shown: Sequence[str], differences: bool) -> None:
    """A place across for each setting, the groups side by side; the default's place is shaded."""
    for across, place in enumerate(places):
        if place.is_default:
            axes.axvspan(across - 0.42, across + 0.42, color="#efefef", linewidth=0, zorder=0)
        estimates = place.against if differences else place.means
        for side, group in enumerate(shown):
            at = across + (side - (len(shown) - 1) / 2) * 0.36
            ink, mark, fill = LOOKS[group]
            if differences and place.is_default:
                axes.plot(at, 0, marker=mark, color=ink, markerfacecolor=fill, markersize=5, linestyle="none")
            if group not in estimates:
                continue
            seeds = place.by_seed[group].values() if differences else [cell.groups[group] for cell in place.cells]
            if len(seeds) > 1:
                axes.scatter(
                    [at + 0.12] * len(seeds), [POINTS * one for one in seeds], s=7, color=ink, alpha=0.55, linewidths=0
                )
            axes.errorbar(
                at,
                POINTS * estimates[group].value,
                yerr=arms(estimates[group], POINTS),
                fmt=mark,
                color=ink,
                markerfacecolor=fill,
                markersize=5,
                elinewidth=1.2,
                label=group if across == 0 else None,
            )
    if differences:
        axes.axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    axes.set_xlim(-0.55, len(places) - 0.45)
    axes.set_xticks(range(len(places)), [visible(place.words) for place in places])
    clean(axes)
    axes.grid(False, axis="x")


def _long(panels: Mapping[str, list[Place]]) -> list[list[Value]]:
    rows: list[list[Value]] = []
    for about, places in panels.items():
        for place in places:
            share = sum(cell.model.trainable_fraction for cell in place.cells) / len(place.cells)
            start: list[Value] = [about, " ".join(place.words.split("\n")), place.method, share]
            for group, mean in place.means.items():
                rows.append([*start, "accuracy", group, None, *numbers(mean)])
                rows += [[*start, "accuracy", group, cell.seed, cell.groups[group], *_none(4)] for cell in place.cells]
            for group, one in place.against.items():
                rows.append([*start, "difference to the default", group, None, *numbers(one)])
                rows += [
                    [*start, "difference to the default", group, seed, value, *_none(4)]
                    for seed, value in place.by_seed[group].items()
                ]
    return rows


def _none(count: int) -> list[Value]:
    return [None] * count


def _caption(panels: Mapping[str, list[Place]], used: Sequence[Cell]) -> str:
    places = [place for inside in panels.values() for place in inside]
    means = [one for place in places for one in place.means.values()]
    against = [one for place in places for one in place.against.values()]
    items = ", ".join(f"{group}: {one.items} items" for group, one in places[0].means.items())
    return (
        f"ADEPT with other settings, one varied at a time, on suite {used[0].suite}, preset {used[0].preset} "
        f"({len(used)} "
        f"results; {items}); the shaded place is the default. Above: accuracy in percent, means over seeds with "
        f"{interval_in_words(means, paired=False)}. Below: difference to the default in points with "
        f"{interval_in_words(against)}; the default itself stands at 0 by definition. Filled circles are general, open "
        "squares domain; small points are single seeds. Variants train at the default's learning rate. Intervals are "
        "each "
        "for itself, not corrected for the number of comparisons."
        if against
        else f"ADEPT with other settings, on suite {used[0].suite}, preset {used[0].preset}: accuracy in percent. "
        "There is no result of the default to compare with."
    )


KIND = FigureKind("sensitivity", "Sensitivity to settings", "Tables 12, 14", draw)
