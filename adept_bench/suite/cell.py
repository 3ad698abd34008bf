"""One cell from beginning to end: base → probe → expand → train → evaluate → result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.files import content_hash
from adept_bench.suite import machine
from adept_bench.suite.base import BaseMeasurements, CellContext
from adept_bench.suite.evaluate import evaluate_all
from adept_bench.suite.inputs import Inputs, data_identity, inputs

if TYPE_CHECKING:
    import torch

    from adept_bench.config.schema import RunConfig
    from adept_bench.methods.base import Method
    from adept_bench.models.certificate import Reference
    from adept_bench.training.trainer import TrainRecord

WORK = ".work"  # in the results folder: measurements of the base, checkpoints, locks


@dataclass(frozen=True)
class Spec:
    """What identifies a cell. `rate`: its learning rate as `rates.learning_rate` gives it, None for vanilla."""

    config: RunConfig
    method: str
    seed: int
    rate: dict[str, Any] | None

    @property
    def title(self) -> str:
        return f"{self.method} seed {self.seed}"

    @property
    def inputs(self) -> Inputs:
        return inputs(self.config.model_dump_json(), self.seed)


# settings that change how a cell runs but not what comes out
_IMMATERIAL = {"training": {"learning_rate", "save_every", "gradient_checkpointing"}, "tasks": {"batch_size"}}


def resolved(spec: Spec) -> dict[str, Any]:
    """Everything needed to run the cell again: the configuration, what its names stood for, and its learning rate."""
    config = spec.config.model_dump(mode="json", exclude={"selection": True})
    return {
        **config,
        "method": spec.method,
        "seed": spec.seed,
        "learning_rate": spec.rate["value"] if spec.rate else None,
        "identity": {"model": spec.inputs.model_hash, **data_identity(spec.config.data)},
    }


def material(config: dict[str, Any]) -> dict[str, Any]:
    """A resolved cell configuration without the settings that cannot change its numbers."""
    kept = dict(config)
    for section, names in _IMMATERIAL.items():
        kept[section] = {key: value for key, value in kept[section].items() if key not in names}
    return kept


def config_hash(config: dict[str, Any]) -> str:
    """Hash of what is material of a resolved cell configuration."""
    return content_hash(material(config))


def checkpoints(spec: Spec, results: Path) -> Path:
    """Where an unfinished cell keeps its checkpoints; to be removed once its result is stored."""
    return results / WORK / spec.config.preset / spec.config.suite / f"{spec.method}-seed{spec.seed}"


def run_cell(spec: Spec, results: Path) -> dict[str, Any]:
    """Run a cell and return the content of its result file. A killed cell goes on from its last checkpoint."""
    started = machine.now()
    base = BaseMeasurements(spec.inputs, results / WORK / "base")
    config = resolved(spec)
    before = base.evaluation(spec.config.tasks.groups)
    measured = _measure(spec, base, spec.config.tasks.groups, before, checkpoints(spec, results))
    losses = {name: {"before": before["losses"][name], "after": value} for name, value in measured["losses"].items()}
    return {
        "suite": spec.config.suite,
        "preset": spec.config.preset,
        "method": spec.method,
        "seed": spec.seed,
        "config": config,
        "config_hash": config_hash(config),
        **{key: measured[key] for key in _BLOCKS},
        "learning_rate": spec.rate or {"value": None, "source": "none"},
        "losses": losses,
        "provenance": machine.provenance(started),
    }


_MEASURES = ("tasks", "groups", "groups_chance_corrected", "losses")
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


def run_trial(spec: Spec, results: Path, folder: Path) -> dict[str, Any]:
    """One trial of a learning rate: the same training, judged on validation tasks and validation losses.

    `folder`: for its checkpoints.
    """
    base = BaseMeasurements(spec.inputs, results / WORK / "base")
    measured = _measure(spec, base, spec.config.tasks.validation, None, folder, held="validation")
    return {
        "learning_rate": spec.rate["value"] if spec.rate else None,
        "groups": measured["groups"],
        "groups_chance_corrected": measured["groups_chance_corrected"],
        "losses": measured["losses"],
        "train_seconds": measured["cost"]["train_seconds"],
    }


def _measure(
    spec: Spec,
    base: BaseMeasurements,
    groups: dict[str, list[str]],
    before: dict[str, Any] | None,
    folder: Path,
    held: str = "heldout",
) -> dict[str, Any]:
    """Train as the method says and evaluate on `groups`; the blocks of a result file that this fills."""
    from adept_bench.methods.registry import get

    method = get(spec.method, spec.config.options)
    if not method.trains:
        return _untrained(spec, method, before or base.evaluation(groups))
    trained = _Trained(spec, method, base, folder)
    after = evaluate_all(trained.evaluable(), spec.inputs, groups, spec.title, held)
    return {**{key: after[key] for key in _MEASURES}, **trained.blocks(), "cost": _cost(base, after, trained)}


def _untrained(spec: Spec, method: Method, found: dict[str, Any]) -> dict[str, Any]:
    from adept_bench.models.checkpoints import model_facts

    facts = model_facts(spec.inputs.load_base())
    model = {**facts, "trainable_parameters": 0, "trainable_fraction": 0.0, "base_layers": facts["layers"]}
    return {
        **{key: found[key] for key in _MEASURES},
        "cost": _cost(None, found),
        "model": {**_identity(spec), **model},
        "training": {"steps": 0, "tokens": 0},
        "method_definition": describe(method),
        "probe": {},
        "certificate": None,
    }


def _identity(spec: Spec) -> dict[str, Any]:
    model = spec.config.model
    return {"source": model.source, "revision": model.revision, "hash": spec.inputs.model_hash}


def describe(method: Method) -> dict[str, Any]:
    """The method's four choices as text."""
    return {name: repr(getattr(method, name)) for name in ("edit", "train", "rates", "mix")}


