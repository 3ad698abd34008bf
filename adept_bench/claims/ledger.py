"""The ledger: what the paper claims, as typed entries read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adept_bench.config.names import METHOD_NAMES, RESERVED_METHODS
from adept_bench.config.sources import explain, read_yaml
from adept_bench.errors import InputError, nearest

LEDGER = Path(__file__).with_name("ledger.yaml")

Text = Annotated[str, Field(min_length=1)]
Unit = Literal["points", "ratio", "share", "depth", "rho"]
Direction = Literal["greater", "less"]
MeasureName = Literal["accuracy", "train_time", "token_shift", "trainable_share", "importance_trend", "selected_depth"]

UNITS: dict[str, Unit] = {
    "accuracy": "points",
    "train_time": "ratio",
    "token_shift": "ratio",
    "trainable_share": "share",
    "importance_trend": "rho",
    "selected_depth": "depth",
}
NO_EFFECT: dict[Unit, float] = {"points": 0.0, "ratio": 1.0, "share": 1.0, "depth": 0.5, "rho": 0.0}
# the smallest effects worth speaking of: a point; a tenth, as a ratio; a twentieth of the depth; a weak correlation
WORTH: dict[Unit, float] = {"points": 1.0, "ratio": 0.1, "share": 0.0, "depth": 0.05, "rho": 0.1}
_NEEDS: dict[str, tuple[str, ...]] = {
    "accuracy": ("reference", "group"),
    "train_time": ("reference",),
    "token_shift": ("reference", "corpus"),
    "trainable_share": (),
    "importance_trend": (),
    "selected_depth": (),
}


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
    """Held-out text."""

    @property
    def unit(self) -> Unit:
        """Of the estimate: percentage points, ratio to the reference, share, relative depth (0..1), Spearman's rho."""
        return UNITS[self.name]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods whose cells it needs."""
        return (self.method, self.reference) if self.reference else (self.method,)

    @model_validator(mode="after")
    def _whole(self) -> Measure:
        for key in ("reference", "group", "corpus"):
            if (getattr(self, key) is not None) != (key in _NEEDS[self.name]):
                raise ValueError(f"{self.name} {'needs' if key in _NEEDS[self.name] else 'has no use for'} {key!r}")
        for method in self.methods:
            if method not in (known := (*METHOD_NAMES, *RESERVED_METHODS)):
                close = nearest(method, known)
                raise ValueError(f"unknown method {method!r}" + (f"; did you mean {close!r}?" if close else ""))
        return self


class Claim(Entry):
    """One hypothesis, with every number that the paper is known to report for it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    about: Text
    """Heading it is shown under."""
    statement: Text
    suites: Annotated[list[Text], Field(min_length=1)]
    """Tested on the first of these that holds the cells."""
    measure: Measure
    direction: Direction
    """The side of `null` that the paper claims."""
    asserts: Literal["size", "direction"] = "size"
    """`direction`: the paper's claim has no size."""
    null: float | None = None
    """What the direction is judged against. Default: no effect."""
    worth: Annotated[float, Field(ge=0)] | None = None
    """Smallest effect worth speaking of, in the measure's unit; for a ratio, as a share of it. Default by unit."""
    family: bool = True
    """Whether it is tested, and counted in the correction; exact numbers are not."""
    paper: list[Reported] = []
    """Empty where no number is known."""
    note: str | None = None

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


class Ledger(Entry):
    """The whole file."""

    backbones: dict[str, list[Text]]
    """The paper's backbones, and the names that folder or Hub id of each may end with."""
    tasks: dict[str, list[Text]]
    """The paper's tasks, and what they are called in result files."""
    claims: Annotated[list[Claim], Field(min_length=1)]


def load_ledger(path: Path = LEDGER) -> Ledger:
    """The ledger in the file. InputError lists every problem by file and line."""
    data, lines = read_yaml(path)
    try:
        ledger = Ledger.model_validate(data)
    except ValidationError as error:
        raise explain(error.errors(), Ledger, lines, str(path)) from None
    first: dict[str, int] = {}
    for index, claim in enumerate(ledger.claims):
        if claim.id in first:
            where = lines[("claims", index, "id")]
            raise InputError(f"{where}: id {claim.id!r} is already taken; expected another one")
        first[claim.id] = index
        for number, reported in enumerate(claim.paper):
            for key, value, known in (
                ("backbone", reported.backbone, ledger.backbones),
                ("task", reported.task, ledger.tasks),
            ):
                if value is not None and value not in known:
                    where = lines[("claims", index, "paper", number, key)]
                    close = nearest(value, known)
                    hint = f"; did you mean {close!r}?" if close else ""
                    raise InputError(f"{where}: unknown {key} {value!r}; expected one of: {', '.join(known)}{hint}")
    return ledger
