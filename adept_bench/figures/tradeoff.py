"""Retention against acquisition: what a method keeps of general knowledge beside what it learns of the domain.

python -m adept_bench.figures.tradeoff --results results --preset lab --suite medical --output figures
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from adept_bench.analysis.paired import Estimate, group_mean
from adept_bench.analysis.protocol import check_budget
from adept_bench.analysis.table import methods_in_order
from adept_bench.errors import InputError
from adept_bench.figures.style import clean, colour, marker
from adept_bench.results.schema import Cell
from adept_bench.results.store import Store


def tradeoff(cells: Sequence[Cell], path: Path) -> Path:
    """Draw the cells of one (preset, suite): domain accuracy across, general accuracy up, a point a method.

    Bars are 95% intervals over items and, with several seeds, over seeds; small points are single seeds; the area of a
    point grows with the share of parameters that train. Raises InputError where cells of several presets, suites or
    budgets are mixed, or there are no domain and general tasks.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    if len({(cell.preset, cell.suite) for cell in cells}) != 1:
        raise InputError("figure tradeoff: cells of several presets or suites; expected one of each")
    check_budget(cell for cell in cells if cell.training.tokens)
    figure, axes = plt.subplots(figsize=(7.2, 5.0), layout="constrained")
    for method in methods_in_order(cell.method for cell in cells):
        mine = sorted((cell for cell in cells if cell.method == method), key=lambda cell: cell.seed)
        across, up = group_mean(mine, "domain"), group_mean(mine, "general")
        share = mine[0].model.trainable_fraction
        axes.errorbar(
            100 * across.value,
            100 * up.value,
            xerr=_arms(across),
            yerr=_arms(up),
            fmt="none",
            ecolor=colour(method),
            elinewidth=1.1,
            alpha=0.7,
        )
        axes.scatter(
            100 * across.value,
            100 * up.value,
            s=40 + 260 * share,
            color=colour(method),
            marker=marker(method),
            edgecolor="white",
            linewidth=0.8,
            zorder=3,
            label=f"{method} ({100 * share:.0f}% trains)",
        )
        if len(mine) > 1:
            learned, kept = ([100 * cell.groups[name] for cell in mine] for name in ("domain", "general"))
            axes.scatter(learned, kept, s=9, color=colour(method), alpha=0.55, zorder=2)
    seeds = sorted({cell.seed for cell in cells})
    axes.set_xlabel("domain accuracy, % (what was to be learned)")
    axes.set_ylabel("general accuracy, % (what was to be kept)")
    axes.set_title(
        f"Suite {cells[0].suite}, preset {cells[0].preset}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        loc="left",
    )
    axes.set(xlim=(-3, 103), ylim=(-3, 103))
    note = "bars: 95% intervals; small points: single seeds; area: share of parameters that train"
    figure.supxlabel(note, fontsize=8)
    clean(axes)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, labelspacing=1.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    # no date in the file: the same results give the same bytes
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
    return path


def _arms(estimate: Estimate) -> list[list[float]] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return [[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]]


def main() -> None:
    """Draw the figure of one (preset, suite) from a results folder."""
    parser = argparse.ArgumentParser(description=tradeoff.__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--preset", default="lab")
    parser.add_argument("--suite", default="medical")
    parser.add_argument("--output", type=Path, default=Path("figures"))
    chosen = parser.parse_args()
    cells = Store(chosen.results).load_all(chosen.preset, chosen.suite)
    if not cells:
        raise SystemExit(f"no results of preset {chosen.preset!r}, suite {chosen.suite!r} in {chosen.results}")
    print(tradeoff(cells, chosen.output / f"{chosen.preset}-{chosen.suite}-tradeoff.png"))


if __name__ == "__main__":
    main()
