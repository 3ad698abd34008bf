"""What the file of one cell holds (shared contract, "A cell's file").

`python -m adept_bench.results.schema` writes the published JSON schema, `cell.schema.json`, beside this module.
Fields not listed here are refused; what a method or a backend adds goes in `certificate`, `probe`,
`method_definition`, `extra` and the `details` of a block.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adept_bench.config.names import FILE_NAME, NAME
from adept_bench.results.values import (
    HUGE,
    Amount,
    CertificateFacts,
    CostDetails,
    Count,
    Definition,
    Depth,
    Mix,
    Number,
    Positive,
    Probe,
    Settings,
    Share,
    Trial,
    Version1,
)

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("cell.schema.json")

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=NAME)]
FileName = Annotated[str, Field(pattern=FILE_NAME)]  # part of the file's path
Details = Annotated[dict[str, Any], Field(description="Further facts, free in form.")]


def cell_stem(method: str, seed: int, rate: float | None = None) -> str:
    """`<method>-seed<n>`, or `<method>@<rate>-seed<n>` of a rate that is not the chosen one."""
    return f"{method}{'' if rate is None else f'@{rate:g}'}-seed{seed}"


class Block(BaseModel):
    """Strict and frozen: unknown fields and wrong types are errors, NaN and infinity too."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _same_length(block: Block, *columns: str) -> None:
    lengths = {name: len(getattr(block, name)) for name in columns}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different lengths: {', '.join(f'{one} {n}' for one, n in lengths.items())}")


class ModelFacts(Block):
    source: Text
    """Folder or Hub id of the base model."""
    revision: str | None = None
    """Hub revision, where there is one."""
    hash: str | None = None
    """Content hash of the base model's weights and configuration."""
    layers: Depth
    """Decoder layers of the model as trained: the base's and the copies."""
    base_layers: Depth | None = None
    """Decoder layers of the base model."""
    total_parameters: Count
    """Parameters of the model as trained, tied ones counted once."""
    trainable_parameters: Count
    trainable_fraction: Share
    expanded_layers: list[Depth] = []
    """Layers of the base model that a copy was inserted after."""
    details: Details = {}

    @model_validator(mode="after")
    def _identified(self) -> ModelFacts:
        if not (self.revision or self.hash):
            raise ValueError("neither revision nor hash says which weights these are")
        return self


class Clusters(Block):
    """Which items of a task belong together; neighbours as runs."""

    by: Text
    """What the items of a cluster share: a field of theirs, or "task", the task of a group."""
    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """Items of each run of neighbours of one cluster, in the order of `items`."""
    of: list[Count] = []
    """The cluster of each run, numbered in the order of their first items; empty where each run is a cluster."""

    @model_validator(mode="after")
    def _numbered(self) -> Clusters:
        first = list(dict.fromkeys(self.of))
        if self.of and (len(self.of) != len(self.sizes) or first != list(range(len(first)))):
            raise ValueError("clusters.of: expected a number a run, from 0 in the order of first appearance")
        return self

    def numbers(self) -> tuple[int, ...]:
        """The cluster of each item, numbered from 0."""
        runs = zip(self.of or range(len(self.sizes)), self.sizes, strict=True)
        return tuple(number for number, size in runs for _ in range(size))


class TaskResult(Block):
    group: Name
    """"general", "domain", or a further one such as "domain_known"."""
    metric: Name
    filter: Name | None = None
    """lm-eval's filter whose answers the metric reads."""
    value: Share
    stderr: Amount | None = None
    """Standard error over items, by clusters where there are any; null where it is not known."""
    n: Positive
    items: list[Share]
    """1 where the item's answer is right, 0 where not, in the fixed order that `items_hash` names."""
    items_hash: Text
    """Hash of the items in order; cells compare item by item only where it is equal."""
    clusters: Clusters | None = None
    """Items that are not independent of each other, where the task says so; absent in older files."""
    chance: Annotated[float, Field(ge=0, lt=1)] | None = None
    value_chance_corrected: Number | None = None
    """(value - chance) / (1 - chance)."""
    version: str | int | float | None = None
    num_fewshot: Count | None = None
    truncated: int | bool | None = None
    """Items whose prompt was cut to the model's context."""
    details: Details = {}

    @model_validator(mode="after")
    def _whole(self) -> TaskResult:
        if len(self.items) != self.n:
            raise ValueError(f"n is {self.n} but there are {len(self.items)} items")
        if self.clusters and sum(self.clusters.sizes) != self.n:
            raise ValueError(f"n is {self.n} but the clusters have {sum(self.clusters.sizes)} items")
        return self


