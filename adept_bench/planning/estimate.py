"""A method's cell before it runs: parameters, operations, memory and hours on devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from adept_bench.planning.activations import Reach, Saved, of_kind, reach, saved
from adept_bench.planning.devices import Device
from adept_bench.planning.evaluation import Evaluation, evaluation_of
from adept_bench.planning.fit import Fit, as_configured, fit
from adept_bench.planning.memory import Memory, Settings, accumulates, memory_of
from adept_bench.planning.shapes import PlanContext, Shape, shape_of
from adept_bench.planning.timing import Rate, train_seconds

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig
    from adept_bench.methods.base import Method


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of a cell, as `training.cost` counts them.

    recomputed: of gradient checkpointing, beside train. layers, units: probes of the base. refreshes: of the copies.
    """

    train: int
    recomputed: int
    layers: float
    units: float
    refreshes: float
    evaluation: float

    @property
    def probes(self) -> float:
        """All that is measured on probe documents."""
        return self.layers + self.units + self.refreshes


class Workbench:
    """What the estimates of one run share: the base on the meta device, and what has been counted already."""

    def __init__(self, architecture: Any, dtype: str, trust_remote_code: bool = False) -> None:
        from adept_bench.models.shapes import base_shape

        self.dtype, self.trusted = dtype, trust_remote_code
        self.base = base_shape(architecture, dtype, trust_remote_code)
        self._saved: dict[Any, Saved] = {}

    @property
    def depth(self) -> int:
        """Decoder layers of the base."""
        from adept_bench.probing.decoder import decoder

        return len(decoder(self.base).layers)

    def shape(self, method: Method, config: RunConfig, seed: int, assumed: Sequence[int] = ()) -> Shape:
        """The method's model and trainable set."""
        context = PlanContext(self.depth, seed, config.options, assumed)
        return shape_of(method, self.base, context, self.dtype, self.trusted)

    def saved(self, shape: Shape, batch_size: int, config: RunConfig) -> Saved:
        """`activations.saved`, counted once a kind of method and batch."""
        training, attention = config.training, config.model.attention
        key = (of_kind(shape), batch_size, training.length, training.precision, attention, training.packing)
        if key not in self._saved:
            self._saved[key] = saved(
                shape,
                batch_size=batch_size,
                length=training.length,
                precision=training.precision,
                attention=attention,
                packing=training.packing,
            )
        return self._saved[key]


class Estimate:
    """The estimate of one cell."""

    def __init__(self, bench: Workbench, method: Method, config: RunConfig, seed: int, assumed: Sequence[int]) -> None:
        self.bench, self.method, self.config = bench, method, config
        self.shape = bench.shape(method, config, seed, assumed)

    @cached_property
    def reach(self) -> Reach:
        """Layers by kind."""
        return reach(self.shape)

    @property
    def tokens(self) -> int:
        """Tokens trained on: whole steps of the budget."""
        return self.config.training.steps * self.config.training.tokens_per_step if self.method.trains else 0

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the evaluation after training reads; the base's is shared by all cells of a seed."""
        tasks, config = self.config.tasks, self.config
        corpora = 2 + len(config.data.measured)
        heldout = corpora * config.data.heldout_documents * config.probe.max_length
        return evaluation_of(tasks.groups, tasks.num_fewshot, tasks.limit, heldout, tasks.fewshot, tasks.limits)

    @cached_property
    def operations(self) -> Operations:
        """Operations of training, probing and evaluation. Probes read at most `max_length` tokens of each document."""
        from adept_bench.training.cost import forward_flops, recomputed_flops, train_flops

        training, model, names = self.config.training, self.shape.model, set(self.shape.names)
        length = training.length
        train = recomputed = 0
        if self.method.trains:
            train = train_flops(model, tokens=self.tokens, length=length, trainable=names)
        if self.method.trains and training.gradient_checkpointing:
            recomputed = recomputed_flops(model, tokens=self.tokens, length=length, trainable=names)
        layers = units = refreshes = 0.0
        documents = {"tokens": self.probe_tokens, "length": self.config.probe.max_length}
        corpora = self.method.rates.corpora
        base = self.bench.base
        if self.probes_layers:
            layers = forward_flops(base, **documents) * (self.shape.base_layers + 1) / 2
        if corpora:
            everything = {name for name, _ in base.named_parameters() if self._in_layer(base, name)}
            units = float(train_flops(base, trainable=everything, **documents)) * len(corpora)
            refreshes = float(self.refreshes * train_flops(model, trainable=names, **documents))
        read = self.evaluation.tokens + self.evaluation.generated
        return Operations(train, recomputed, layers, units, refreshes, forward_flops(model, tokens=read, length=1))

    @staticmethod
    def _in_layer(model: Any, name: str) -> bool:
        from adept_bench.probing.decoder import decoder

        return decoder(model).layer_of(name) is not None

    @property
    def probes_layers(self) -> bool:
        """Whether the method measures layer importance: it chooses layers by it, and none are listed."""
        chosen = self.method.layers
        by_importance = chosen is not None and chosen.how in ("importance", "domain-importance", "highest")
        return bool(by_importance and chosen is not None and chosen.listed is None)

    @property
    def refreshes(self) -> int:
        """How often unit importance is measured again: every so many steps, not after the last."""
        every = getattr(self.method.rates, "every", None)
        return (self.config.training.steps - 1) // every if every else 0

    @property
    def probe_tokens(self) -> int:
        """Tokens of the probe documents, at most."""
        return self.config.data.probe_documents * self.config.probe.max_length

    def memory(self, settings: Settings | None = None) -> Memory:
        """Memory of a step by part, with these settings or as configured on one device."""
        settings = settings or as_configured(self.config.training)
        found = self.bench.saved(self.shape, settings.batch_size, self.config)
        again = self.refreshes > 0
        return memory_of(self.shape, self.reach, found, self.config.training, settings, refreshes=again)

    @cached_property
    def peak(self) -> int:
        """Bytes of a step at its peak on one device, as configured."""
        return self.peak_on(1)

    def peak_on(self, devices: int) -> int:
        """The same on each of so many devices."""
        settings = as_configured(self.config.training, devices)
        return self.memory(settings).peak(accumulates(self.config.training, settings))

    def fit(self, device: Device, devices: int) -> Fit:
        """Whether it fits `devices` of these."""
        return fit(device, self.config.training, devices, self.memory)

    def seconds(self, rate: Rate, settings: Settings | None = None) -> dict[str, float]:
        """Seconds of training, probing and evaluation at `rate`; with `settings` that recompute, of that too."""
        from adept_bench.training.cost import recomputed_flops

        counted, training = self.operations, self.config.training
        found = {"training": 0.0, "probing": counted.probes / rate.operations}
        if self.method.trains:
            extra = counted.recomputed
            if settings is not None and settings.checkpointing and not training.gradient_checkpointing:
                names = set(self.shape.names)
                extra = recomputed_flops(self.shape.model, tokens=self.tokens, length=training.length, trainable=names)
            found["training"] = train_seconds(self.shape, counted.train + extra, self.tokens, training.precision, rate)
        found["evaluation"] = counted.evaluation / rate.operations
        return found
