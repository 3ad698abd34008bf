"""How often the intervals of differences along paths cover the truth, and how far the estimates are off, by simulation.

    python benchmarks/acquisition.py [--experiments 1000] [--seeds 3,4,5] [--held acquisition,retention] [WORLD ...]

The worlds are those of tests/path_worlds.py. Prints rows of Markdown, in points: docs/acquisition.md holds the table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from path_worlds import WORLDS, Population


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="*", default=list(WORLDS), metavar="WORLD", help=", ".join(WORLDS))
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--seeds", default="3,4,5")
    parser.add_argument("--held", default="acquisition,retention")
    arguments = parser.parse_args()
    print("| world | held equal | seeds | ranges | coverage, % | truth | bias | spread | half width |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in arguments.worlds:
        population = Population(WORLDS[name])
        for held in arguments.held.split(","):
            for seeds in map(int, arguments.seeds.split(",")):
                found = population.run(held, seeds, arguments.experiments)
                errors = 100 * np.array([outcome.value - outcome.truth for outcome in found])
                halves = 100 * np.array([outcome.half for outcome in found])
                truth = 100 * float(np.mean([outcome.truth for outcome in found]))
                covered = 100 * float(np.mean(np.abs(errors) <= halves))
                print(
                    f"| {name} | {held} | {seeds} | {len(found)} | {covered:.1f} | {truth:+.1f} "
                    f"| {errors.mean():+.2f} | {errors.std():.2f} | {np.median(halves):.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
