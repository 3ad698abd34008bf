"""One cell from beginning to end: base → probe → expand → train → evaluate → result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import from_main, group
from adept_bench.distributed.strategy import launcher, share_of, strategy_of
from adept_bench.files import content_hash
from adept_bench.results.compact import rounded
from adept_bench.suite import machine
from adept_bench.suite.analyses import of_base, of_trained
from adept_bench.suite.base import BaseMeasurements
from adept_bench.suite.evaluate import data_hashes, evaluate_all
from adept_bench.suite.inputs import Inputs, inputs
from adept_bench.suite.texts import data_identity
from adept_bench.suite.trained import Trained, describe

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig
    from adept_bench.methods.base import Method

WORK = ".work"  # in the results folder: measurements of the base, checkpoints, locks


@dataclass(frozen=True)
class Spec:
    """What identifies a cell. `rate`: its learning rate as `rates` gives it, None for vanilla.

    `variant`: where `method` is a suite's own variant, what it is of and what it changes; `config` has its settings.
    """

    config: RunConfig
    method: str
    seed: int
    rate: dict[str, Any] | None
    variant: dict[str, Any] | None = None

    @property
    def composition(self) -> str:
        """The method of the registry."""
        return self.variant["of"] if self.variant else self.method

    @property
    def title(self) -> str:
        """What the cell is called in logs and progress."""
        at = "" if self.other_rate is None else f" at {self.other_rate:g}"
        return f"{self.method} seed {self.seed}{at}"

    @property
    def other_rate(self) -> float | None:
        """Its learning rate where that is not the chosen one."""
        return None if self.rate is None or self.rate.get("chosen", True) else float(self.rate["value"])

    @property
    def point(self) -> tuple[str, int, float | None]:
        """Method, seed and learning rate, whichever of its names the result has."""
        return self.method, self.seed, float(self.rate["value"]) if self.rate else None

    @property
    def inputs(self) -> Inputs:
        # methods differ in options, variants too; what they read is the same
        return inputs(self.config.model_dump_json(exclude={"options", "analyses"}), self.seed)


# settings that change how a cell runs but not what comes out
_IMMATERIAL = {
    "training": {"learning_rate", "save_every", "evaluate_every", "gradient_checkpointing", "distributed"},
    "tasks": {"batch_size", "data"},  # a local copy counts by its content, which `identity` holds
}


def resolved(spec: Spec) -> dict[str, Any]:
    """Everything needed to run the cell again: the configuration, what its names stood for, and its learning rate."""
    config = spec.config.model_dump(mode="json", exclude={"selection": True})
    identity: dict[str, Any] = {"model": spec.inputs.model_hash, **data_identity(spec.config.data)}
    asked = [name for names in spec.config.tasks.groups.values() for name in names]
    if tasks := data_hashes(spec.config, asked):
        identity["tasks"] = tasks
    return {
        **config,
        "method": spec.method,
        "seed": spec.seed,
        "learning_rate": spec.rate["value"] if spec.rate else None,
        "identity": identity,
    }


def material(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved cell configuration without the settings that cannot change its numbers.

    A stored one may be of any form: what has no such section, or something else there, stays as it is.
    """
    kept = dict(config)
    for section, names in _IMMATERIAL.items():
        if isinstance(kept.get(section), dict):
            kept[section] = {key: value for key, value in kept[section].items() if key not in names}
    return kept


def config_hash(config: dict[str, Any]) -> str:
    """Hash of what is material of a resolved cell configuration."""
    return content_hash(material(config))


def checkpoints(spec: Spec, results: Path) -> Path:
    """Where an unfinished cell keeps its checkpoints; to be removed once its result is stored."""
    rate = f"@{spec.rate['value']:g}" if spec.rate else ""  # also of the chosen rate: the choice may move meanwhile
    return results / WORK / spec.config.preset / spec.config.suite / f"{spec.method}{rate}-seed{spec.seed}"


def run_cell(spec: Spec, results: Path) -> dict[str, Any]:
    """Run a cell and return the content of its result file. A killed cell goes on from its last checkpoint."""
    started = machine.now()
    base = BaseMeasurements(spec.inputs, results / WORK / "base")
    config = resolved(spec)
    before = base.evaluation(spec.config.tasks.groups)
    measured = _measure(spec, base, before, checkpoints(spec, results))
    losses = {
        name: {
            "before": before["losses"][name],
            "after": value,
            "documents": rounded(measured["document_losses"][name]),
        }
        for name, value in measured["losses"].items()
    }
    return {
        "suite": spec.config.suite,
        "preset": spec.config.preset,
        "method": spec.method,
        "variant": spec.variant,
        "seed": spec.seed,
        "config": config,
        "config_hash": config_hash(config),
        **{key: measured[key] for key in _BLOCKS},
        "analyses": measured.get("analyses"),
        "learning_rate": spec.rate or {"value": None, "source": "none"},
        "losses": losses,
        "validation": measured["validation"],
        "provenance": {**machine.provenance(started), **_processes(spec)},
        **({"extra": {"corpora": spec.inputs.notes}} if spec.inputs.notes else {}),
    }