class LossPair(Block):
    before: Amount
    """Held-out loss of the base model, nats a token."""
    after: Amount
    """Held-out loss of the adapted model, nats a token."""
    documents: list[Amount] = []
    """Of the adapted model, document by document, in the order of the corpus; their mean is `after`."""


class Validation(Block):
    """The measures that a learning rate is chosen by: of items and documents that no other number is of."""

    tasks: dict[Name, TaskResult] = {}
    groups: dict[Name, Share] = {}
    groups_chance_corrected: dict[Name, Number | None] = {}
    losses: dict[Name, Amount]
    """Of validation documents by corpus, nats a token."""


class PathPoint(Block):
    """What the model in training is at one of its steps."""

    step: Count
    losses: dict[Name, Amount]
    """Held-out loss by corpus, nats a token."""
    groups: dict[Name, Share] = {}
    """Mean accuracy on the validation tasks by group."""


class LearningRateChoice(Block):
    value: Annotated[float, Field(gt=0, le=HUGE)] | None
    """Peak learning rate; null where nothing trains."""
    source: Literal["shipped", "selected", "set", "default", "grid", "none"]
    """Chosen earlier and shipped, chosen now (--select-lr), set by the user, the method's default, or one of the grid's
    rates whether chosen or not."""
    chosen: bool = True
    """Whether tables show the method at this rate. False: another rate of its grid, in a file of its own."""
    grid: list[Number] = []
    criterion: str | None = None
    evidence: str | None = None
    """File or hash of the stored trials."""
    trials: list[Trial] = []
    """Every trial: learning rate, score and what it was made of."""
    differs: list[str] = []
    """Settings of the cell that differ from those the rate was chosen under, by dotted name."""


class CurvePoint(Block):
    step: Count
    loss: Number
    learning_rate: Number


class UnitNames(Block):
    name: list[str] = []
    layer: list[Depth | None] = []
    """Layer of the model as trained; null outside the decoder layers."""


class Refresh(Block):
    """Unit rates from `step` on. Each list has an entry a unit, in the order of `training.units`."""

    step: Count
    importance: list[Number | None]
    normalized: list[Number | None]
    lr_scale: list[Number | None]
    learning_rate: list[Number | None]
    """Effective rate at this step: base rate times scale times schedule."""
    details: dict[str, list[Any]] = {}
    """Further columns."""


class Training(Block):
    steps: Count
    """Optimizer steps; 0 for vanilla."""
    tokens: Count
    curve: list[CurvePoint] = []
    units: UnitNames = UnitNames()
    refreshes: list[Refresh] = []
    path: list[PathPoint] = []
    """Measures at steps of the training, where `training.evaluate_every` asks for them; the last is at its end."""
    mix: Mix = {}
    """The training data: sequences, length, epochs, share of replay."""
    details: Details = {}

    @model_validator(mode="after")
    def _aligned(self) -> Training:
        units = len(self.units.name)
        if len(self.units.layer) != units:
            raise ValueError(f"units: {units} names but {len(self.units.layer)} layers")
        for refresh in self.refreshes:
            columns = {name: getattr(refresh, name) for name in UNIT_COLUMNS} | refresh.details
            for name, column in columns.items():
                if len(column) != units:
                    raise ValueError(f"refresh at step {refresh.step}: {len(column)} values of {name}, {units} units")
        return self

    def unit_rows(self) -> list[dict[str, Any]]:
        """One row a unit and refresh: step, name, layer, importance, normalized, lr_scale, learning_rate."""
        return [
            {"step": refresh.step, "name": name, "layer": layer}
            | {column: getattr(refresh, column)[index] for column in UNIT_COLUMNS}
            for refresh in self.refreshes
            for index, (name, layer) in enumerate(zip(self.units.name, self.units.layer, strict=True))
        ]


