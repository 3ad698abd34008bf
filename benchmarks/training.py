"""Training steps with the loss in blocks beside the model's own: time and peak memory, as ratios within one run.

    python benchmarks/training.py --model M                       # 512 tokens a step, every weight and copies only
    python benchmarks/training.py --device cuda --precision bf16 --hidden 2048 --vocabulary 151936 --batch-size 8

A step is a forward and a backward pass, without the optimizer's update, which the two have in common. Steps of both
alternate after one of each to warm up; the ratio is the median over pairs. Memory is the peak above what is held before
the step, measured in a step of its own. On a busy machine `--clock cpu` counts this process's own seconds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from probing import clock_of, make_model, peak_memory, seconds, show

from adept_bench.config.schema import TrainingConfig
from adept_bench.models.expansion import expand
from adept_bench.probing.decoder import decoder
from adept_bench.training.headloss import loss_in_blocks


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="local folder or Hub id instead of a random model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def step(model: Any, ids: torch.Tensor, precision: str, context: Callable[[], Any]) -> float:
    """The loss of a step; gradients are dropped."""
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=precision == "bf16"), context():
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    model.zero_grad(set_to_none=True)
    return loss.item()


def compare(model: Any, ids: torch.Tensor, chosen: argparse.Namespace) -> dict[str, float]:
    training = TrainingConfig(
        tokens=ids.numel(), length=chosen.length, batch_size=chosen.batch_size, precision=chosen.precision
    )
    contexts = {"blocks": loss_in_blocks(model, training), "plain": nullcontext}
    if contexts["blocks"] is nullcontext:
        raise SystemExit("the loss of this model or batch is not taken in blocks")
    steps = {name: partial(step, model, ids, chosen.precision, context) for name, context in contexts.items()}
    losses = {name: one() for name, one in steps.items()}
    clock = clock_of(chosen)
    times = [[seconds(one, clock) for one in steps.values()] for _ in range(chosen.pairs)]
    peaks = [peak_memory(one, chosen.device) for one in steps.values()]
    return {
        "seconds": statistics.median(a for a, _ in times),
        "plain_seconds": statistics.median(b for _, b in times),
        "time_ratio": statistics.median(a / b for a, b in times),
        "peak_bytes": peaks[0],
        "plain_peak_bytes": peaks[1],
        "memory_ratio": peaks[0] / peaks[1],
        "loss_difference": abs(losses["blocks"] - losses["plain"]),
    }


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = make_model(chosen).train()
    generator = torch.Generator().manual_seed(0)
    words = len(model.get_input_embeddings().weight)
    ids = torch.randint(words, (chosen.batch_size, chosen.length), generator=generator).to(chosen.device)
    report = {"every weight": compare(model, ids, chosen)}
    depth = len(decoder(model).layers)
    copies = expand(model, [depth - 1 - index for index in range(chosen.copies)]).copies
    model.requires_grad_(False).train()
    for index in copies:
        decoder(model).layers[index].requires_grad_(True)
    report["copies"] = compare(model, ids, chosen)
    show(report, chosen)


if __name__ == "__main__":
    main()
