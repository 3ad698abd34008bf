"""What an adaptation gained, lost and cost, in a few lines."""

from __future__ import annotations

import math
from typing import Any


def lines(summary: dict[str, Any]) -> list[str]:
    """A line each for what was gained, what was lost, what trained and what it cost."""
    losses = sorted(summary["losses"].items())
    found = [*_base(summary), *(_loss(name, pair, summary["heldout_documents"][name]) for name, pair in losses)]
    if "general" not in summary["losses"]:
        found.append("general loss: not measured, since no probe corpus was given")
    trained, cost = summary["trained"], summary["cost"]
    rate = summary["config"]["learning_rate"]
    layers = ", ".join(map(str, trained["expanded_layers"]))
    copies = f"; copies after layers {layers}" if layers else ""
    found.append(
        f"trained: {trained['trainable_fraction']:.1%} of {trained['total_parameters']:,} parameters "
        f"at peak rate {rate:g}{copies}"
    )
    if left_out := summary["definition"].get("left_out"):
        found.append(f"not adapted: {', '.join(left_out)} of the layers")
    if summary["layers_chosen"]:
        found.append(f"layers: {summary['layers_chosen']}")
    found.append(
        f"cost: {cost['train_seconds']:.0f} s of training, {cost['probe_seconds']:.0f} s of probing, "
        f"{summary['training']['tokens']:,} tokens in {summary['training']['steps']:,} steps, {_memory(cost)}"
    )
    return found


def _base(summary: dict[str, Any]) -> list[str]:
    """That the base was a quantised file, where it was one."""
    file = summary["model"].get("gguf")
    if file is None:
        return []
    return [f"base: {file['quantisation']} GGUF, SHA-256 {file['sha256'][:16]}, converted to float32"]


def _loss(name: str, pair: dict[str, float], documents: int) -> str:
    change = pair["after"] - pair["before"]
    verb = "gained" if change < 0 else "lost"
    return (
        f"{name} loss: {pair['before']:.3f} -> {pair['after']:.3f} nats a token ({change:+.3f}, {verb}; perplexity "
        f"{math.exp(pair['before']):.1f} -> {math.exp(pair['after']):.1f}; {documents} held-out documents)"
    )


def _memory(cost: dict[str, Any]) -> str:
    return f"{cost['peak_memory_bytes'] / 2**30:.2f} GiB at the peak"