UNIT_COLUMNS = ("importance", "normalized", "lr_scale", "learning_rate")


class Cost(Block):
    train_seconds: Amount
    probe_seconds: Amount
    """Layer and unit probes together, refreshes included."""
    eval_seconds: Amount
    path_seconds: Amount = 0.0
    """Measuring `training.path` and `validation`, which are no part of the method's cost."""
    tokens_per_second: Amount | None
    """Training tokens over training seconds; null where nothing trains."""
    train_flops: Amount
    peak_memory_bytes: Count
    """Highest memory in use: device memory on an accelerator, resident memory of the process on CPU."""
    probe_flops: Amount | None = None
    threads: Count | None = None
    details: CostDetails = {}


class Provenance(Block):
    package_version: Text
    git_revision: str | None
    git_dirty: bool | None
    versions: dict[str, str | None]
    """torch, transformers, lm_eval, datasets and others."""
    python: Text
    device: Text
    processes: Positive
    """Processes that trained and evaluated this cell together."""
    started: Text
    """ISO 8601, UTC."""
    ended: Text
    details: Details = {}


class Variant(Block):
    """What a suite's own variant of a method changes."""

    of: FileName
    """The method."""
    about: Text
    """What is varied: "selection", "k", "refresh", "probe corpus" or the suite's own word."""
    settings: dict[str, Any]
    """The settings it changes, by dotted name."""


class LayerProbe(Block):
    """Importance of each layer of the base model, by one metric on one corpus."""

    corpus: Name
    """"general" or "domain"."""
    metric: Name
    """"masking" (nats), "gradient", "rank" or "fisher" (paper, Table 9)."""
    base_loss: Amount
    """Loss of the whole model on the corpus, nats a token."""
    importance: list[Number]
    """A value a layer."""
    seconds: Amount


class ProbeSize(Block):
    """How well so many probe documents reproduce the ranking of all."""

    documents: Positive
    samples: Positive
    """Random subsets that were drawn."""
    rank_correlation: list[Number]
    """Spearman's, of each subset's importances with those of all documents."""
    overlap: list[Share]
    """Share of the k lowest layers that each subset has in common with all documents."""


class Stability(Block):
    """How the masking importances change with the sample of probe documents."""

    corpus: Name
    documents: Positive
    k: Annotated[Depth, Field(ge=1)]
    samples: Positive
    """Bootstrap samples: documents drawn with replacement."""
    importance: list[Number]
    """Of all documents, a value a layer, nats."""
    low: list[Number]
    """2.5th percentile over the samples, a value a layer."""
    high: list[Number]
    """97.5th percentile."""
    chosen: list[Share]
    """Share of samples in which the layer is among the k lowest."""
    rank_correlation: Annotated[list[Number], Field(min_length=3, max_length=3)]
    """Spearman's of each sample with all documents: mean, 2.5th and 97.5th percentile."""
    sizes: list[ProbeSize]

    @model_validator(mode="after")
    def _aligned(self) -> Stability:
        _same_length(self, "importance", "low", "high", "chosen")
        return self


class UnitProbe(Block):
    """Importance of every parameter tensor of the base's decoder layers, as columns."""

    corpus: Name
    name: list[str]
    layer: list[Depth]
    norm: list[bool]
    importance: list[Amount]
    elements: list[Count]

    @model_validator(mode="after")
    def _aligned(self) -> UnitProbe:
        _same_length(self, "name", "layer", "norm", "importance", "elements")
        return self


class Activation(Block):
    """Kernel density, over hidden dimensions, of a layer's mean output on one corpus."""

    layer: Depth
    """Layer of the base model."""
    state: Literal["base", "expanded", "adapted"]
    """The base's layer; its copy, inserted and untrained; the copy (or the layer itself) after training."""
    corpus: Name
    dimensions: Positive
    tokens: Positive
    mean: Number
    """Mean over dimensions."""
    low: Number
    """First point of the grid, which all states and corpora of a layer share."""
    high: Number
    """Last point of the grid."""
    density: list[Amount]
    """At equally spaced points from low to high."""


class ActivationOverlap(Block):
    """Area under the lower of the general and the domain density: 1 where they are the same."""

    layer: Depth
    state: Literal["base", "expanded", "adapted"]
    overlap: Share


