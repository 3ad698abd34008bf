"""What a checkpoint stores and its model does not take, and the reverse: in our words, for every way of loading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adept_bench.errors import InputError
from adept_bench.models.anatomy import decoder_layers, text_config

# families say by one of these how many further layers their checkpoints hold, numbered from the depth on, that predict
# tokens beyond the next one (DeepSeek-V3, arXiv 2412.19437, section 2.2)
_COUNTED = ("num_nextn_predict_layers", "num_mtp_layers")


def prediction_layers(config: Any) -> int:
    """How many layers behind the last decoder layer the configuration counts; transformers builds none of them."""
    found = (getattr(text_config(config), name, None) for name in _COUNTED)
    return max((value for value in found if isinstance(value, int)), default=0)


def refuse_misfits(info: Mapping[str, Any], model: Any, source: object, option: str) -> None:
    """Raise InputError, naming `option` and the first tensors, unless a checkpoint fits `model`, built for it.

    `info`: transformers' own account of what it found (output_loading_info, with ignore_mismatched_sizes). A weight
    that is missing or of another shape would be random, and one without a place would vanish from whatever is written;
    only prediction layers that the configuration counts may be left over.
    """
    try:
        path, layers = decoder_layers(model)
    except InputError as error:
        raise InputError(f"{option}: {source}: {error}") from None
    depth = len(layers)
    left = {name: layer_number(name, path) for name in info["unexpected_keys"]}
    counted = range(depth, depth + prediction_layers(model.config))
    unknown = sorted(name for name, layer in left.items() if layer not in counted)
    if shapes := sorted(tuple(one) for one in info["mismatched_keys"]):
        name, stored, wanted = shapes[0]
        raise InputError(
            f"{option}: {source} does not fit its configuration: {_weights(len(shapes))} of another shape, first "
            f"{name}, stored as {list(stored)}; expected {list(wanted)}"
        )
    missing = sorted(info["missing_keys"])
    said = [f"{_weights(len(missing))} missing from the checkpoint, first {missing[0]}"] if missing else []
    refuse_layers({name: layer for name, layer in left.items() if layer is not None}, depth, counted, source, option)
    if unknown:
        said.append(f"{_weights(len(unknown))} stored that it has no place for, first {unknown[0]}")
    if said:
        saved = ", ".join(getattr(model.config, "architectures", None) or ())
        kind = type(model).__name__
        hint = f"; saved as {saved}, and read as {kind}" if saved not in ("", kind) else ""
        raise InputError(f"{option}: {source} does not fit its configuration: {'; '.join(said)}{hint}")


def refuse_layers(numbers: Mapping[str, int], depth: int, counted: range, source: object, option: str) -> None:
    """Raise InputError for a tensor of a layer (`numbers`: name -> layer) beyond the depth that is not `counted`."""
    beyond = sorted(name for name, number in numbers.items() if number >= depth and number not in counted)
    if beyond:
        held = f", and counts {len(counted)} more" if counted else ""
        raise InputError(
            f"{option}: {source} stores layer {numbers[beyond[0]]}, which its configuration does not have "
            f"(num_hidden_layers is {depth}{held}), first {beyond[0]}; expected a config.json that has all layers, or "
            "weights without this one"
        )


def layer_number(name: str, path: str) -> int | None:
    """The number of the decoder layer in a tensor's name, however the model in front of the list is called; `path` is
    the list's module name."""
    parts, own = name.split("."), path.rpartition(".")[2]
    at = [i for i, part in enumerate(parts[:-1]) if part == own and parts[i + 1].isdigit()]
    return int(parts[at[0] + 1]) if at else None


def refuse_not_finite(model: Any, source: object, option: str) -> None:
    """Raise InputError, naming the first one, where a parameter holds a value that is not finite."""
    import torch

    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.numel() and parameter.device.type != "meta":
            low, high = torch.aminmax(parameter.detach())
            if not bool(torch.isfinite(low) & torch.isfinite(high)):
                raise not_finite(name, source, option)


def not_finite(name: str, source: object, option: str) -> InputError:
    """The error for a weight that holds NaN or infinity."""
    return InputError(f"{option}: {source}: {name} holds a value that is not finite; expected a whole checkpoint")


def _weights(count: int) -> str:
    return "1 weight is" if count == 1 else f"{count} weights are"
