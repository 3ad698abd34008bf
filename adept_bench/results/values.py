"""The numbers of result files, and the parts of their free blocks that figures, claims and reports read.

A free block may hold any further key; what something reads has a type all the same, so that a file of other types is
refused where it is read, by name, and not somewhere in a figure. Bounds are far beyond any real value: they keep sums
finite and what is drawn in memory.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

HUGE = 1e30
LARGEST = 2**63 - 1
LAYERS = 10_000


def _integer(value: Any) -> Any:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=-HUGE, le=HUGE)]
Amount = Annotated[float, Field(ge=0, le=HUGE)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Depth = Annotated[int, Field(ge=0, le=LAYERS)]
"""A layer, or a number of layers."""
Version1 = Annotated[Literal[1], BeforeValidator(_integer)]
"""1, which true and 1.0 are equal to."""

_FREE = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


@with_config(_FREE)
class Options(TypedDict, total=False):
    k: Depth | None
    select: str | None
    importance_corpus: str | None
    refresh_every: Count | None


@with_config(_FREE)
class Data(TypedDict, total=False):
    general: Any
    """A corpus, or a list of parts; so is `probe`."""
    probe: Any
    probe_documents: Count | None


@with_config(_FREE)
class Settings(TypedDict, total=False):
    options: Options
    data: Data
    training: dict[str, Any]
    identity: dict[str, Any]
    """Content hashes of the model and of every corpus."""


@with_config(_FREE)
class UsedLayers(TypedDict, total=False):
    importance: list[Number]
    """A value a layer of the base."""
    metric: str
    base_loss: Amount | None


@with_config(_FREE)
class Probe(TypedDict, total=False):
    layers_general: UsedLayers
    layers_domain: UsedLayers


@with_config(_FREE)
class Definition(TypedDict, total=False):
    chosen_by: str | None
    trained_layers: list[Depth] | None


@with_config(_FREE)
class Mix(TypedDict, total=False):
    replay_share: Share | None


@with_config(_FREE)
class Trial(TypedDict, total=False):
    learning_rate: Amount
    score: Number | None


@with_config(_FREE)
class CostDetails(TypedDict, total=False):
    cpu_share: Amount | None
    """Of a processor's time that the cell got while it trained."""


@with_config(_FREE)
class CertificateFacts(TypedDict, total=False):
    tolerance: Amount | None
    max_logit_difference: Amount | None
    max_cached_difference: Amount | None
    max_reload_difference: Amount | None


@with_config(_FREE)
class StepSettings(TypedDict, total=False):
    """What decides a step that `bench` timed."""

    length: Count
    batch_size: Count
    accumulation: Count
    precision: str
    gradient_checkpointing: bool
