"""Both probes beside the plain computation: time and peak memory, as ratios within one interleaved run.

    python benchmarks/probing.py                         # a random Qwen3 of the lab's shape, on the CPU
    python benchmarks/probing.py --device cuda --dtype bfloat16 --hidden 2048 --depth 28 --vocabulary 151936
    python benchmarks/probing.py --model M --json

Plain layers: L+1 whole passes over the same padded batches, a layer bypassed in each but one. Plain units: a backward
that keeps every gradient, the statistics taken from the whole gradients afterwards. Times are the median of
interleaved rounds. Memory is the peak above what is held before the probe (the weights): on CUDA as the allocator
counts it, on the CPU from the profiler's record of every allocation, in a round of its own over the longest documents.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from adept_bench.probing.decoder import decoder
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.loss import batch_losses, by_length, in_order, make_batch
from adept_bench.probing.prefix import plain_masked_losses
from adept_bench.probing.undisturbed import first_device
from adept_bench.probing.units import probe_units

Documents = list[list[int]]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="local folder or Hub id instead of a random model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument(
        "--length", type=int, default=128, help="longest document; lengths are drawn from half of it up"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="of the layer probe; the unit probe takes 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def make_model(chosen: argparse.Namespace) -> Any:
    from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

    dtype = getattr(torch, chosen.dtype)
    if chosen.model:
        return AutoModelForCausalLM.from_pretrained(chosen.model, dtype=dtype).to(chosen.device).eval()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=chosen.vocabulary,
        hidden_size=chosen.hidden,
        intermediate_size=3 * chosen.hidden,
        num_hidden_layers=chosen.depth,
        num_attention_heads=max(4, chosen.hidden // 128),
        num_key_value_heads=max(2, chosen.hidden // 256),
        head_dim=min(128, chosen.hidden // 4),
        tie_word_embeddings=True,
    )
    with torch.device(chosen.device):
        return Qwen3ForCausalLM(config).to(dtype).eval()


def plain_layers(model: nn.Module, documents: Documents, batch_size: int) -> list[float]:
    """Masked loss minus base loss by L+1 whole passes."""
    columns = []
    with torch.no_grad():
        for indices in by_length(documents, batch_size):
            batch = make_batch([documents[index] for index in indices], first_device(model))
            columns.append(plain_masked_losses(model, decoder(model).layers, batch))
    means = torch.cat(columns, dim=1).mean(dim=1)
    return (means[:-1] - means[-1]).tolist()


def plain_units(model: nn.Module, documents: Documents, batch_size: int) -> list[float]:
    """Unit importance from gradients of the layers' parameters that are all kept until the backward is over."""
    found = decoder(model)
    layer_of = found.by_layer([name for name, _ in model.named_parameters()])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in layer_of)
    chosen = [parameter for name, parameter in model.named_parameters() if name in layer_of]
    sums = [0.0] * len(chosen)
    for indices in in_order(len(documents), batch_size):
        batch_losses(model, make_batch([documents[i] for i in indices], first_device(model))).mean().backward()
        for index, parameter in enumerate(chosen):
            assert parameter.grad is not None
            sums[index] += (parameter.detach() * parameter.grad).abs().float().mean().item()
            parameter.grad = None
    return [value / -(-len(documents) // batch_size) for value in sums]


def peak_memory(work: Callable[[], Any], device: str) -> int:
    """Bytes at the peak of `work` above what is held before it."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - held
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    level = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak


def seconds(work: Callable[[], Any], device: str) -> float:
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(
    ours: Callable[[Documents], Any],
    plain: Callable[[Documents], Any],
    documents: Documents,
    batch_size: int,
    chosen: Any,
) -> dict[str, float]:
    """Median seconds of both, interleaved after one warm-up, and the median of the rounds' ratios; peak memory.

    The peak is that of the two longest batches, as no other needs more and the profiler is slow.
    """
    longest = sorted(documents, key=len)[-2 * batch_size :]
    ours(longest), plain(longest)
    times = []
    for _ in range(chosen.rounds):
        times.append([seconds(partial(probe, documents), chosen.device) for probe in (ours, plain)])
    memory = [peak_memory(partial(probe, longest), chosen.device) for probe in (ours, plain)]
    return {
        "seconds": statistics.median(a for a, _ in times),
        "plain_seconds": statistics.median(b for _, b in times),
        "time_ratio": statistics.median(a / b for a, b in times),
        "peak_bytes": memory[0],
        "plain_peak_bytes": memory[1],
        "memory_ratio": memory[0] / memory[1],
    }


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = make_model(chosen)
    draw = random.Random(0)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    lengths = [draw.randint(max(2, chosen.length // 2), chosen.length) for _ in range(chosen.documents)]
    documents = [[draw.randrange(vocabulary) for _ in range(length)] for length in lengths]
    size = chosen.batch_size

    layers = probe_layers(model, documents, batch_size=size).importance, plain_layers(model, documents, size)
    units = [unit.importance for unit in probe_units(model, documents)], plain_units(model, documents, 1)
    report = {
        "layers": {
            **compare(
                lambda texts: probe_layers(model, texts, batch_size=size),
                lambda texts: plain_layers(model, texts, size),
                documents,
                size,
                chosen,
            ),
            "largest_difference_nats": max(abs(a - b) for a, b in zip(*layers)),
        },
        "units": {
            **compare(
                lambda texts: probe_units(model, texts, batch_size=1),
                lambda texts: plain_units(model, texts, 1),
                documents,
                1,
                chosen,
            ),
            "largest_relative_difference": max(abs(a - b) / b for a, b in zip(*units) if b),
        },
    }
    if chosen.json:
        print(json.dumps({"settings": vars(chosen), **report}, indent=1))
        return
    heads = (
        ("ours s", 10),
        ("plain s", 10),
        ("ratio", 8),
        ("ours MB", 10),
        ("plain MB", 10),
        ("ratio", 8),
        ("differs", 10),
    )
    print("probe   " + "".join(f"{head:>{width}}" for head, width in heads))
    for name, row in report.items():
        times = f"{row['seconds']:10.3f}{row['plain_seconds']:10.3f}{row['time_ratio']:8.2f}"
        memory = f"{row['peak_bytes'] / 1e6:10.1f}{row['plain_peak_bytes'] / 1e6:10.1f}{row['memory_ratio']:8.2f}"
        print(f"{name:8}{times}{memory}{row[next(key for key in row if key.startswith('largest'))]:10.1e}")


if __name__ == "__main__":
    main()
