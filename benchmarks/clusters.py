"""What the clusters of the lab's items would make of the intervals of stored results that tell none.

    python benchmarks/clusters.py [--results results] [--preset lab] [--claims]

Stored items are those of the lab's world in its order, so the entity of each is known without running anything. Prints
a row of Markdown for each group mean, each difference to full CPT and each comparison along paths: half widths of 95%
intervals before and after, in points. `--claims`: verdicts that change.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adept_bench.analysis.acquisition import at_equal_acquisition, at_equal_retention
from adept_bench.analysis.paired import Estimate, group_mean, paired_difference
from adept_bench.analysis.paths import ACCURACY, STATEMENT, path_of
from adept_bench.claims.evaluation import evaluate
from adept_bench.errors import InputError
from adept_bench.evaluation.clusters import clusters_of
from adept_bench.evaluation.tasks import load
from adept_bench.lab.items import TASKS
from adept_bench.results.schema import Cell, Clusters
from adept_bench.results.store import Store

Found = dict[str, Estimate]


def told(cells: list[Cell]) -> list[Cell]:
    """The cells with the clusters of their items."""
    found = {}
    for name in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            leaves = load(name, Path(folder))["tasks"]
            found[name] = clusters_of(name, leaves, {name: list(leaves[name].eval_docs)}, {})

    def tell(cell: Cell) -> Cell:
        tasks = {
            name: task.model_copy(update={"clusters": Clusters(**own)}) if (own := found.get(name)) else task
            for name, task in cell.tasks.items()
        }
        return cell.model_copy(update={"tasks": tasks})

    return [tell(cell) for cell in cells]


def estimates(cells: list[Cell]) -> Found:
    """Every estimate of a (preset, suite) by what it is of."""
    found: Found = {}

    def attempt(name: str, compute: Callable[[], Estimate | None]) -> None:
        try:
            one = compute()
        except InputError:
            return
        if one is not None and one.low is not None:
            found[name] = one

    chosen: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.chosen:
            chosen[cell.method].append(cell)
    groups = sorted({group for cell in cells for group in cell.groups})
    for method, mine in chosen.items():
        for group in groups:
            attempt(f"{group} | mean | {method}", lambda mine=mine, group=group: group_mean(mine, group))
            if "full" in chosen and method != "full":
                full = chosen["full"]
                attempt(
                    f"{group} | beyond full | {method}",
                    lambda mine=mine, group=group, full=full: paired_difference(mine, full, group),
                )
    for method in chosen if any(not cell.chosen for cell in cells) else ():
        for measure in (ACCURACY, STATEMENT):
            for compare in (at_equal_acquisition, at_equal_retention):

                def along(method=method, measure=measure, compare=compare) -> Estimate | None:
                    full = path_of(cells, "full")
                    mean = compare(path_of(cells, method), full, measure, full).mean
                    return mean.estimate if mean else None

                if method not in ("full", "vanilla"):
                    attempt(f"{measure.name} | {compare.__name__} | {method}", along)
    return found


def half(one: Estimate) -> float:
    """Half the width of the interval, in points."""
    return 50 * ((one.high or 0.0) - (one.low or 0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", default="results")
    parser.add_argument("--preset")
    parser.add_argument("--claims", action="store_true")
    arguments = parser.parse_args()
    stored = Store(arguments.results).load_all(arguments.preset, paths=True)
    by_place: dict[str, list[Cell]] = defaultdict(list)
    for cell in stored:
        by_place[f"{cell.preset}/{cell.suite}"].append(cell)
    print("| cells | measure | what | method | estimate | before | after | after / before |")
    print("|---|---|---|---|---:|---:|---:|---:|")
    for place, cells in by_place.items():
        before, after = estimates(cells), estimates(told(cells))
        for name, one in before.items():
            widths = half(one), half(after[name])
            shown = " | ".join(f"{value:.2f}" for value in (100 * one.value, *widths, widths[1] / widths[0]))
            print(f"| {place} | {name} | {shown} |", flush=True)
        ratios = np.array([half(after[name]) / half(one) for name, one in before.items()])
        if len(ratios):
            print(f"| {place} | all {len(ratios)} | median, range | | | | | {np.median(ratios):.2f}, ", end="")
            print(f"{ratios.min():.2f} to {ratios.max():.2f} |", flush=True)
    for preset in sorted({cell.preset for cell in stored}) if arguments.claims else ():
        mine = [cell for cell in stored if cell.preset == preset]
        for old, new in zip(evaluate(mine), evaluate(told(mine)), strict=True):
            if old["verdict"] != new["verdict"]:
                print(f"{preset} {old['id']}: {old['verdict']} -> {new['verdict']}", flush=True)


if __name__ == "__main__":
    main()
