"""The rate of this machine's processor, timed on a few steps of full pretraining of the run's own model and batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from adept_bench.errors import InputError
from adept_bench.planning.devices import CPU_BANDWIDTH, CPU_RATE
from adept_bench.planning.timing import Rate

if TYPE_CHECKING:
    from adept_bench.config.schema import RunConfig

STEPS = 8  # timed, after
WARM = 3  # steps that are not
MOST = 50_000_000  # parameters: larger models belong on a GPU


def measured_rate(config: RunConfig) -> Rate:
    """Operations a second of full pretraining on the processor, with random weights and tokens: the median step.

    Bandwidth is taken to differ from the lab machine's as the rate does. Raises InputError for a model too large.
    """
    from statistics import median

    from transformers import AutoModelForCausalLM

    from adept_bench.models.shapes import base_shape
    from adept_bench.planning.architectures import config_of
    from adept_bench.suite.machine import threads
    from adept_bench.training.cost import train_flops
    from adept_bench.training.trainer import train

    architecture, _ = config_of(config.model)
    torch.set_num_threads(threads())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = sum(p.numel() for p in base_shape(architecture).parameters())
        if size > MOST:
            raise InputError(
                f"--measure: {config.model.source} has {size:,} parameters; expected at most {MOST:,} on a processor"
            )
        model = AutoModelForCausalLM.from_config(architecture, dtype=torch.float32)
    training = config.training
    steps = STEPS + WARM
    short = training.model_copy(
        update={
            "tokens": steps * training.tokens_per_step,
            "log_every": 1,
            "save_every": None,
            "precision": "fp32",
            "packing": "blocks",  # random tokens are no documents
        }
    )
    times = []

    def note(_: dict[str, Any]) -> None:
        times.append(time.perf_counter())

    count = steps * short.batch_size * short.accumulation
    data = RandomTokens(int(architecture.get_text_config().vocab_size), short.length, count)
    train(model, data, training=short, learning_rate=1e-6, on_progress=note)
    step = median(after - before for before, after in zip(times[WARM - 1 :], times[WARM:]))
    operations = train_flops(model, tokens=training.tokens_per_step, length=training.length) / step
    source = f"timed now: the median of {STEPS} steps of full pretraining, {operations / 1e9:.1f} GFLOP/s"
    return Rate(operations, CPU_BANDWIDTH * operations / CPU_RATE, source)


class RandomTokens(torch.utils.data.Dataset):
    """Sequences of random tokens, as a training reads them; the same for the same seed.

    Items: {"input_ids", "labels"}, int64 [length].
    """

    def __init__(self, vocabulary: int, length: int, count: int, seed: int = 0) -> None:
        self.vocabulary, self.length, self.count, self.seed = vocabulary, length, count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        ids = torch.randint(0, self.vocabulary, (self.length,), generator=generator)
        return {"input_ids": ids, "labels": ids.clone()}