class ShiftedToken(Block):
    token: str
    """The adapted model's first choice, decoded."""
    shifted: Positive
    """Positions where it is the first choice and the base ranks it fourth or lower."""
    positions: Positive
    """Positions where it is the first choice."""


class TokenShift(Block):
    """Rank, in the base model's prediction, of the adapted model's first choice (as in URIAL and LLaMA-Pro)."""

    corpus: Name
    positions: Positive
    unshifted: Count
    """Positions of rank 1."""
    marginal: Count
    """Rank 2 or 3."""
    shifted: Count
    """Beyond."""
    tokens: list[ShiftedToken]
    """Most often shifted first."""

    @model_validator(mode="after")
    def _complete(self) -> TokenShift:
        if self.unshifted + self.marginal + self.shifted != self.positions:
            raise ValueError("unshifted, marginal and shifted do not add up to positions")
        return self


class Analyses(Block):
    """What suite `pilot` measures: of the base in `vanilla`, of the adapted model in the other methods."""

    layers: list[LayerProbe] = []
    stability: list[Stability] = []
    units: list[UnitProbe] = []
    activations: list[Activation] = []
    overlaps: list[ActivationOverlap] = []
    token_shift: list[TokenShift] = []


class Cell(Block):
    """One (suite, preset, method, seed): its configuration, its numbers, what they cost and where they come from."""

    schema_version: Version1
    suite: FileName
    preset: FileName
    method: FileName
    seed: Count
    status: Literal["complete"]
    config: Settings
    """Everything needed to run the cell again, resolved."""
    config_hash: Text
    model: ModelFacts
    tasks: dict[Name, TaskResult]
    groups: dict[Name, Share]
    """Unweighted mean of a group's task values."""
    groups_chance_corrected: dict[Name, Number | None] = {}
    losses: dict[Name, LossPair]
    """Held-out loss by corpus: "general" and "domain"."""
    validation: Validation | None = None
    """What the choice of a learning rate rests on; None in older files."""
    training: Training
    learning_rate: LearningRateChoice | None = None
    method_definition: Definition = {}
    """The method's four choices: edit, train, rates, mix."""
    probe: Probe = {}
    """Layer importances that the method used, and what was selected from them."""
    variant: Variant | None = None
    """Where `method` is a suite's own variant of a method."""
    analyses: Analyses | None = None
    """What the suite measures beside tasks and losses."""
    certificate: CertificateFacts | None = None
    """Expansion certificate; null for methods that insert no layer."""
    cost: Cost
    provenance: Provenance
    extra: Details = {}

    @property
    def chosen(self) -> bool:
        """Whether this is the cell that tables show; else it is another point of the method's path."""
        return self.learning_rate is None or self.learning_rate.chosen

    @property
    def rate(self) -> float | None:
        """The peak learning rate; None where nothing trains."""
        return self.learning_rate.value if self.learning_rate else None

    @property
    def stem(self) -> str:
        """The file's name without its ending (contract)."""
        return cell_stem(self.method, self.seed, None if self.chosen else self.rate)

    @model_validator(mode="after")
    def _groups_agree(self) -> Cell:
        values: dict[str, list[float]] = {}
        for task in self.tasks.values():
            values.setdefault(task.group, []).append(task.value)
        if set(values) != set(self.groups):
            raise ValueError(f"groups {sorted(self.groups)} but the tasks' groups are {sorted(values)}")
        for name, members in values.items():
            if not math.isclose(self.groups[name], sum(members) / len(members), abs_tol=1e-6):
                raise ValueError(f"groups.{name} is {self.groups[name]}, not the mean of its tasks' values")
        return self


def json_schema() -> dict[str, Any]:
    """The JSON schema of a cell's file, as published in `cell.schema.json`."""
    schema = Cell.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"adept-bench cell, version {SCHEMA_VERSION}"
    _close(schema)
    return schema


def _close(part: Any) -> None:
    """Where keys have a pattern, refuse all others, which pydantic does without saying so."""
    if isinstance(part, dict):
        if "patternProperties" in part:
            part["additionalProperties"] = False
        for inner in part.values():
            _close(inner)
    elif isinstance(part, list):
        for inner in part:
            _close(inner)


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
