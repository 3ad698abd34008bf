"""Memory of a training step by part, in bytes, and how settings change it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from adept_bench.config.schema import TrainingConfig
from adept_bench.distributed.zero import BUCKET
from adept_bench.planning.activations import Reach, Saved
from adept_bench.planning.shapes import Shape

ADAMW = 8.0  # bytes a trained parameter: two moments in float32
ADAMW_8BIT = 2.0 + 2 * 4 / 256  # two moments of a byte, and a float32 scale a block of 256 of each
LIVE = 1_000_000_000  # numbers of weights that ZeRO's stage 3 may have gathered at once (DeepSpeed's default)


@dataclass(frozen=True)
class Memory:
    """Bytes of a device by part, and of main memory.

    buckets: what goes over the wire: under DDP a second copy of the gradients, which stays from the first step to the
    last, under ZeRO a bounded part of them. gathered: under FSDP2 and ZeRO's stage 3, weights and gradients that are
    whole at a time. whole: what each device holds before the weights are sharded, or at a refresh under ZeRO. main: of
    main memory, the model that waits there, in each process, while a copy of it is trained.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    gathered: int = 0
    buckets: int = 0
    whole: int = 0
    main: int = 0

    def peak(self, accumulating: bool) -> int:
        """The most that is on the device at once.

        Gradients appear as activations go, so that the larger of the two counts; where those of earlier batches are
        there already (`accumulating`), both do.
        """
        steps = [self.gradients, self.activations]
        kept = self.weights + self.optimizer + self.gathered + self.buckets
        return max(self.whole, kept + (sum(steps) if accumulating else max(steps)))


@dataclass(frozen=True)
class Settings:
    """What may be changed to make a training fit.

    replicas: devices that each hold the model (DDP). shards: devices that hold a part of it each (FSDP2), or of what
    the stage `zero` of ZeRO shards.
    """

    batch_size: int
    checkpointing: bool = False
    eight_bit: bool = False
    shards: int = 1
    replicas: int = 1
    zero: int = 0


def weight_bytes(shape: Shape, precision: str) -> int:
    """Of all weights: those that train in float32, the frozen ones as they are stored (fp32: all in float32)."""
    trained = set(shape.names)
    total = 0
    for name, parameter in shape.model.named_parameters():
        single = precision == "fp32" or name in trained
        total += parameter.numel() * (4 if single else parameter.element_size())
    return total


def memory_of(
    shape: Shape,
    layers: Reach,
    saved: Saved,
    training: TrainingConfig,
    settings: Settings,
    *,
    refreshes: bool = False,
) -> Memory:
    """Memory of a step; `saved` is of a batch of `settings.batch_size` sequences. refreshes: of unit importance."""
    weights = weight_bytes(shape, training.precision)
    trained = shape.trainable
    state = ADAMW_8BIT if settings.eight_bit else ADAMW
    activations = saved.total(layers.trained, layers.above, layers.below, settings.checkpointing)
    if settings.zero:
        return _under_zero(weights, trained, activations, settings, refreshes)
    share = settings.shards
    return Memory(
        weights=weights // share,
        gradients=4 * trained // share,
        optimizer=int(state * trained) // share,
        activations=activations,
        gathered=_gathered(shape, training.precision) if share > 1 else 0,
        buckets=4 * trained if settings.replicas > 1 else 0,
        whole=weights if share > 1 else 0,
        main=weights if share > 1 else 0,
    )


def _under_zero(weights: int, trained: int, activations: int, settings: Settings, refreshes: bool) -> Memory:
    """Memory under ZeRO, where AdamW's moments and a copy of the weights that it updates are in parts in every stage.

    Stage 1 keeps whole gradients. From stage 2 on there is a bucket that is filled beside one that is added up. A
    refresh puts the waiting model, whole, beside weights and optimizer.
    """
    share, part = settings.shards, 4 * trained // settings.shards
    bucket = 4 * min(BUCKET, trained)
    held = weights // (share if settings.zero == 3 else 1) + part
    optimizer = int(ADAMW * trained) // share
    kept = part + 2 * bucket if settings.zero == 3 else 0  # of gradients, between steps
    return Memory(
        weights=held,
        gradients=4 * trained if settings.zero == 1 else part,
        optimizer=optimizer,
        activations=activations,
        gathered=min(4 * LIVE, weights) if settings.zero == 3 else 0,
        buckets=bucket if settings.zero == 1 else 2 * bucket,
        whole=max(weights, (held + optimizer + kept + weights) if refreshes else 0),
        main=weights,
    )


def _gathered(shape: Shape, precision: str) -> int:
    """Two layers (one in use, the next fetched) or a parameter outside of them, and the gradient of one of either.

    Weights and gradient are in the type computed in; the gradient is there in float32 too, as what is added up over the
    processes.
    """
    from adept_bench.probing.decoder import decoder

    size, trained, found = 2 if precision == "bf16" else 4, set(shape.names), decoder(shape.model)
    weights: Counter[int | str] = Counter()
    gradients: Counter[int | str] = Counter()
    for name, parameter in shape.model.named_parameters():
        layer = found.layer_of(name)
        part = name if layer is None else layer
        weights[part] += parameter.numel() * (1 if layer is None else 2)
        gradients[part] += parameter.numel() * (name in trained)
    return max(size * weights[part] + (size + 4) * gradients[part] for part in weights)


def accumulates(training: TrainingConfig, settings: Settings) -> bool:
    """Whether a step takes several batches: as configured, or since smaller ones make up the same tokens."""
    return training.accumulation > 1 or settings.batch_size < training.batch_size
