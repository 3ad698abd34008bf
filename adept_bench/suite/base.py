"""Measurements of the base model, taken once and shared by every cell through files keyed by content."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adept_bench.distributed.group import from_main, group, held
from adept_bench.errors import InputError
from adept_bench.files import DamagedFileError, content_hash, log_aside, read_sealed, write_sealed
from adept_bench.progress import counted, reporter
from adept_bench.shortage import LAYER_PROBE, UNIT_PROBE, advised
from adept_bench.suite.inputs import Inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from adept_bench.config.schema import MethodOptions
    from adept_bench.probing.units import UnitImportance

# what a value has, of a list each of its entries
_FIELDS = {
    "evaluation": {"tasks", "groups", "groups_chance_corrected", "losses", "document_losses", "seconds"},
    "layers": {"metric", "base_loss", "importance"},
    "units": {"name", "layer", "norm", "importance", "elements"},
}


def stored_measurement(path: Path, kind: str, key: dict[str, Any]) -> dict[str, Any] | None:
    """The measurement of this kind and key that is in the file: {"key", "seconds", "value"}; None where there is none.

    A file that holds anything else is set aside (`files.log_aside`). Raises InputError for one that cannot be read.
    """
    try:
        found = read_sealed(path)
        _check(found, kind, key)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a measurement of the base") from None
    except DamagedFileError as why:
        log_aside(path, f"{path}: damaged: {why}", "it is measured again")
        return None
    return found


def _check(found: dict[str, Any], kind: str, key: dict[str, Any]) -> None:
    """Raise DamagedFileError where `found` is no measurement of this kind and key."""
    if found.keys() != {"key", "seconds", "value"}:
        raise DamagedFileError(f"it holds {sorted(found)}; expected key, seconds and value")
    if found["key"] != json.loads(json.dumps(key)):
        raise DamagedFileError("it is of another key than its name says")
    rows = found["value"] if isinstance(found["value"], list) else [found["value"]]
    if not rows or not all(isinstance(row, dict) and _FIELDS[kind] <= row.keys() for row in rows):
        raise DamagedFileError(f"its value is not that of a measurement of kind {kind}")
    if type(found["seconds"]) is not float or not found["seconds"] >= 0:
        raise DamagedFileError(f"seconds {found['seconds']!r}; expected a number from 0")


class BaseMeasurements:
    """The base model's evaluation and importances. Each is read from `folder` where a file of its key is there."""

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        self.inputs, self.folder = inputs, folder
        self._model: PreTrainedModel | None = None
        self.probe_seconds = 0.0  # of the importances that were used, whoever measured them

    def release(self) -> None:
        """Forget the model in memory; a later measurement loads it again."""
        self._model = None

    def model(self) -> PreTrainedModel:
        """The base model, loaded when first asked for; to be left as it is."""
        if self._model is None:
            self._model = self.inputs.load_base()
        return self._model

    def _once(self, kind: str, key: dict[str, Any], measure: Callable[[], Any]) -> dict[str, Any]:
        """The stored measurement of this key, or `measure()` now: {"key", "seconds", "value"}. A damaged file is set
        aside, and measured again."""
        key = {"kind": kind, "model": self.inputs.model_hash, "dtype": self.inputs.config.model.dtype, **key}
        path = self.folder / f"{kind}-{content_hash(key)}.json"
        with held(path):
            stored = from_main(lambda: stored_measurement(path, kind, key))
            if stored is None:
                self.model()  # loading is no part of what a measurement costs
                started = time.perf_counter()
                value = measure()
                stored = {"key": key, "seconds": time.perf_counter() - started, "value": value}
                if group().main:
                    write_sealed(path, stored)
        return stored

    def _probe(self, kind: str, key: dict[str, Any], measure: Callable[[], Any]) -> Any:
        """A measurement whose seconds count for every cell that uses it."""
        stored = self._once(kind, key, measure)
        self.probe_seconds += stored["seconds"]
        return stored["value"]

    def evaluation(self, groups: dict[str, list[str]], held: str = "heldout") -> dict[str, Any]:
        """`evaluate_all` of the base on test tasks and held-out documents, or on validation ones."""
        from adept_bench.suite.evaluate import evaluate_all, evaluation_key

        def measure() -> dict[str, Any]:
            return evaluate_all(self.model(), self.inputs, groups, "base", held)

        return self._once("evaluation", evaluation_key(self.inputs, groups, held), measure)["value"]

    @advised("the layer probe", LAYER_PROBE)
    def layer_importance(self, corpus: str, metric: str | None = None) -> dict[str, Any]:
        """metric (by default the configured one), base_loss, importance (a value a layer) on "general" or "domain".

        For masking also per_document ([layers][documents], nats), else None.
        """
        probe = self.inputs.config.probe
        metric = metric or probe.metric
        key = {"corpus": self.inputs.probe_hash(corpus), "metric": metric, "max_length": probe.max_length}
        # masking does not depend on the batches
        key |= {"per_document": True} if metric == "masking" else {"batch_size": probe.batch_size}
        key |= self._reading()

        def measure() -> dict[str, Any]:
            from dataclasses import asdict

            from adept_bench.probing.layers import probe_layers

            model = self.model()
            layers = model.config.get_text_config().num_hidden_layers
            with reporter().task(f"layer importance ({corpus})", unit="layer") as task:
                found = probe_layers(
                    model,
                    self.inputs.probe_documents(corpus, "layers"),
                    metric=metric,
                    batch_size=probe.batch_size,
                    on_progress=counted(task, layers),
                )
            return asdict(found)

        return self._probe("layers", key, measure)

    def _reading(self) -> dict[str, Any]:
        """The part of a key that settings make which are not the default, so that keys from before there was a choice
        hold: padding that counts, special tokens that are text."""
        config = self.inputs.config
        found = {"padding": config.probe.padding, "special_tokens": config.data.special_tokens}
        return {name: value for name, value in found.items() if value not in ("ignored", "token")}

    @advised("the unit probe", UNIT_PROBE)
    def unit_importance(self, corpus: str) -> list[dict[str, Any]]:
        """name, layer, norm, importance, elements of every parameter tensor of the decoder layers."""
        probe = self.inputs.config.probe
        key = {
            "corpus": self.inputs.probe_hash(corpus),
            "max_length": probe.max_length,
            "batch_size": probe.unit_batch_size,
            **self._reading(),
        }

        def measure() -> list[dict[str, Any]]:
            from dataclasses import asdict

            from adept_bench.probing.units import probe_units

            with reporter().task(f"unit importance ({corpus})", unit="batch") as task:
                units = probe_units(
                    self.model(),
                    self.inputs.probe_documents(corpus, "units"),
                    batch_size=probe.unit_batch_size,
                    on_progress=counted(task),
                )
            return [asdict(unit) for unit in units]

        return self._probe("units", key, measure)


class CellContext:
    """What a method may know of the base (`methods.base.Context`), and a record of what it asked for."""

    def __init__(self, base: BaseMeasurements, layers: int, seed: int, options: MethodOptions) -> None:
        self.base, self.layers, self.seed, self.options = base, layers, seed, options
        self.asked: dict[str, Any] = {}

    @property
    def unit_batch_size(self) -> int:
        """Documents in a batch of the unit probe."""
        return self.base.inputs.config.probe.unit_batch_size

    def layer_importance(self, corpus: str) -> list[float]:
        """Importance of each layer of the base on corpus "general" or "domain"."""
        found = self.base.layer_importance(corpus)
        self.asked[f"layers_{corpus}"] = {name: found[name] for name in ("metric", "base_loss", "importance")}
        return found["importance"]

    def unit_importance(self, names: Sequence[str], corpus: str) -> list[UnitImportance]:
        """Importance of the named parameter tensors of the base on corpus "general" or "domain"."""
        from adept_bench.probing.units import UnitImportance

        found = {unit["name"]: UnitImportance(**unit) for unit in self.base.unit_importance(corpus)}
        self.asked[f"units_{corpus}"] = {"batch_size": self.unit_batch_size, "tensors": len(found)}
        return [found[name] for name in names]
