"""A whole cell with invented numbers, for the tests of this folder and of analysis."""

from __future__ import annotations

from typing import Any


def example(
    method: str = "adept",
    seed: int = 0,
    items: dict[str, list[int]] | None = None,
    *,
    suite: str = "medical",
    preset: str = "lab",
    tokens: int = 307200,
    seconds: float = 40.0,
    general_loss: float = 1.25,
) -> dict[str, Any]:
    """A cell as the suite hands it to the store; `items` by group, one task a group."""
    items = {"general": [1, 1, 0, 1], "domain": [0, 1, 0]} if items is None else items
    trains = method != "vanilla"
    return {
        "suite": suite,
        "preset": preset,
        "method": method,
        "seed": seed,
        "config": {
            "training": {"tokens": tokens},
            "identity": {"model": f"base-{seed}", "domain": "d", "general": "g", "probe": None},
        },
        "config_hash": "0123456789abcdef",
        "model": {
            "source": "lab:base",
            "hash": f"base-{seed}",
            "layers": 14,
            "total_parameters": 1_600_000,
            "trainable_parameters": 240_000 if trains else 0,
            "trainable_fraction": 0.15 if trains else 0.0,
            "expanded_layers": [4, 9] if method == "adept" else [],
        },
        "tasks": {
            f"task_{group}": {
                "group": group,
                "metric": "acc",
                "value": sum(values) / len(values),
                "stderr": 0.1,
                "n": len(values),
                "items": values,
                "items_hash": f"hash-{group}-{len(values)}",
                "chance": 0.0625,
                "value_chance_corrected": (sum(values) / len(values) - 0.0625) / 0.9375,
                "version": 1.0,
                "num_fewshot": 0,
                "truncated": 0,
            }
            for group, values in items.items()
        },
        "groups": {group: sum(values) / len(values) for group, values in items.items()},
        "groups_chance_corrected": {
            group: (sum(values) / len(values) - 0.0625) / 0.9375 for group, values in items.items()
        },
        "losses": {
            "general": {"before": 0.58, "after": general_loss if trains else 0.58},
            "domain": {"before": 2.2, "after": 0.56 if trains else 2.2},
        },
        "training": {
            "steps": 600 if trains else 0,
            "tokens": tokens if trains else 0,
            "curve": [{"step": 10, "loss": 2.123456789012, "learning_rate": 1e-4}] if trains else [],
            "refreshes": refresh_rows() if method == "adept" else [],
            "mix": {"replay_share": 0.0, "domain_epochs": 3.2},
        },
        "learning_rate": {"value": 0.003, "source": "shipped", "grid": [0.0015, 0.003, 0.006]} if trains else None,
        "method_definition": {"edit": "copy after the 2 least important layers"},
        "probe": {"metric": "masking", "base_loss": 0.58, "importance": [6.5, 0.03, 1 / 3]},
        "certificate": {"logits_equal": True} if method == "adept" else None,
        "cost": {
            "train_seconds": seconds if trains else 0.0,
            "probe_seconds": 2.5,
            "eval_seconds": 8.0,
            "tokens_per_second": 7680.0 if trains else None,
            "train_flops": 2.5e12 if trains else 0.0,
            "peak_memory_bytes": 600 * 2**20,
            "threads": 1,
        },
        "provenance": {
            "package_version": "0.1.0",
            "git_revision": None,
            "git_dirty": None,
            "versions": {"torch": "2.13.0", "transformers": "5.23", "lm_eval": "0.4.13", "datasets": "5.0"},
            "python": "3.11.9",
            "device": "cpu",
            "processes": 1,
            "started": "2026-01-01T00:00:00Z",
            "ended": "2026-01-01T00:01:00Z",
        },
    }


def refresh_rows() -> list[dict[str, Any]]:
    """Two refreshes of two units, as rows; the second lists the units the other way round."""
    units = [
        {"name": f"model.layers.5.{name}", "layer": 5, "importance": 0.1 * scale, "normalized": 1 - scale / 2}
        | {"lr_scale": scale, "learning_rate": 0.003 * scale}
        for name, scale in (("mlp.up_proj.weight", 0.5), ("mlp.down_proj.weight", 2.0))
    ]
    return [{"step": 0, "units": units}, {"step": 100, "units": units[::-1]}]
