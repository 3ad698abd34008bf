"""The choice of learning rates: a method's cells over its grid, judged on their validation items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adept_bench.distributed.group import group
from adept_bench.files import locked
from adept_bench.progress import reporter
from adept_bench.suite.cell import WORK
from adept_bench.suite.evidence import evidence_path
from adept_bench.suite.rates import DIVERGED, Entry, choose, trial_of, write_evidence
from adept_bench.suite.workers import Outcome

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig
    from adept_bench.suite.cell import Spec


def without_diverged(outcomes: Iterator[Outcome], found: list[Spec]) -> Iterator[Outcome]:
    """The outcomes but those of trainings that diverged, which are trials all the same: they go to `found`."""
    for outcome in outcomes:
        if outcome.error is not None and outcome.error.startswith("DivergedError"):
            found.append(outcome.job.arguments["spec"])
            reporter().log(f"{outcome.job.title}: {outcome.error}")
        else:
            yield outcome


def store_choice(config: RunConfig, specs: Sequence[Spec], diverged: Sequence[Spec], results: Path) -> None:
    """Make the evidence of the stored cells of `specs`, each method's over its grid, and write it.

    `diverged`: those of them that have no cell because their training diverged.
    """
    from adept_bench.results.store import Store

    store = Store(results)
    tried: dict[str, list[dict]] = {}
    settings: dict[str, Mapping | None] = {}
    for spec in specs:
        assert spec.rate is not None
        rate = spec.rate["value"]
        cell = store.at_rate(spec.config.preset, spec.config.suite, spec.method, spec.seed, rate)
        if spec in diverged:
            trial = {"learning_rate": rate, "seed": spec.seed, "score": DIVERGED, "diverged": True}
        elif cell is None or cell.validation is None:
            continue
        else:
            trial = trial_of(cell)
        tried.setdefault(spec.method, []).append(trial)
        settings[spec.method] = spec.variant["settings"] if spec.variant else None
    for name, trials in tried.items():
        choice = choose(trials)
        edge = "; it is on the edge of the grid, a wider one is needed" if choice["on_edge"] else ""
        reporter().log(f"{name}: learning rate {choice['chosen']:g} chosen{edge}")
    if tried and group().main:
        # another run may choose for other methods meanwhile, and the file is read before it is written
        with locked(results / WORK / "locks" / config.preset / config.suite / "learning-rates"):
            entries = {name: Entry(trials, settings[name]) for name, trials in tried.items()}
            write_evidence(evidence_path(results, config), config, entries)
