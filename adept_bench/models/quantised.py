"""Checkpoints that are stored quantised: named by their method, with the call that makes plain weights of them.

Packed integers have no gradients and no layers to copy, and what a probe would measure depends on the kernels that are
installed. The calls are transformers' own (its page on quantisation, `PreTrainedModel.dequantize`, and the
configurations that take `dequantize`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adept_bench.errors import InputError

# stored as numbers of the weights' own shapes with scales beside them, which a copy file by file carries over
CARRIED = frozenset({"fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"})
_WHEN_LOADED = {
    "fp8": "FineGrainedFP8Config",
    "mxfp4": "Mxfp4Config",
    "compressed-tensors": "CompressedTensorsConfig",
    "metal": "MetalConfig",
}
_AFTERWARDS = ("bitsandbytes", "higgs")


def quant_method(config: Mapping[str, Any]) -> str | None:
    """The method that config.json (as a dictionary) says the weights are quantised by; None for plain weights."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        inner = (value for value in config.values() if isinstance(value, Mapping))
        found = next((one["quantization_config"] for one in inner if one.get("quantization_config")), None)
    if not isinstance(found, Mapping):
        return None
    # bitsandbytes wrote no name in its first versions
    old = found.get("load_in_4bit") or found.get("load_in_8bit")
    return str(found.get("quant_method") or ("bitsandbytes" if old else "unknown"))


def refuse_quantised(config: Mapping[str, Any], source: object, option: str) -> None:
    """Raise InputError, naming `option`, the method and the call that dequantises, where the weights are quantised."""
    method = quant_method(config)
    if method is not None:
        raise InputError(
            f"{option}: {source} is quantised (quant_method: {method}); expected plain weights: {way(method)}"
        )


def way(method: str) -> str:
    """How to come by plain weights of a checkpoint that was quantised by `method`."""
    load = "AutoModelForCausalLM.from_pretrained(DIR"
    if method in _WHEN_LOADED:
        return f"{load}, quantization_config={_WHEN_LOADED[method]}(dequantize=True)).save_pretrained(NEW_DIR)"
    if method in _AFTERWARDS:
        return f"{load}).dequantize().save_pretrained(NEW_DIR)"
    return "transformers has no call that dequantises these, so name the checkpoint that they were made from"
