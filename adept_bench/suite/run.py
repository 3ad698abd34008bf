"""`run`: which cells are missing, in which order they run, and what happens to their results."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.config.names import check_methods
from adept_bench.distributed.group import from_main, group, held, main_first
from adept_bench.distributed.strategy import DDP, share_of, strategy_of
from adept_bench.errors import InputError
from adept_bench.files import content_hash, write_whole
from adept_bench.progress import reporter
from adept_bench.suite.cell import WORK, Spec, checkpoints, config_hash, material, resolved, run_cell
from adept_bench.suite.rates import differences, learning_rate
from adept_bench.suite.workers import Job, Outcome, default_jobs, run_jobs

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig, SuiteVariant
    from adept_bench.results.store import Store

UNTRAINED = "vanilla"


def run_suite(
    config: RunConfig,
    *,
    methods: Sequence[str],
    seeds: Sequence[int],
    jobs: int | None = None,
    select_lr: bool = False,
    results: Path = Path("results"),
    force: bool = False,
    variants: Mapping[str, tuple[SuiteVariant, RunConfig]] | None = None,
    prepare: bool = False,
) -> int:
    """Run every cell of `methods` x `seeds` that has no valid result in `results`; returns how many failed.

    `variants`: the suite's own, each with its resolved configuration; `methods` may name them. They train at the
    learning rate of the method they are of.
    `jobs`: worker processes, by default one a core (CPU) or GPU. Under torchrun or accelerate launch every process
    calls this, and they work together on one cell after the other (`distributed.group`). `select_lr`: first choose each
    method's learning rate on validation data; cells that have another rate are then run again. `force`: run cells again
    that have a result; the old file stays until the new one is whole. `prepare`: stop before the cells, when the rates
    are chosen and what the cells share is measured; a failure of that then counts.
    Raises InputError for an unknown method or task, a corpus or model that cannot be read, and for a stored cell that
    was made with another configuration.
    """
    from adept_bench.suite.trials import select_rates

    variants = variants or {}
    check_methods(methods, "--methods", variants)
    check_processes(config, jobs)
    from_main(lambda: check_inputs(config, seeds, jobs, results))
    for method in methods:
        if method in variants:
            with main_first():
                _ = _spec(config, method, seeds[0], None, variants).inputs.corpora  # its base and tasks are the suite's
    compositions = {method: variants[method][0].of if method in variants else method for method in methods}
    trained = list(dict.fromkeys(name for name in compositions.values() if name != UNTRAINED))
    if select_lr and trained:
        unrated = [_spec(config, method, seed, None, variants) for seed in seeds for method in methods]
        from_main(
            lambda: _missing(unrated, results, force, any_rate=True)
        )  # a refusal must come before the work, not after
        if failed := report(select_rates(config, trained, jobs, results, force), results):
            return failed
    rates = from_main(lambda: {method: learning_rate(config, method, results) for method in trained})
    specs = [
        _spec(config, method, seed, rates.get(compositions[method]), variants) for seed in seeds for method in methods
    ]
    missing = from_main(lambda: _missing(specs, results, force, any_rate=select_lr))
    if not missing:
        return 0
    workers = jobs or default_jobs(len(missing))
    # a measurement that fails here is tried again by the cells that need it, and fails them alone
    failed = report(run_jobs(_shared(missing, results), workers), results)
    if prepare:
        return failed
    arguments = {"results": results, "replace": force or select_lr}
    cells = [Job(spec.title, complete_cell, {"spec": spec, **arguments}) for spec in missing]
    return report(run_jobs(cells, workers), results)


def _spec(
    config: RunConfig,
    method: str,
    seed: int,
    rate: dict[str, Any] | None,
    variants: Mapping[str, tuple[SuiteVariant, RunConfig]],
) -> Spec:
    if method not in variants:
        return Spec(config, method, seed, rate)
    variant, its_config = variants[method]
    return Spec(its_config, method, seed, rate, variant=described(variant))


def described(variant: SuiteVariant) -> dict[str, Any]:
    """What a result file says of a variant: the method, what is varied, the settings by dotted name."""
    parts = variant.sections().items()
    settings = {f"{section}.{key}": value for section, part in parts for key, value in part.items()}
    return {"of": variant.of, "about": variant.about, "settings": settings}


def check_processes(config: RunConfig, jobs: int | None) -> None:
    """Raises InputError for what a launcher's processes cannot do: jobs side by side, a step that is not divisible."""
    size = group().size
    if size == 1:
        return
    if (jobs or 1) > 1:
        raise InputError(f"--jobs: {jobs}; expected 1, as {size} processes of a launcher work on each cell together")
    share_of(config.training, size)
    strategy = strategy_of(config.training)
    if strategy != DDP and config.training.optimizer != "adamw":
        raise InputError(
            f"training.optimizer: {config.training.optimizer} is not known to work on weights in shards; "
            f"expected adamw with {strategy}, or ddp"
        )


def check_inputs(config: RunConfig, seeds: Sequence[int], jobs: int | None, results: Path) -> None:
    """Find what is wrong with the input before any work: the results folder, tasks, corpora and base models."""
    from adept_bench.suite.evaluate import check_tasks
    from adept_bench.suite.texts import LAB
    from adept_bench.training.optimizers import check_hardware

    if results.exists() and not results.is_dir():
        raise InputError(f"--results: {str(results)!r} is a file; expected a folder")
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results: {str(results)!r} cannot be made: {error.strerror}") from None
    check_tasks(config)
    check_hardware(config)
    specs = [Spec(config, UNTRAINED, seed, None) for seed in seeds]
    if config.model.source.startswith(LAB):
        from adept_bench.lab.bases import folder

        kind = config.model.source.removeprefix(LAB)
        built = [Job(f"lab base {kind}-{seed}", folder, {"kind": kind, "seed": seed}) for seed in seeds]
        _refuse([outcome for outcome in run_jobs(built, jobs or default_jobs(len(built))) if outcome.error])
    _ = specs[0].inputs.corpora
    for spec in specs:
        _ = spec.inputs.model_hash


