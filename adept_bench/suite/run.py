"""`run`: which cells are missing, in which order they run, and what happens to their results."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.config.names import check_methods
from adept_bench.distributed.failures import KEPT
from adept_bench.distributed.group import from_main, group, held, main_first
from adept_bench.distributed.strategy import DDP, share_of, strategy_of
from adept_bench.errors import InputError
from adept_bench.files import content_hash, write_whole
from adept_bench.models.folders import writing
from adept_bench.progress import reporter
from adept_bench.suite.cell import WORK, Spec, checkpoints, config_hash, material, resolved, run_cell
from adept_bench.suite.evidence import evidence, evidence_path
from adept_bench.suite.layers import check_layers
from adept_bench.suite.rates import Asked, check_asked, differences, learning_rate, on_grid, rates_of, reservation
from adept_bench.suite.trials import store_choice, without_diverged
from adept_bench.suite.workers import Job, Outcome, default_jobs, run_jobs

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig, SuiteVariant
    from adept_bench.results.schema import Cell
    from adept_bench.results.store import Store

UNTRAINED = "vanilla"


def run_suite(
    config: RunConfig,
    *,
    methods: Sequence[str],
    seeds: Sequence[int],
    jobs: int | None = None,
    select_lr: bool = False,
    rates: Asked = "chosen",
    results: Path = Path("results"),
    force: bool = False,
    variants: Mapping[str, tuple[SuiteVariant, RunConfig]] | None = None,
    prepare: bool = False,
) -> int:
    """Run every cell of `methods` x `seeds` that has no valid result in `results`; returns how many failed.

    `variants`: the suite's own, each with its resolved configuration; `methods` may name them.
    `rates`: at which learning rates, "chosen", "all" of each method's grid beside the chosen one, or a list.
    `jobs`: worker processes, by default one a core (CPU) or GPU. Under torchrun or accelerate launch every process
    calls this, and they work together on one cell after the other (`distributed.group`). `select_lr`: first choose each
    method's learning rate on validation data, from its cells over its grid (of `selection.seed`; with `rates` "all", of
    all seeds), which stay as points of its path. `force`: run cells again that have a result; the old file stays until
    the new one is whole. `prepare`: stop before the cells, when the rates are chosen and what the cells share is
    measured; a failure of that then counts.
    Raises InputError for an unknown method or task, a corpus or model that cannot be read, and for a stored cell that
    was made with another configuration.
    """
    variants = variants or {}
    check_methods(methods, "--methods", variants)
    check_asked(config, rates)
    check_processes(config, jobs)
    plan = Cells(config, variants, results)
    asked = [(plan.of(name), variants[name][1] if name in variants else config) for name in methods]
    from_main(lambda: check_inputs(config, seeds, jobs, results, asked))
    for method in methods:
        if method in variants:
            with main_first():
                _ = plan.spec(method, seeds[0], None).inputs.corpora  # its base and tasks are the suite's
    trained = [method for method in methods if plan.of(method) != UNTRAINED]
    movable = select_lr or rates != "chosen"
    if select_lr and trained:
        from_main(lambda: evidence(evidence_path(results, config), replaced=True))  # a damaged one must not stop this
        tried_seeds = seeds if rates == "all" else [config.selection.seed]
        if not force:  # a refusal must come before the work, not after
            from_main(lambda: _refuse_others(plan.at(methods, seeds, "chosen"), results, movable=True))
        tried = [
            plan.spec(method, seed, rate)
            for seed in tried_seeds
            for method in trained
            for rate in on_grid(config.selection.grid_for(method, plan.of(method)))
        ]
        diverged: list[Spec] = []
        if failed := _run(tried, results, jobs, force, movable=True, judged=True, diverged=diverged):
            return failed
        store_choice(config, tried, diverged, results)
        new = {spec.point for spec in tried}
    else:
        new = set()
    specs = from_main(lambda: plan.at(methods, seeds, rates))
    chosen = [(spec.method, spec.rate) for spec in specs if spec.rate and spec.other_rate is None]
    for line in dict.fromkeys(
        f"{name}: {why}; {rate['value']:g}" for name, rate in chosen if (why := reservation(rate))
    ):
        reporter().log(line)
    # what was just tried is new, and is not forced a second time
    failed = _run([spec for spec in specs if spec.point in new], results, jobs, False, movable=True, prepare=prepare)
    rest = [spec for spec in specs if spec.point not in new]
    return failed + _run(rest, results, jobs, force, movable=movable, prepare=prepare)


@dataclass(frozen=True)
class Cells:
    """The cells of a suite in one folder of results: which method, seed and rate make which."""

    config: RunConfig
    variants: Mapping[str, tuple[SuiteVariant, RunConfig]]
    results: Path

    def of(self, method: str) -> str:
        """The method of the registry."""
        return self.variants[method][0].of if method in self.variants else method

    def spec(self, method: str, seed: int, rate: dict[str, Any] | None) -> Spec:
        if method not in self.variants:
            return Spec(self.config, method, seed, rate)
        variant, its_config = self.variants[method]
        return Spec(its_config, method, seed, rate, variant=described(variant))

    def at(self, methods: Sequence[str], seeds: Sequence[int], rates: Asked) -> list[Spec]:
        """The cells at these rates, seed by seed; what does not train has one of its own."""
        found = []
        for seed in seeds:
            for method in methods:
                if self.of(method) == UNTRAINED:
                    found.append(self.spec(method, seed, None))
                    continue
                settings = described(self.variants[method][0])["settings"] if method in self.variants else None
                chosen = learning_rate(self.config, method, self.results, seed, of=self.of(method), settings=settings)
                found += [
                    self.spec(method, seed, rate)
                    for rate in rates_of(self.config, rates, chosen, method, self.of(method))
                ]
        return found


def _run(
    specs: Sequence[Spec],
    results: Path,
    jobs: int | None,
    force: bool,
    *,
    movable: bool,
    judged: bool = False,
    prepare: bool = False,
    diverged: list[Spec] | None = None,
) -> int:
    """Run those of the cells that are missing, after what they share. Returns how many failed.

    `diverged`: takes those whose training diverged, which then are no failures.
    """
    missing = from_main(lambda: _missing(specs, results, force, movable=movable, judged=judged))
    if not missing:
        return 0
    workers = jobs or default_jobs(len(missing))
    # a measurement that fails here is tried again by the cells that need it, and fails them alone
    failed = report(run_jobs(_shared(missing, results), workers), results)
    if prepare:
        return failed
    arguments = {"results": results, "force": force, "judged": judged}
    outcomes = run_jobs([Job(spec.title, complete_cell, {"spec": spec, **arguments}) for spec in missing], workers)
    return report(outcomes if diverged is None else without_diverged(outcomes, diverged), results)


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
    if strategy != DDP and config.training.evaluate_every:
        raise InputError(
            f"training.evaluate_every: {config.training.evaluate_every} is not to be had of weights in shards; "
            f"expected none with {strategy}, or ddp"
        )
    if strategy != DDP and config.training.optimizer != "adamw":
        raise InputError(
            f"training.optimizer: {config.training.optimizer} is not known to work on weights in shards; "
            f"expected adamw with {strategy}, or ddp"
        )


def check_inputs(
    config: RunConfig,
    seeds: Sequence[int],
    jobs: int | None,
    results: Path,
    asked: Sequence[tuple[str, RunConfig]] = (),
) -> None:
    """Find what is wrong with the input before any work: the results folder, tasks, corpora and base models.

    asked: methods, each with its configuration, whose layers are held against the base's.
    """
    from adept_bench.suite.evaluate import check_tasks
    from adept_bench.suite.texts import LAB
    from adept_bench.suite.trained import check_packing
    from adept_bench.training.optimizers import check_hardware

    if here := Path(config.model.source).exists():
        check_layers(asked)
    if results.exists() and not results.is_dir():
        raise InputError(f"--results: {str(results)!r} is a file; expected a folder")
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results: {str(results)!r} cannot be made: {error.strerror}") from None
    check_tasks(config)
    check_hardware(config)
    if not here:  # the Hub may take long to say it
        check_layers(asked)
    specs = [Spec(config, UNTRAINED, seed, None) for seed in seeds]
    if config.model.source.startswith(LAB):
        from adept_bench.lab.bases import folder

        kind = config.model.source.removeprefix(LAB)
        built = [Job(f"lab base {kind}-{seed}", folder, {"kind": kind, "seed": seed}) for seed in seeds]
        _refuse([outcome for outcome in run_jobs(built, jobs or default_jobs(len(built))) if outcome.error])
    _ = specs[0].inputs.corpora
    for spec in specs:
        _ = spec.inputs.model_hash
    check_packing(specs[0].inputs)


def _missing(
    specs: Sequence[Spec], results: Path, force: bool, *, movable: bool = False, judged: bool = False
) -> list[Spec]:
    """The cells without a valid result. One that is stored as another point of its path is given its place.

    `movable`: a cell of another rate may leave the place of the chosen one to a point of the path; else it is refused.
    `judged`: a cell without validation measures is missing.
    """
    from adept_bench.results.store import Store

    store, missing, kept = Store(results), [], 0
    stored = [None] * len(specs) if force else _refuse_others(specs, results, movable=movable)
    for spec, cell in zip(specs, stored, strict=True):
        if cell is None or (judged and cell.validation is None):
            missing.append(spec)
            continue
        kept += 1
        # a cell whose rate was chosen again says how
        if (
            spec.other_rate is None
            and spec.rate
            and (not cell.chosen or (movable and _told(cell) != _choice(spec.rate)))
        ):
            store.settle(cell, spec.rate)
    if kept:
        hint = "--results DIR runs them elsewhere, --force again"
        reporter().log(f"{kept} of {len(specs)} cells have a valid result in {results} already ({hint})")
    return missing


def _refuse_others(specs: Sequence[Spec], results: Path, *, movable: bool) -> list[Cell | None]:
    """The stored cell of each, None where there is none. Raises InputError for one that was made with other settings.

    Nothing is moved. `movable`: another rate in the place of the chosen one is not among those settings.
    """
    from adept_bench.results.store import Store

    store, found = Store(results), []
    for spec in specs:
        names = (spec.config.preset, spec.config.suite, spec.method, spec.seed)
        cell = store.at_rate(*names, spec.point[2])
        there = cell or (None if spec.other_rate is not None else store.valid(*names))
        differing = differences(material(there.config), material(resolved(spec))) if there is not None else []
        if movable and cell is None:
            differing = [name for name in differing if name != "learning_rate"]
        if differing and there is not None:
            changed = ", ".join(f"{name} {_value(there.config, name)}" for name in differing[:4])
            raise InputError(
                f"{store.place(there)}: made with other settings ({changed}); "
                "expected the same: choose another --results folder, or --force to replace it"
            )
        found.append(cell)
    return found


def _told(cell: Cell) -> dict[str, Any] | None:
    return cell.learning_rate.model_dump(mode="json") if cell.learning_rate else None


def _choice(rate: dict[str, Any]) -> dict[str, Any]:
    from adept_bench.results.schema import LearningRateChoice

    return LearningRateChoice.model_validate(rate).model_dump(mode="json")


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
    chosen = method.layers
    how = chosen.how if chosen is not None and chosen.listed is None else ""
    layers = {"importance": {"layers general"}, "highest": {"layers general"}, "domain-importance": {"layers domain"}}
    return layers.get(how, set()) | {f"units {corpus}" for corpus in method.rates.corpora}


def measure_base(spec: Spec, results: Path, kind: str) -> None:
    """Make sure that a measurement of the base is stored."""
    from adept_bench.suite.base import BaseMeasurements

    base = BaseMeasurements(spec.inputs, results / WORK / "base")
    what, _, corpus = kind.partition(" ")
    with writing(results, "--results"):
        if what == "evaluation":
            base.evaluation(spec.config.tasks.groups)
        elif what == "layers":
            base.layer_importance(corpus)
        else:
            base.unit_importance(corpus)


def complete_cell(spec: Spec, results: Path, force: bool = False, judged: bool = False) -> str:
    """Run a cell and store its result, unless another process has done so meanwhile. Returns the file.

    `force`: whatever is stored. `judged`: also where the stored one has no validation measures.
    """
    from adept_bench.results.store import Store

    store, names = Store(results), (spec.config.preset, spec.config.suite, spec.method, spec.seed)
    rate = spec.point[2]

    def done() -> bool:
        stored = None if force else store.at_rate(*names, rate)
        if stored is None or (judged and stored.validation is None):
            return False
        return stored.config_hash == config_hash(resolved(spec))

    def write(cell: dict[str, Any]) -> None:
        if spec.other_rate is None and spec.rate is not None:
            _make_room(store, names, rate, material(resolved(spec)))
        store.write(cell)
        shutil.rmtree(checkpoints(spec, results), ignore_errors=True)

    with (
        writing(results, "--results"),
        held(results / WORK / "locks" / spec.config.preset / spec.config.suite / checkpoints(spec, results).name),
    ):
        if not from_main(done):
            cell = from_main(lambda: None if force else same_cell(spec, store)) or run_cell(spec, results)
            from_main(lambda: write(cell))
    return str(store.path(*names, spec.other_rate))


def _make_room(store: Store, names: tuple[str, str, str, int], rate: float | None, asked: dict[str, Any]) -> None:
    """Before a cell of the chosen rate is stored: one of another rate in its place becomes a point of the path."""
    there = store.valid(*names)
    if there is None or there.rate in (None, rate):
        return
    if material(there.config) | {"learning_rate": None} == asked | {"learning_rate": None}:
        store.step_aside(there)


def same_cell(spec: Spec, store: Store) -> dict[str, Any] | None:
    """The cell as another suite of the preset has measured it, under this suite's name; None where none has.

    Only a cell whose configuration is the same in everything but the suite's name counts. `extra.measured_in` says
    which suite it was.
    """
    asked = resolved(spec)
    for path in sorted(store.root.glob(f"{spec.config.preset}/*/{spec.method}*-seed{spec.seed}.json")):
        if path.name.partition("@")[0].removesuffix(f"-seed{spec.seed}.json") != spec.method:
            continue
        try:
            stored = store.read(path)
        except InputError:
            continue
        if material({**stored.config, "suite": spec.config.suite}) == material(asked):
            origin = stored.extra.get("measured_in", stored.suite)
            changed = {"suite": spec.config.suite, "config": asked, "config_hash": config_hash(asked)}
            changed["learning_rate"] = spec.rate or {"value": None, "source": "none"}
            extra = {**stored.extra, "measured_in": origin}
            return {**stored.model_dump(mode="json"), **changed, "extra": extra}
    return None


def report(outcomes: Iterable[Outcome], results: Path) -> int:
    """Say what becomes of each job as it ends; returns how many failed.

    Raises InputError where every failure is bad input, and at once for what every job would meet, which ends those that
    run. Tracebacks are kept in files beside the checkpoints.
    """
    failed: list[Outcome] = []
    for outcome in outcomes:
        if outcome.final:
            raise InputError(f"{outcome.error}; {KEPT}")
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
