"""The ledger: what the paper claims, as typed entries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adept_bench.claims.units import NO_EFFECT, WORTH, Unit

Text = Annotated[str, Field(min_length=1)]
Direction = Literal["greater", "less"]
Family = Literal["primary", "secondary", "exact"]
FAMILIES: tuple[Family, ...] = ("primary", "secondary", "exact")
Reason = Literal["base-at-chance", "small-model", "flat-depth", "rehearsed"]
MeasureName = Literal[
    "kept",
    "learned",
    "accuracy",
    "train_time",
    "probe_time",
    "token_shift",
    "trainable_share",
    "importance_trend",
    "selected_depth",
    "metric_agreement",
    "unit_spread",
    "activation_overlap",
    "merged",
]

UNITS: dict[str, Unit] = {
    "kept": "points",
    "learned": "points",
    "accuracy": "points",
    "train_time": "ratio",
    "probe_time": "ratio",
    "token_shift": "ratio",
    "trainable_share": "share",
    "importance_trend": "rho",
    "selected_depth": "depth",
    "metric_agreement": "rho",
    "unit_spread": "decades",
    "activation_overlap": "points",
    "merged": "points",
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "kept": ("reference", "by"),
    "learned": ("reference", "by"),
    "accuracy": ("reference", "group"),
    "train_time": ("reference",),
    "probe_time": (),
    "token_shift": ("reference", "corpus"),
    "trainable_share": (),
    "importance_trend": (),
    "selected_depth": (),
    "metric_agreement": ("metric", "corpus"),
    "unit_spread": ("corpus",),
    "activation_overlap": ("reference",),
    "merged": (),
}
PATHS = ("kept", "learned")
"""Measures of whole paths: of all rates. All others are of the cells at the chosen rate."""


class Entry(BaseModel):
    """Strict and frozen: unknown keys and wrong types are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Reported(Entry):
    """A number of the paper. Sizes that follow from `levels` or `layers` are computed, not written down."""

    source: Text
    """Where it is in shared/paper-results.json."""
    kind: Literal["size", "bound", "maximum"] = "size"
    """What `value` is: the size of the effect; a bound that holds; the largest size over backbones and tasks."""
    value: float | None = None
    """In the measure's unit."""
    levels: dict[str, float] = {}
    """The reported number of each method: accuracy or shifted tokens, percent."""
    layers: list[Annotated[int, Field(ge=0)]] = []
    """Reported layers, of the base."""
    of: Annotated[int, Field(ge=2)] | None = None
    """How many layers the base has."""
    backbone: str | None = None
    """None where the paper's number is not known to be of one backbone."""
    task: str | None = None
    rounding: Annotated[float, Field(ge=0)] = 0.0
    """Half of the last digit that a bound is given with."""

    @model_validator(mode="after")
    def _holds_something(self) -> Reported:
        if sum((self.value is not None, bool(self.levels), bool(self.layers))) != 1:
            raise ValueError("expected one of value, levels, layers")
        if bool(self.layers) != (self.of is not None):
            raise ValueError("layers and of belong together")
        return self


class Measure(Entry):
    """What is computed from stored cells; see `measures`."""

    name: MeasureName
    method: Text
    reference: Text | None = None
    """The method that it is compared with."""
    group: Text | None = None
    """Group of tasks."""
    corpus: Text | None = None
    """Text: held-out, or what an importance is of."""
    metric: Text | None = None
    """Of layer importance."""
    by: Literal["accuracy", "statement", "loss"] | None = None
    """What learning and keeping are measured in (docs/acquisition.md)."""
    level: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of `kept`: at one level, this share of the way from the base to full CPT's best, in place of the mean over all.
    Documents are then random where there is one seed."""

    @property
    def unit(self) -> Unit:
        """Of the estimate."""
        return "nats" if self.by == "loss" else UNITS[self.name]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods whose cells it needs."""
        return (self.method, self.reference) if self.reference else (self.method,)

    @model_validator(mode="after")
    def _whole(self) -> Measure:
        for key in ("reference", "group", "corpus", "metric", "by"):
            if (getattr(self, key) is not None) != (key in _NEEDS[self.name]):
                raise ValueError(f"{self.name} {'needs' if key in _NEEDS[self.name] else 'has no use for'} {key!r}")
        if self.level is not None and self.name != "kept":
            raise ValueError(f"{self.name} has no use for 'level'")
        return self


