"""The choice of learning rates: every method's grid, tried under the full budget and judged on validation data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import from_main, group, held
from adept_bench.files import content_hash, locked, write_json
from adept_bench.progress import reporter
from adept_bench.suite.cell import WORK, Spec, run_trial
from adept_bench.suite.rates import choose, evidence_path, protocol, score, write_evidence
from adept_bench.suite.workers import Job, Outcome, default_jobs, run_jobs

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig

DIVERGED = -1e9  # the score of a trial that diverged: below all others


def select_rates(
    config: RunConfig, methods: Sequence[str], jobs: int | None, results: Path, force: bool = False
) -> Iterator[Outcome]:
    """Try each method's grid; yields the outcomes of the trials and then stores trials and choices.

    Every method has the same number of trials. Finished trials are kept, so that an interrupted selection goes on;
    `force` makes them again.
    """
    tasks = []
    for method in methods:
        for rate in config.selection.grid_for(method):
            spec = Spec(config, method, config.selection.seed, {"value": rate, "source": "selected"}, trial=True)
            arguments = {"spec": spec, "results": results, "force": force}
            tasks.append(Job(spec.title, complete_trial, arguments))
    trials: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    for outcome in run_jobs(tasks, jobs or default_jobs(len(tasks))):
        if outcome.error is None:
            trial = outcome.value
            trials[trial["method"]].append(trial)
            reporter().log(f"{outcome.job.title}: score {trial['score']:.4f}")
        yield outcome
    chosen = {name: choose(found) for name, found in trials.items() if len(found) == len(config.selection.grid)}
    for name, choice in chosen.items():
        edge = "; it is on the edge of the grid, a wider one is needed" if choice["on_edge"] else ""
        reporter().log(f"{name}: learning rate {choice['chosen']:g} chosen{edge}")
    if chosen and group().main:
        # another run may choose for other methods meanwhile, and the file is read before it is written
        with locked(results / WORK / "locks" / config.preset / config.suite / "learning-rates"):
            write_evidence(evidence_path(results, config), config, chosen)


def complete_trial(spec: Spec, results: Path, force: bool = False) -> dict[str, Any]:
    """Run a trial unless it is stored, and store it: rate, score, what the score was made of, method and seed."""
    from adept_bench.suite.evaluate import evaluation_key
    from adept_bench.training.trainer import DivergedError

    assert spec.rate is not None
    rate = spec.rate["value"]
    key = content_hash(
        {
            "protocol": protocol(spec.config),
            "model": spec.inputs.model_hash,
            "judged by": evaluation_key(spec.inputs, spec.config.tasks.validation),
            "method": spec.method,
            "rate": rate,
        }
    )
    path = results / WORK / "trials" / f"{spec.method}-{rate:g}-{key}.json"
    work = path.with_suffix("")
    with held(path):
        stored = from_main(lambda: json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None)
        if stored is not None and not force:
            return stored
        try:
            trial = run_trial(spec, results, work)
            trial["score"] = score(trial)
        except DivergedError as error:
            trial = {"learning_rate": rate, "score": DIVERGED, "diverged": str(error)}
        trial |= {"method": spec.method, "seed": spec.seed}
        if group().main:
            write_json(path, trial)
            shutil.rmtree(work, ignore_errors=True)
    return trial
