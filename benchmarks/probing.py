"""Both probes beside the plain computation: time and peak memory, as ratios within one interleaved run.

    python benchmarks/probing.py                         # a random Qwen3 of the lab's shape, on the CPU
    python benchmarks/probing.py --device cuda --dtype bfloat16 --hidden 2048 --depth 28 --vocabulary 151936
    python benchmarks/probing.py --model M --json
    python benchmarks/probing.py --model M --text F.jsonl --length 256 --documents 8 --probes layers --clock cpu

Plain layers: L+1 whole passes over the same padded batches, a layer bypassed in each but one. Plain units: a backward
that keeps every gradient, the statistics taken from the whole gradients afterwards. Times are the median of
interleaved rounds. Memory is the peak above what is held before the probe (the weights): on CUDA as the allocator
counts it, on the CPU from the profiler's record of every allocation, in a round of its own over the longest documents.

The bound of the layer probe, measured in each round too: what its L(L+1)/2 layer runs and L+1 products with the head's
weights take by themselves, layers called as the probe calls them, products written into memory that is there already.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import nn

from adept_bench.probing.decoder import decoder
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.loss import batch_losses, by_length, in_order, make_batch
from adept_bench.probing.prefix import SharedForward, plain_masked_losses
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
    parser.add_argument(
        "--text", help="JSON lines with a field `text` to take documents from, instead of random tokens"
    )
    parser.add_argument("--probes", default="layers,units")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: of this process, on a busy machine"
    )
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks")
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


def make_documents(chosen: argparse.Namespace, model: Any) -> Documents:
    """Random tokens of random lengths, or the first documents of a text that are as long as asked, cut to that."""
    if chosen.text:
        from transformers import AutoTokenizer

        read = AutoTokenizer.from_pretrained(chosen.model)
        with open(chosen.text, encoding="utf-8") as lines:
            ids = (read(json.loads(line)["text"])["input_ids"][: chosen.length] for line in lines)
            return list(islice((one for one in ids if len(one) == chosen.length), chosen.documents))
    draw = random.Random(0)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    lengths = [draw.randint(max(2, chosen.length // 2), chosen.length) for _ in range(chosen.documents)]
    return [[draw.randrange(vocabulary) for _ in range(length)] for length in lengths]


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


def bound_of_layers(model: Any, documents: Documents, clock: Callable[[], float]) -> float:
    """Seconds of the layer probe's layer runs and head products alone: of one of each a document, multiplied."""
    layers, head = decoder(model).layers, model.get_output_embeddings()
    shared = SharedForward(model, layers)
    rows = shared.rows_at_once(max(map(len, documents)))
    inside, products, buffer = 0.0, 0.0, None
    started = 0.0

    def enter(*_: Any) -> None:
        nonlocal started
        started = clock()

    def leave(*_: Any) -> None:
        nonlocal inside
        inside += clock() - started

    handles = [
        hook
        for layer in layers
        for hook in (layer.register_forward_pre_hook(enter), layer.register_forward_hook(leave))
    ]
    with torch.no_grad():
        for indices in by_length(documents, rows):
            batch = make_batch([documents[index] for index in indices], first_device(model))
            hidden = model.get_decoder()(**batch.inputs).last_hidden_state.flatten(0, 1)
            if buffer is None or len(buffer) < len(hidden):
                buffer = hidden.new_zeros(len(hidden), len(head.weight))
            begun = clock()
            torch.mm(hidden, head.weight.t(), out=buffer[: len(hidden)])
            products += clock() - begun
    for handle in handles:
        handle.remove()
    return inside * (len(layers) + 1) / 2 + products * (len(layers) + 1)


def clock_of(chosen: argparse.Namespace) -> Callable[[], float]:
    def clock() -> float:
        if chosen.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.process_time() if chosen.clock == "cpu" else time.perf_counter()

    return clock


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


def seconds(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def compare(
    ours: Callable[[Documents], Any],
    plain: Callable[[Documents], Any],
    documents: Documents,
    batch_size: int,
    chosen: Any,
    bound: Callable[[Documents], float] | None = None,
) -> dict[str, float]:
    """Median seconds of both, interleaved after a warm-up, and the median of the rounds' ratios; peak memory.

    The peak is that of the two longest batches, as no other needs more and the profiler is slow.
    """
    ours(documents[:1]), plain(documents[:1])
    times = []
    for _ in range(chosen.rounds):
        round_of = [seconds(partial(probe, documents), clock_of(chosen)) for probe in (ours, plain)]
        times.append((*round_of, bound(documents) if bound else round_of[0]))
    found = {
        "seconds": statistics.median(a for a, _, _ in times),
        "plain_seconds": statistics.median(b for _, b, _ in times),
        "time_ratio": statistics.median(a / b for a, b, _ in times),
    }
    if bound:
        found["bound_seconds"] = statistics.median(c for _, _, c in times)
        found["bound_ratio"] = statistics.median(a / c for a, _, c in times)
    if chosen.no_memory:
        return found
    longest = sorted(documents, key=len)[-2 * batch_size :]
    memory = [peak_memory(partial(probe, longest), chosen.device) for probe in (ours, plain)]
    return {
        **found,
        "peak_bytes": memory[0],
        "plain_peak_bytes": memory[1],
        "memory_ratio": memory[0] / memory[1],
    }


def show(report: dict[str, dict[str, float]], chosen: argparse.Namespace) -> None:
    """A block a name with a line a number, or all of it and the settings as JSON."""
    if chosen.json:
        print(json.dumps({"settings": vars(chosen), **report}, indent=1))
        return
    for name, row in report.items():
        print(name)
        for key, value in row.items():
            print(f"  {key:28}{value / 1e6:12.1f} MB" if key.endswith("bytes") else f"  {key:28}{value:12.3g}")


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = make_model(chosen)
    documents = make_documents(chosen, model)
    size = chosen.batch_size
    layers: dict[str, list[float]] = {}
    units: dict[str, list[float]] = {}
    report = {}
    if "layers" in chosen.probes:
        timed = compare(
            lambda texts: layers.update(ours=probe_layers(model, texts, batch_size=size).importance),
            lambda texts: layers.update(plain=plain_layers(model, texts, size)),
            documents,
            size,
            chosen,
            lambda texts: bound_of_layers(model, texts, clock_of(chosen)),
        )
        differ = max(abs(a - b) for a, b in zip(layers["ours"], layers["plain"]))
        report["layers"] = {**timed, "largest_difference_nats": differ}
    if "units" in chosen.probes:
        timed = compare(
            lambda texts: units.update(ours=[unit.importance for unit in probe_units(model, texts)]),
            lambda texts: units.update(plain=plain_units(model, texts, 1)),
            documents,
            1,
            chosen,
        )
        differ = max(abs(a - b) / b for a, b in zip(units["ours"], units["plain"]) if b)
        report["units"] = {**timed, "largest_relative_difference": differ}
    show(report, chosen)


if __name__ == "__main__":
    main()