class Claim(Entry):
    """One hypothesis, with every number that the paper is known to report for it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    about: Text
    """Heading it is shown under."""
    statement: Text
    where: Text
    """Its place in the paper."""
    suites: Annotated[list[Text], Field(min_length=1)]
    """Tested on the first of these that holds the cells."""
    measure: Measure
    direction: Direction
    """The side of `null` that the paper claims."""
    family: Family = "secondary"
    """`exact`: numbers known without error, which are not tested."""
    also: list[Text] = []
    """Methods for which it is told as well, as secondary claims, where a preset has their cells: a conclusion that
    depends on a choice of ours is shown with that choice varied."""
    undecidable: list[Reason] = []
    """Circumstances in which the preset's results cannot speak of it, whatever they are; see `conditions`."""
    asserts: Literal["size", "direction"] = "size"
    """`direction`: the paper's claim has no size."""
    null: float | None = None
    """What the direction is judged against. Default: no effect."""
    worth: Annotated[float, Field(ge=0)] | None = None
    """Smallest effect worth speaking of, in the measure's unit; for a ratio, as a share of it. Default by unit."""
    paper: list[Reported] = []
    """Empty where no number is known."""
    note: str | None = None
    variant_of: str | None = None
    """The claim that this one tells for another method."""

    @property
    def baseline(self) -> float:
        """The value on whose claimed side the estimate should be."""
        return NO_EFFECT[self.measure.unit] if self.null is None else self.null

    @property
    def least(self) -> float:
        """The value of the smallest effect worth speaking of."""
        worth = WORTH[self.measure.unit] if self.worth is None else self.worth
        sign = 1 if self.direction == "greater" else -1
        return self.baseline * (1 + worth) ** sign if self.measure.unit == "ratio" else self.baseline + sign * worth

    def size(self, reported: Reported) -> float | None:
        """The reported number in the measure's unit: a difference or ratio of levels, a mean depth of layers.

        None where only one side is known.
        """
        if reported.layers and reported.of:
            return sum(reported.layers) / len(reported.layers) / (reported.of - 1)
        if reported.levels:
            mine = reported.levels.get(self.measure.method)
            other = reported.levels.get(self.measure.reference or "")
            if mine is None or other is None:
                return None
            return round(mine - other, 6) if self.measure.unit == "points" else mine / other
        return reported.value

    def told_for(self, method: str) -> Claim:
        """The same claim of another method: secondary, without the paper's numbers, which are of its own."""
        named = "ADEPT" in self.statement
        return self.model_copy(
            update={
                "id": f"{self.id}.{method}",
                "statement": self.statement.replace("ADEPT", method) if named else f"{self.statement} ({method})",
                "measure": self.measure.model_copy(update={"method": method}),
                "family": self.family if self.family == "exact" else "secondary",
                "also": [],
                "paper": [],
                "note": None,
                "variant_of": self.id,
            }
        )


class BaseAtChance(Entry):
    """The base knows too little of a group to lose any of it."""

    corrected_at_most: float
    """Its score, 0 at chance and 1 where all is right, mean over seeds."""


class SmallModel(Entry):
    """The model is too small for its seconds and shares to be those of a language model in earnest."""

    parameters_below: int


class FlatDepth(Entry):
    """Base models have no order of layers in common, once the first layer is left out, and layers in random order would
    give such an estimate in more than 5% of cases."""

    agreement_at_most: float
    """Spearman's correlation of layer importances, mean over pairs of bases."""
    bases: Annotated[int, Field(ge=2)]
    """Fewer say nothing of it."""


class Rehearsed(Entry):
    """What is replayed states the facts that are asked afterwards."""

    corpora: list[Text]


class Conditions(Entry):
    """When a claim that names one of these cannot be decided."""

    base_at_chance: BaseAtChance
    small_model: SmallModel
    flat_depth: FlatDepth
    rehearsed: Rehearsed


class Assumed(Entry):
    """A spread for a calculation of power, where no results are stored."""

    seed_sd: Annotated[float, Field(ge=0)]
    """Standard deviation over seeds of the quantity; of a ratio's logarithm."""
    item_error: Annotated[float, Field(ge=0)] = 0.0
    """Standard error from the items (or documents) alone."""
    items: Annotated[int, Field(ge=0)] = 0


class Ledger(Entry):
    """The whole file."""

    backbones: dict[str, list[Text]]
    """The paper's backbones, and the names that folder or Hub id of each may end with."""
    tasks: dict[str, list[Text]]
    """The paper's tasks, and what they are called in result files."""
    variants: list[Text]
    """Variants of methods that suites define and claims speak of."""
    conditions: Conditions
    assumed: dict[Unit, Assumed]
    claims: Annotated[list[Claim], Field(min_length=1)]
