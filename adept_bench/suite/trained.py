"""A method applied to its base and trained, with the proofs that it did what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import from_main, gathered, main_first
from adept_bench.suite import machine
from adept_bench.suite.base import BaseMeasurements, CellContext
from adept_bench.suite.evaluate import on_the_way
from adept_bench.suite.inputs import Inputs

if TYPE_CHECKING:
    import torch

    from adept_bench.methods.base import Method
    from adept_bench.models.certificate import Reference
    from adept_bench.suite.cell import Spec
    from adept_bench.training.trainer import TrainRecord
    from adept_bench.training.units import BoundRates


def check_packing(inputs: Inputs) -> None:
    """Raise InputError, before any work, where the base cannot be trained as `training.packing` says. May load it."""
    from adept_bench.suite.workers import release
    from adept_bench.training.documents import within_documents

    if inputs.config.training.packing == "documents":
        within_documents(inputs.load_base(), inputs.config.training)
        release()


def describe(method: Method) -> dict[str, Any]:
    """The method's four choices as text."""
    return {name: repr(getattr(method, name)) for name in ("edit", "train", "rates", "mix")}


class Trained:
    """A method applied to its base and trained, with the proofs that it did what it says."""

    def __init__(self, spec: Spec, method: Method, base: BaseMeasurements, folder: Path, fingerprint: str) -> None:
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
        self.rates = self._bound()
        # before the measure, so that the peak is the training's; older results may hold the probe's (docs/results.md)
        base.release()  # the proof loads a model too, and a GPU may have no room for three
        self.certificate = from_main(lambda: self._certify_expansion(before, tokens))
        digests = parameter_digests(self.edit.model)
        with main_first():
            self.dataset = self._dataset()
        with PeakMemory(machine.device()) as peak, machine.CpuShare() as share:
            self.record = self._train(folder, fingerprint)
        self.peak_bytes, self.cpu_share = max(gathered(peak.bytes)), share.value
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
            apart=training.packing == "documents",
        )

    def _bound(self) -> BoundRates | None:
        """The method's rates on the edited model; this may measure the base."""
        rates = self.method.rates
        documents = {corpus: self.spec.inputs.probe_documents(corpus, "units") for corpus in rates.corpora}
        return rates.bind(self.edit, self.context, self.names, documents)

    def _train(self, folder: Path, fingerprint: str) -> TrainRecord:
        from adept_bench.training.trainer import train

        assert self.spec.rate is not None
        return train(
            self.edit.model,
            self.dataset,
            training=self.spec.config.training,
            learning_rate=self.spec.rate["value"],
            rates=self.rates,
            output_dir=folder,
            seed=self.spec.seed,
            evaluate=lambda model: on_the_way(model, self.spec.inputs, f"{self.spec.title}, on the way,"),
            fingerprint=fingerprint,
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
            documents = self.spec.inputs.probe_documents(corpus, "layers" if kind == "layers" else "units")
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
            name: self.spec.inputs.training_texts[name].describe()
            for name in ("domain", "general")
            if name == "domain" or self.method.mix.replay_share
        }
        return {
            "model": {**self.facts, "expanded_layers": list(self.edit.sources)},
            "training": {
                "steps": record.steps,
                "tokens": record.tokens,
                "curve": record.curve,
                "refreshes": record.refreshes,
                "path": record.path,
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
    stream = [token for ids in tokenize_documents(inputs.reader, texts, max_length=None) for token in ids]
    while len(stream) < batch * length:
        stream += stream
    return torch.tensor(stream[: batch * length]).view(batch, length)
