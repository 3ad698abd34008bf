"""One method timed on the real path: probes of the base, the method's edit, the trainer with its refreshes."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from adept_bench.planning.measuring import RandomTokens
from adept_bench.shortage import LAYER_PROBE, LOADING, UNIT_PROBE, advised

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig
    from adept_bench.methods.base import Method
    from adept_bench.planning.devices import Device
    from adept_bench.probing.units import UnitImportance

PROBE_SEED = 1  # of the random probe documents; 0 is the training text's


@dataclass
class TimedContext:
    """What a method may ask of the base (`methods.base.Context`), measured when asked and timed.

    Random weights say nothing of which layers matter, and what a step costs depends on the lowest that is copied: the
    layer probe runs and is timed, and the layers `assumed` are then taken for the least important.
    """

    model: Any
    config: RunConfig
    assumed: Sequence[int]
    seed: int = 0
    layer_seconds: float | None = None
    unit_seconds: float | None = None
    _units: list[UnitImportance] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.options, self.unit_batch_size = self.config.options, self.config.probe.unit_batch_size
        self.layers = int(self.model.config.get_text_config().num_hidden_layers)
        vocabulary = int(self.model.config.get_text_config().vocab_size)
        data = RandomTokens(vocabulary, self.config.probe.max_length, self.config.data.probe_documents, PROBE_SEED)
        self.documents = [data[index]["input_ids"].tolist() for index in range(len(data))]

    @advised("the layer probe", LAYER_PROBE)
    def layer_importance(self, corpus: str) -> list[float]:
        """The assumed importances, after a real probe on random documents."""
        from adept_bench.planning.shapes import assumed_profile
        from adept_bench.probing.layers import probe_layers

        started = _now()
        probe_layers(self.model, self.documents, batch_size=self.config.probe.batch_size)
        self.layer_seconds = _now() - started
        return assumed_profile(self.layers, self.assumed)

    @advised("the unit probe", UNIT_PROBE)
    def measure_units(self) -> None:
        """Importance of all units of the base; before the edit, which changes the model."""
        from adept_bench.probing.units import probe_units

        started = _now()
        self._units = probe_units(self.model, self.documents, batch_size=self.unit_batch_size)
        self.unit_seconds = _now() - started

    def unit_importance(self, names: Sequence[str], corpus: str) -> list[UnitImportance]:
        """Of the named tensors of the base."""
        found = {unit.name: unit for unit in self._units}
        return [found[name] for name in names]


def time_method(
    method: Method, config: RunConfig, architecture: Any, shape: str, steps: int, warmup: int, device: Device | None
) -> dict[str, Any]:
    """The fields of `results.timing.Timing` for `steps` timed steps after `warmup` others, a refresh among them.

    The model has random weights of the configured type, on this process's device.
    """
    from adept_bench.methods.base import prepare
    from adept_bench.models.checkpoints import model_facts
    from adept_bench.planning.estimate import Estimate, Workbench
    from adept_bench.planning.plan import assumed_layers
    from adept_bench.suite import machine
    from adept_bench.training.cost import PeakMemory, train_flops
    from adept_bench.training.trainer import train

    started = machine.now()
    training = _short(config, steps + warmup)
    every = warmup + max(1, steps // 2)
    config = config.model_copy(
        update={"training": training, "options": config.options.model_copy(update={"refresh_every": every})}
    )
    method = _with_options(method, config)
    model = random_model(architecture, config)
    assumed, why = assumed_layers(config, int(architecture.get_text_config().num_hidden_layers))
    context = TimedContext(model, config, assumed)
    if method.rates.corpora:
        context.measure_units()
    edit, names = prepare(method, model, context)
    bound = method.rates.bind(edit, context, names, dict.fromkeys(method.rates.corpora, context.documents))
    vocabulary = int(architecture.get_text_config().vocab_size)
    data = RandomTokens(vocabulary, training.length, training.steps * training.batch_size * training.accumulation)
    ends: list[float] = []
    with PeakMemory(machine.device()) as peak:
        record = train(
            edit.model,
            data,
            training=training,
            learning_rate=1e-5,
            rates=bound,
            on_progress=lambda _: ends.append(_now()),
        )
    times = [(step, after - before) for step, before, after in zip(range(2, len(ends) + 1), ends, ends[1:])]
    kept = [seconds for step, seconds in times if step > warmup and not (bound and step - 1 == every)]
    refreshed = sum(refresh["step"] > 0 for refresh in record.refreshes)
    facts = model_facts(edit.model)
    per_step = train_flops(edit.model, tokens=training.tokens_per_step, length=training.length, trainable=set(names))
    layers = edit.sources or edit.description.get("trained_layers") or ()
    listed = config.options.model_copy(update={"layers": list(layers)}) if layers else config.options
    planned = config.model_copy(update={"options": listed})
    estimate = Estimate(
        Workbench(architecture, config.model.dtype), _with_options(method, planned), planned, 0, tuple(layers)
    )
    return {
        "shape": shape,
        "method": method.name,
        "device": machine.device_name(),
        "layers": facts["layers"],
        "total_parameters": facts["total_parameters"],
        "trainable_parameters": facts["trainable_parameters"],
        "expanded_layers": list(edit.sources),
        "settings": {
            **training.model_dump(mode="json", exclude={"tokens", "learning_rate", "log_every"}),
            "model": {"dtype": config.model.dtype, "attention": config.model.attention},
            "k": config.options.k,
            "probe": {**config.probe.model_dump(mode="json"), "documents": config.data.probe_documents},
            "layers": why if context.layer_seconds is not None else None,
            "warmup_steps": warmup,
            "threads": machine.threads() if machine.device() == "cpu" else None,
        },
        "step_seconds": kept,
        "tokens_per_step": training.tokens_per_step,
        "flops_per_step": float(per_step),
        "peak_flops": device.peak(training.precision) if device is not None and not device.cpu else None,
        "peak_memory_bytes": peak.bytes,
        "predicted_peak_bytes": estimate.peak,
        "layer_probe_seconds": context.layer_seconds,
        "unit_probe_seconds": context.unit_seconds,
        "refresh_seconds": [record.probe_seconds / refreshed] * refreshed if refreshed else [],
        "provenance": machine.provenance(started),
    }


@advised("making the model", LOADING)
def random_model(architecture: Any, config: RunConfig) -> Any:
    """A model of the architecture with random weights of the configured type, on this process's device.

    Its configuration is a copy of `architecture`: copies of layers make it deeper.
    """
    from transformers import AutoModelForCausalLM

    from adept_bench.models.checkpoints import quiet_transformers
    from adept_bench.suite.machine import device

    attention = config.model.attention
    chosen = {} if attention in (None, "auto") else {"attn_implementation": attention}
    torch.manual_seed(0)
    with quiet_transformers(), torch.device(device()):
        model: Any = AutoModelForCausalLM.from_config(
            copy.deepcopy(architecture), dtype=getattr(torch, config.model.dtype), **chosen
        )
    return model.eval()


def store(root: Path, values: dict[str, Any]) -> Path:
    """Write the timing below the results folder."""
    from adept_bench.results.timing import write_timing

    return write_timing(root, values)


def _short(config: RunConfig, steps: int) -> Any:
    training = config.training
    return training.model_copy(
        update={"tokens": steps * training.tokens_per_step, "log_every": 1, "save_every": None, "schedule": "constant"}
    )


def _with_options(method: Method, config: RunConfig) -> Method:
    from adept_bench.methods.registry import get

    return get(method.name, config.options)


def _now() -> float:
    """The time, when all that was asked of a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
