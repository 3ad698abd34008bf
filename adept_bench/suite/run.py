"""`run`: which cells are missing, in which order they run, and what happens to their results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError
from adept_bench.files import locked, write_json, write_whole
from adept_bench.progress import reporter
from adept_bench.suite.cell import WORK, Spec, config_hash, resolved, run_cell, run_trial
from adept_bench.suite.rates import choose, evidence_path, learning_rate, protocol, score, write_evidence
from adept_bench.suite.workers import Job, Outcome, default_jobs, run_jobs

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig

UNTRAINED = ("vanilla",)


def run_suite(
    config: RunConfig,
    *,
    methods: Sequence[str],
    seeds: Sequence[int],
    jobs: int | None = None,
    select_lr: bool = False,
    results: Path = Path("results"),
    force: bool = False,
) -> int:
    """Run every cell of `methods` x `seeds` that has no valid result in `results`; returns how many failed.

    `jobs`: worker processes, by default one a core (CPU) or GPU. `select_lr`: first choose each method's learning rate
    on validation data. `force`: run cells again that have a result; the old file stays until the new one is whole.
    Raises InputError for an unknown method, and for a stored cell that was made with another configuration.
    """
    from adept_bench.config.names import check_methods

    check_methods(methods, "--methods")
    _check_folder(results)
    trained = [method for method in methods if method not in UNTRAINED]
    if select_lr and trained:
        failed = select_rates(config, trained, jobs, results)
        if failed:
            return failed
    rates = {method: learning_rate(config, method, results) for method in trained}
    specs = [Spec(config, method, seed, rates.get(method)) for seed in seeds for method in methods]
    missing = _missing(specs, results, force)
    if not missing:
        return 0
    workers = jobs or default_jobs(len(missing))
    cells = [Job(spec.title, complete_cell, {"spec": spec, "results": results, "force": force}) for spec in missing]
    failed = sum(_report(outcome, results) for outcome in run_jobs(_shared(missing, results), workers))
    # cells that need a failed measurement try it again themselves and fail with its reason
    return sum(_report(outcome, results) for outcome in run_jobs(cells, workers)) if not failed else len(missing)


def _check_folder(results: Path) -> None:
    if results.exists() and not results.is_dir():
        raise InputError(f"--results: {str(results)!r} is a file; expected a folder")
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results: {str(results)!r} cannot be made: {error.strerror}") from None


def _missing(specs: Sequence[Spec], results: Path, force: bool) -> list[Spec]:
    """The cells without a valid result."""
    from adept_bench.results.store import Store

    store, missing, kept = Store(results), [], 0
    for spec in specs:
        wanted = None if force else config_hash(resolved(spec))
        config = spec.config
        if force or store.valid(config.preset, config.suite, spec.method, spec.seed, wanted) is None:
            missing.append(spec)
        else:
            kept += 1
    if kept:
        reporter().log(f"{kept} of {len(specs)} cells have a valid result already")
    return missing


def _shared(specs: Sequence[Spec], results: Path) -> list[Job]:
    """What cells of one seed share, measured before them: the base's evaluation and the importances methods ask for."""
    found: list[Job] = []
    for seed in dict.fromkeys(spec.seed for spec in specs):
        of_seed = [spec for spec in specs if spec.seed == seed]
        arguments = {"spec": of_seed[0], "results": results}
        found.append(Job(f"base evaluation seed {seed}", measure_base, {**arguments, "kind": "evaluation"}))
        for kind in sorted({kind for spec in of_seed for kind in needed(spec)}):
            found.append(Job(f"base {kind} seed {seed}", measure_base, {**arguments, "kind": kind}))
    return found


def needed(spec: Spec) -> set[str]:
    """The measurements of the base that a method asks for: "layers general", "units domain" and the like."""
    from adept_bench.methods.registry import get

    method = get(spec.method, spec.config.options)
    chosen = getattr(method.edit, "layers", None) or getattr(method.train, "layers", None)
    how = chosen.how if chosen is not None and chosen.listed is None else ""
    layers = {"importance": {"layers general"}, "highest": {"layers general"}, "domain-importance": {"layers domain"}}
    return layers.get(how, set()) | {f"units {corpus}" for corpus in method.rates.corpora}