class _Trained:
    """A method applied to its base and trained, with the proofs that it did what it says."""

    def __init__(self, spec: Spec, method: Method, base: BaseMeasurements, folder: Path) -> None:
        from adept_bench.methods.base import prepare
        from adept_bench.models.certificate import parameter_digests, reference
        from adept_bench.models.checkpoints import model_facts
        from adept_bench.training.cost import PeakMemory, train_flops

        self.spec, self.method = spec, method
        model = spec.inputs.load_base()
        base_facts = model_facts(model)
        self.context = CellContext(base, base_facts["layers"], spec.seed, spec.config.options)
        tokens = certificate_tokens(spec.inputs)
        before = reference(model, tokens)
        self.edit, self.names = prepare(method, model, self.context)
        self.facts = {**model_facts(self.edit.model), "base_layers": base_facts["layers"]}
        self.certificate = self._certify_expansion(before, tokens)
        digests = parameter_digests(self.edit.model)
        self.dataset = self._dataset()
        with PeakMemory(machine.device()) as peak:
            self.record = self._train(folder)
        self.peak_bytes = peak.bytes
        training = spec.config.training
        self.flops = train_flops(
            self.edit.model, tokens=self.record.tokens, length=training.length, trainable=set(self.names)
        )
        self.probe_flops = self._probe_flops()
        self._certify_training(digests)

    def _certify_expansion(self, before: Reference, tokens: torch.Tensor) -> dict[str, Any] | None:
        from adept_bench.models.certificate import certify_expansion, holds

        if self.edit.expansion is None:
            return None
        trusted = self.spec.config.model.trust_remote_code
        proof = certify_expansion(before, self.edit.model, self.edit.expansion, tokens, trust_remote_code=trusted)
        if not holds(proof):
            raise RuntimeError(f"the expanded model does not compute what its base computes: {proof}")
        return proof

    def _certify_training(self, digests: dict[str, str]) -> None:
        from adept_bench.models.certificate import certify_training

        expansion = self.edit.expansion
        trained = certify_training(
            self.edit.model, digests, set(self.names), expansion.copies if expansion is not None else None
        )
        self.frozen_proof = trained
        if self.certificate is not None:
            self.certificate |= trained
        if not trained["frozen_identical"]:
            raise RuntimeError(f"training changed frozen parameters: {trained['changed_frozen'][:3]}")

    def _dataset(self) -> torch.utils.data.Dataset:
        from adept_bench.corpora.packing import PackedDataset

        training, share = self.spec.config.training, self.method.mix.replay_share
        return PackedDataset(
            self.spec.inputs.training_documents("domain"),
            length=training.length,
            total=training.steps * training.batch_size * training.accumulation,
            seed=self.spec.seed,
            general=self.spec.inputs.training_documents("general") if share else None,
            replay_share=share,
        )

    def _train(self, folder: Path) -> TrainRecord:
        from adept_bench.training.trainer import train

        inputs, rates = self.spec.inputs, self.method.rates
        documents = {corpus: inputs.probe_documents(corpus) for corpus in rates.corpora}
        bound = rates.bind(self.edit, self.context, self.names, documents)
        self.context.base.release()
        assert self.spec.rate is not None
        return train(
            self.edit.model,
            self.dataset,
            training=self.spec.config.training,
            learning_rate=self.spec.rate["value"],
            rates=bound,
            output_dir=folder,
            seed=self.spec.seed,
            fingerprint=content_hash(resolved(self.spec)),
            description=self.spec.title,
        )

    def _probe_flops(self) -> float:
        """Operations of the probes this cell rests on: of the base's layers and units, and of the refreshes.

        Masking is counted as (L + 1) / 2 forward passes: each prefix once, and the layers above each masked one.
        """
        from adept_bench.training.cost import forward_flops, train_flops

        total = 0.0
        for asked in self.context.asked:
            kind, _, corpus = asked.partition("_")
            documents = self.spec.inputs.probe_documents(corpus)
            tokens = sum(len(document) for document in documents)
            size = {"tokens": tokens, "length": max(1, tokens // len(documents))}
            if kind == "layers":
                total += forward_flops(self.edit.model, **size) * (self.facts["base_layers"] + 1) / 2
            else:
                measurements = 1 + sum(refresh["step"] > 0 for refresh in self.record.refreshes)
                total += measurements * train_flops(self.edit.model, trainable=set(self.names), **size)
        return total

    def evaluable(self) -> Any:
        """The trained model as a plain one: adapters folded into the weights."""
        from adept_bench.methods.edits import fold_adapters

        return fold_adapters(self.edit.model)

    def blocks(self) -> dict[str, Any]:
        """model, training, method_definition, probe and certificate of the result file."""
        record, dataset = self.record, self.dataset
        mix = {
            name: self.spec.inputs.corpora[name].describe()
            for name in ("domain", "general")
            if name == "domain" or self.method.mix.replay_share
        }
        return {
            "model": {**_identity(self.spec), **self.facts, "expanded_layers": list(self.edit.sources)},
            "training": {
                "steps": record.steps,
                "tokens": record.tokens,
                "curve": record.curve,
                "refreshes": record.refreshes,
                "mix": {**dataset.describe(), **mix},  # type: ignore[attr-defined]
                "details": {"resumed_from": record.resumed_from, **self.frozen_proof},
            },
            "method_definition": {**describe(self.method), **self.edit.description},
            "probe": self.context.asked,
            "certificate": self.certificate,
        }


def certificate_tokens(inputs: Inputs, batch: int = 2, length: int = 32) -> torch.Tensor:
    """Tokens [batch, length] of held-out general text that the certificate compares logits on."""
    import torch

    from adept_bench.corpora.tokens import tokenize_documents

    texts = inputs.corpora["general_heldout"].texts
    stream = [token for ids in tokenize_documents(inputs.tokenizer, texts, max_length=None) for token in ids]
    while len(stream) < batch * length:
        stream += stream
    return torch.tensor(stream[: batch * length]).view(batch, length)


def _cost(base: BaseMeasurements | None, evaluation: dict[str, Any], trained: _Trained | None = None) -> dict[str, Any]:
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
        "threads": machine.threads(),
    }
