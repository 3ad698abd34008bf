"""Memory of a training step by part, in bytes, and how settings change it."""

from __future__ import annotations

from dataclasses import dataclass

from adept_bench.config.schema import TrainingConfig
from adept_bench.planning.activations import Reach, Saved
from adept_bench.planning.shapes import Shape

ADAMW = 8.0  # bytes a trained parameter: two moments in float32
ADAMW_8BIT = 2.0 + 2 * 4 / 256  # two moments of a byte, and a float32 scale a block of 256 of each


@dataclass(frozen=True)
class Memory:
    """Bytes by part. `gathered`: under FSDP, the layers that are whole at a time."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    gathered: int = 0

    def peak(self, accumulating: bool) -> int:
        """The most that is there at once.

        Gradients appear as activations go, so that the larger of the two counts; where those of earlier batches are
        there already (`accumulating`), both do.
        """
        steps = [self.gradients, self.activations]
        return self.weights + self.optimizer + self.gathered + (sum(steps) if accumulating else max(steps))


@dataclass(frozen=True)
class Settings:
    """What may be changed to make a training fit."""

    batch_size: int
    checkpointing: bool = False
    eight_bit: bool = False
    shards: int = 1


def weight_bytes(shape: Shape, precision: str) -> int:
    """Of all weights: those that train in float32, the frozen ones as they are stored (fp32: all in float32)."""
    trained = set(shape.names)
    total = 0
    for name, parameter in shape.model.named_parameters():
        single = precision == "fp32" or name in trained
        total += parameter.numel() * (4 if single else parameter.element_size())
    return total


def memory_of(shape: Shape, layers: Reach, saved: Saved, training: TrainingConfig, settings: Settings) -> Memory:
    """Memory of a step; `saved` is of a batch of `settings.batch_size` sequences."""
    weights = weight_bytes(shape, training.precision)
    trained = shape.trainable
    state = ADAMW_8BIT if settings.eight_bit else ADAMW
    activations = saved.total(layers.trained, layers.above, layers.below, settings.checkpointing)
    share = settings.shards
    return Memory(
        weights=weights // share,
        gradients=4 * trained // share,
        optimizer=int(state * trained) // share,
        activations=activations,
        gathered=_gathered(shape, training.precision) if share > 1 else 0,
    )


def _gathered(shape: Shape, precision: str) -> int:
    """Two layers (one in use, the next fetched), or the embedding where it is larger, whole in the type computed in."""
    from adept_bench.probing.decoder import decoder

    size = 2 if precision == "bf16" else 4
    layers = decoder(shape.model).layers
    largest = max(sum(p.numel() for p in layer.parameters()) for layer in layers)
    embedding = shape.model.get_input_embeddings().weight.numel()
    return size * max(2 * largest, embedding)


def accumulates(training: TrainingConfig, settings: Settings) -> bool:
    """Whether a step takes several batches: as configured, or since smaller ones make up the same tokens."""
    return training.accumulation > 1 or settings.batch_size < training.batch_size