def measure_base(spec: Spec, results: Path, kind: str) -> None:
    """Make sure that a measurement of the base is stored."""
    from adept_bench.suite.base import BaseMeasurements

    base = BaseMeasurements(spec.inputs, results / WORK / "base")
    what, _, corpus = kind.partition(" ")
    if what == "evaluation":
        base.evaluation(spec.config.tasks.groups)
    elif what == "layers":
        base.layer_importance(corpus)
    else:
        base.unit_importance(corpus)


def complete_cell(spec: Spec, results: Path, force: bool = False) -> str:
    """Run a cell and store its result, unless another process has done so meanwhile. Returns the file."""
    from adept_bench.results.store import Store

    config, store = spec.config, Store(results)
    lock = results / WORK / "locks" / config.preset / config.suite / f"{spec.method}-seed{spec.seed}"
    with locked(lock):
        if not force:
            stored = store.valid(config.preset, config.suite, spec.method, spec.seed, config_hash(resolved(spec)))
            if stored is not None:
                return str(store.path(config.preset, config.suite, spec.method, spec.seed))
        return str(store.write(run_cell(spec, results)))


def _report(outcome: Outcome, results: Path) -> bool:
    """Say what became of a job; True where it failed. A traceback is kept in a file beside the checkpoints."""
    if outcome.error is None:
        if isinstance(outcome.value, str):
            reporter().log(f"done: {outcome.value}")
        return False
    reporter().log(f"FAILED {outcome.job.title}: {outcome.error}")
    if outcome.trace:
        path = results / WORK / "errors" / f"{outcome.job.title.replace(' ', '-')}.txt"
        write_whole(path, outcome.trace)
        reporter().log(f"  traceback in {path}")
    return True


def select_rates(config: RunConfig, methods: Sequence[str], jobs: int | None, results: Path) -> int:
    """Try each method's grid and store trials and choices; returns how many trials failed.

    Every method has the same number of trials, each of the full budget. A trial that diverges loses: its score is
    below all others. Finished trials are kept, so that an interrupted selection goes on.
    """
    if any(tasks.values() for tasks in [config.tasks.validation]) and not config.tasks.validation.get("domain"):
        reporter().log("--select-lr: there are no validation tasks of group domain; judging by the groups there are")
    planned = [(method, rate) for method in methods for rate in config.selection.grid_for(method)]
    tasks = []
    for method, rate in planned:
        spec = Spec(config, method, config.selection.seed, {"value": rate, "source": "selected"})
        tasks.append(Job(f"trial {method} {rate:g}", complete_trial, {"spec": spec, "results": results}))
    trials: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    failed = 0
    for outcome in run_jobs(tasks, jobs or default_jobs(len(tasks))):
        if _report(outcome, results):
            failed += 1
            continue
        trial = outcome.value
        trials[trial["method"]].append(trial)
        reporter().log(f"{outcome.job.title}: score {trial['score']:.4f}")
    complete = {name: choose(found) for name, found in trials.items() if len(found) == len(config.selection.grid)}
    for name, choice in complete.items():
        edge = "; it is on the edge of the grid, a wider one is needed" if choice["on_edge"] else ""
        reporter().log(f"{name}: learning rate {choice['chosen']:g} chosen{edge}")
    write_evidence(evidence_path(results, config), config, complete)
    return failed


def complete_trial(spec: Spec, results: Path) -> dict[str, Any]:
    """Run a trial unless it is stored, and store it."""
    import json

    from adept_bench.files import content_hash
    from adept_bench.training.trainer import DivergedError

    assert spec.rate is not None
    rate = spec.rate["value"]
    key = content_hash({"protocol": protocol(spec.config), "method": spec.method, "rate": rate})
    path = results / WORK / "trials" / f"{spec.method}-{rate:g}-{key}.json"
    with locked(path):
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        try:
            trial = run_trial(spec, results)
            trial["score"] = score(trial)
        except DivergedError as error:
            trial = {"learning_rate": rate, "score": -1e9, "diverged": str(error)}
        trial |= {"method": spec.method, "seed": spec.seed, "process": os.getpid()}
        write_json(path, trial)
    return trial
