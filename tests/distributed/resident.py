"""Resident memory while a model trains whose gradients are tens of megabytes, step by step and batch by batch.

`python resident.py OUT` in one process, or under torchrun; every process writes OUT-<rank>.json. Set
MALLOC_MMAP_THRESHOLD_ to something small, so that what is freed leaves the process at once.
"""

import gc
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from builders import qwen3

from adept_bench.config.schema import TrainingConfig
from adept_bench.distributed.group import group, start, stop
from adept_bench.distributed.sharding import local
from adept_bench.planning.measuring import RandomTokens
from adept_bench.training import trainer

STEPS, LENGTH = 3, 8
WIDE = {"hidden_size": 256, "intermediate_size": 4096}  # much weight and few activations: 51 MB of float32
ZERO = ("zero1", "zero2", "zero3") if find_spec("deepspeed") else ()


def status(field):
    """Bytes of a field of this process's status."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def held():
    """Bytes in memory but for mapped files."""
    gc.collect()
    return status("RssAnon")


def peak():
    """The most since it was last asked for."""
    found = status("VmHWM") - status("RssFile") - status("RssShmem")
    Path("/proc/self/clear_refs").write_text("5")
    return found


def measured(strategy, accumulation):
    """Bytes above those before the training: `sharding`, the most before the first step; by step the most in it and
    what is held after it; by batch what is held after it, and of that sharded or whole gradients of parameters."""
    model = qwen3(**WIDE)
    found = {"weights": 4 * sum(p.numel() for p in model.parameters()), "steps": [], "batches": []}
    before, training = held(), trainer._UnitTrainer.training_step
    begin, end_step = trainer._Run.begin, trainer._Run.end_step

    def begins(self):
        found["sharding"] = peak() - before
        begin(self)

    def trains(self, *arguments, **more):
        loss = training(self, *arguments, **more)
        gradients = [local(p.grad) for p in self.trained.parameters() if p.grad is not None]
        found["batches"].append({"held": held() - before, "gradients": sum(g.nbytes for g in gradients)})
        return loss

    def ends(self, step):
        end_step(self, step)
        found["steps"].append({"held": held() - before, "peak": peak() - before})

    trainer._Run.begin, trainer._UnitTrainer.training_step, trainer._Run.end_step = begins, trains, ends
    peak()
    sequences = accumulation * group().size  # of a step: each process takes `accumulation` batches of one
    config = TrainingConfig(
        tokens=STEPS * sequences * LENGTH,
        length=LENGTH,
        batch_size=1,
        accumulation=sequences,
        log_every=1,
        distributed=strategy,
    )
    try:
        data = RandomTokens(64, LENGTH, STEPS * sequences)
        trainer.train(model, data, training=config, learning_rate=1e-4)
    finally:
        trainer._Run.begin, trainer._UnitTrainer.training_step, trainer._Run.end_step = begin, training, end_step
    return found


if __name__ == "__main__":
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    start()
    measured("ddp", 1)  # what is loaded once is loaded by now
    found = {f"ddp {count}": measured("ddp", count) for count in (1, 2)}
    if group().size > 1:
        found["fsdp2 2"] = measured("fsdp2", 2)
        for stage in ZERO:
            measured(stage, 1)
            found[f"{stage} 2"] = measured(stage, 2)
    out.with_name(f"{out.name}-{group().rank}.json").write_text(json.dumps(found))
    stop()