_MEASURES = ("tasks", "groups", "groups_chance_corrected", "losses", "document_losses")
_BLOCKS = (
    "model",
    "tasks",
    "groups",
    "groups_chance_corrected",
    "training",
    "method_definition",
    "probe",
    "certificate",
    "cost",
)


def _measure(spec: Spec, base: BaseMeasurements, before: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as the method says and evaluate; the blocks of a result file that this fills."""
    from adept_bench.methods.registry import get
    from adept_bench.probing.loss import NotFiniteError
    from adept_bench.training.trainer import DivergedError

    method, groups = get(spec.composition, spec.config.options), spec.config.tasks.groups
    analysed = spec.config.analyses is not None
    if not method.trains:
        found = _untrained(spec, method, base, before)
        return {**found, "analyses": of_base(spec, base)} if analysed else found
    trained = Trained(spec, method, base, folder, content_hash(resolved(spec)))
    try:
        after = evaluate_all(trained.evaluable(), spec.inputs, groups, spec.title)
        judged = evaluate_all(
            trained.evaluable(), spec.inputs, spec.config.tasks.validation, f"{spec.title}, validation,", "validation"
        )
    except NotFiniteError as error:
        raise DivergedError(f"the trained model's held-out loss is not finite: {error}") from error
    if trained.record.path:
        trained.record.path.append(
            {"step": trained.record.steps, "losses": after["losses"], "groups": judged["groups"]}
        )
    blocks = trained.blocks()
    blocks["cost"] = _cost(base, after, trained)  # before the analyses, which are no part of the method's cost
    blocks["cost"]["path_seconds"] = trained.record.path_seconds + judged["seconds"]
    if analysed:
        blocks["analyses"] = from_main(lambda: of_trained(spec, base, trained))
    blocks["model"] = {**_identity(spec), **blocks["model"]}
    return {**{key: after[key] for key in _MEASURES}, **blocks, "validation": validation(judged)}


def validation(judged: dict[str, Any]) -> dict[str, Any]:
    """The block of a result file from `evaluate_all` on validation tasks and documents."""
    return {key: judged[key] for key in ("tasks", "groups", "groups_chance_corrected", "losses")}


def _untrained(spec: Spec, method: Method, base: BaseMeasurements, found: dict[str, Any]) -> dict[str, Any]:
    from adept_bench.models.checkpoints import model_facts

    facts = model_facts(spec.inputs.load_base())
    model = {**facts, "trainable_parameters": 0, "trainable_fraction": 0.0, "base_layers": facts["layers"]}
    return {
        **{key: found[key] for key in _MEASURES},
        "validation": validation(base.evaluation(spec.config.tasks.validation, "validation")),
        "cost": _cost(None, found),
        "model": {**_identity(spec), **model},
        "training": {"steps": 0, "tokens": 0},
        "method_definition": describe(method),
        "probe": {},
        "certificate": None,
    }


def _identity(spec: Spec) -> dict[str, Any]:
    model = spec.config.model
    found = {"source": model.source, "revision": model.revision, "hash": spec.inputs.model_hash}
    return found | ({"details": spec.inputs.model_details} if spec.inputs.model_details else {})


def _processes(spec: Spec) -> dict[str, Any]:
    """How many processes worked on the cell together, and what each of them did of a training step."""
    size = group().size
    if size == 1:
        return {"processes": 1}
    share = share_of(spec.config.training, size)
    details = {"distributed": strategy_of(spec.config.training), "launcher": launcher()}
    return {
        "processes": size,
        "details": {**details, "batch_size": share.batch_size, "accumulation": share.accumulation},
    }


def _cost(base: BaseMeasurements | None, evaluation: dict[str, Any], trained: Trained | None = None) -> dict[str, Any]:
    """The cost block. Probes of the base count in full for every cell that uses them, whoever measured them."""
    probes = base.probe_seconds if base is not None else 0.0
    record = trained.record if trained is not None else None
    return {
        "train_seconds": record.seconds if record else 0.0,
        "probe_seconds": probes + (record.probe_seconds if record else 0.0),
        "eval_seconds": evaluation["seconds"],
        "tokens_per_second": record.tokens_per_second if record else None,
        "train_flops": trained.flops if trained else 0,
        "probe_flops": trained.probe_flops if trained else 0.0,
        "peak_memory_bytes": trained.peak_bytes if trained else 0,
        "details": {"cpu_share": round(trained.cpu_share, 3)} if trained else {},
        "threads": machine.threads(),
    }