def _missing(specs: Sequence[Spec], results: Path, force: bool, any_rate: bool = False) -> list[Spec]:
    """The cells without a valid result. `any_rate`: one with another learning rate is missing, not refused."""
    from adept_bench.results.store import Store

    store, missing, kept = Store(results), [], 0
    for spec in specs:
        names = (spec.config.preset, spec.config.suite, spec.method, spec.seed)
        cell = None if force else store.valid(*names)
        if cell is None:
            missing.append(spec)
            continue
        differing = differences(material(cell.config), material(resolved(spec)))
        if any_rate and differing == ["learning_rate"]:
            missing.append(spec)
        elif differing:
            changed = ", ".join(f"{name} {_value(cell.config, name)}" for name in differing[:4])
            raise InputError(
                f"{store.path(*names)}: made with other settings ({changed}); "
                "expected the same: choose another --results folder, or --force to replace it"
            )
        else:
            kept += 1
    if kept:
        hint = "--results DIR runs them elsewhere, --force again"
        reporter().log(f"{kept} of {len(specs)} cells have a valid result in {results} already ({hint})")
    return missing


def _value(config: object, dotted: str) -> object:
    for key in dotted.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _shared(specs: Sequence[Spec], results: Path) -> list[Job]:
    """What cells of one seed share, measured before them: the base's evaluation and the importances methods ask for.

    Variants may read other probe documents: what is measured on those is shared by the cells that read the same.
    """
    found: dict[tuple[int, str, str], Job] = {}
    for spec in sorted(specs, key=lambda spec: spec.seed):
        reads = content_hash({"data": spec.config.data.model_dump(), "probe": spec.config.probe.model_dump()})
        for kind in ["evaluation", *sorted(needed(spec))]:
            job = Job(f"base {kind} seed {spec.seed}", measure_base, {"spec": spec, "results": results, "kind": kind})
            found.setdefault((spec.seed, "" if kind == "evaluation" else reads, kind), job)
    return list(found.values())


def needed(spec: Spec) -> set[str]:
    """The measurements of the base that a method asks for: "layers general", "units domain" and the like."""
    from adept_bench.methods.registry import get

    method = get(spec.composition, spec.config.options)
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


def complete_cell(spec: Spec, results: Path, replace: bool = False) -> str:
    """Run a cell and store its result, unless another process has done so meanwhile. Returns the file."""
    from adept_bench.results.store import Store

    store, names = Store(results), (spec.config.preset, spec.config.suite, spec.method, spec.seed)

    def done() -> bool:
        stored = None if replace else store.valid(*names)
        return stored is not None and stored.config_hash == config_hash(resolved(spec))

    def write(cell: dict[str, Any]) -> None:
        store.write(cell)
        shutil.rmtree(checkpoints(spec, results), ignore_errors=True)

    with held(results / WORK / "locks" / spec.config.preset / spec.config.suite / f"{spec.method}-seed{spec.seed}"):
        if not from_main(done):
            cell = from_main(lambda: None if replace else same_cell(spec, store)) or run_cell(spec, results)
            from_main(lambda: write(cell))
    return str(store.path(*names))


def same_cell(spec: Spec, store: Store) -> dict[str, Any] | None:
    """The cell as another suite of the preset has measured it, under this suite's name; None where none has.

    Only a cell whose configuration is the same in everything but the suite's name counts. `extra.measured_in` says
    which suite it was.
    """
    asked = resolved(spec)
    for path in sorted(store.root.glob(f"{spec.config.preset}/*/{spec.method}-seed{spec.seed}.json")):
        try:
            stored = store.read(path)
        except InputError:
            continue
        if material({**stored.config, "suite": spec.config.suite}) == material(asked):
            origin = stored.extra.get("measured_in", stored.suite)
            changed = {"suite": spec.config.suite, "config": asked, "config_hash": config_hash(asked)}
            extra = {**stored.extra, "measured_in": origin}
            return {**stored.model_dump(mode="json"), **changed, "extra": extra}
    return None


def report(outcomes: Iterable[Outcome], results: Path) -> int:
    """Say what becomes of each job as it ends; returns how many failed.

    Raises InputError where every failure is bad input. Tracebacks are kept in files beside the checkpoints.
    """
    failed: list[Outcome] = []
    for outcome in outcomes:
        if outcome.error is None:
            if isinstance(outcome.value, str):
                reporter().log(f"done: {outcome.value}")
            continue
        failed.append(outcome)
        reporter().log(f"FAILED {outcome.job.title}: {outcome.error}")
        if outcome.trace and group().main:
            spec = outcome.job.arguments.get("spec")
            place = results / WORK / "errors" / (f"{spec.config.preset}-{spec.config.suite}" if spec else "")
            path = place / f"{outcome.job.title.replace(' ', '-')}.txt"
            write_whole(path, outcome.trace)
            reporter().log(f"  traceback in {path}")
    _refuse(failed)
    return len(failed)


def _refuse(failed: Sequence[Outcome]) -> None:
    if failed and all(outcome.refused for outcome in failed):
        raise InputError("\n".join(dict.fromkeys(outcome.error or "" for outcome in failed)))
