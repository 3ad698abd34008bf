"""Whether a family can be expanded is said as expansion says it, from a shape alone."""

from __future__ import annotations

import pytest
import torch
from builders import SMALL, from_sizes
from families import COMMON, FAMILIES
from transformers import T5Config, T5ForConditionalGeneration

from adept_bench.errors import InputError
from adept_bench.models.expandable import check_expandable
from adept_bench.models.shapes import base_shape

BY_NUMBER = ("gpt2", {"n_embd": 16, "n_head": 2, "n_layer": 3, "scale_attn_by_inverse_layer_idx": True})
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
POST_NORM = ("opt", {"ffn_dim": 24, "word_embed_proj_dim": 16, "do_layer_norm_before": False})


def shape(kind: str, **options: object) -> torch.nn.Module:
    return base_shape(from_sizes(kind, **options).config)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_can_be_expanded_passes(name: str) -> None:
    kind, options = FAMILIES[name]
    check_expandable(shape(kind, **(COMMON | TOKENS | options)), None)


@pytest.mark.parametrize(
    ("case", "layers", "message"),
    [
        (BY_NUMBER, None, "layer_idx"),
        (BY_NUMBER, [0, 2], "layer_idx"),
        (POST_NORM, None, "cannot find what"),
        (POST_NORM, [2], "cannot find what"),
    ],
)
def test_what_cannot_is_refused(case: tuple[str, dict[str, object]], layers: list[int] | None, message: str) -> None:
    kind, options = case
    with pytest.raises(InputError, match=message):
        check_expandable(shape(kind, **(SMALL | options)), layers)


def test_a_copy_that_moves_no_layer_may_depend_on_its_number() -> None:
    kind, options = BY_NUMBER
    check_expandable(shape(kind, **(SMALL | options)), [2])


def test_encoder_decoders_and_shared_layers_are_refused() -> None:
    sizes = {"vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 3, "num_heads": 2}
    with pytest.raises(InputError, match="decoder-only"):
        check_expandable(T5ForConditionalGeneration(T5Config(**sizes)), None)
    model = shape("llama", **SMALL)
    for layer in model.model.layers[1:]:
        layer.mlp = model.model.layers[0].mlp
    with pytest.raises(InputError, match="shares its parameters"):
        check_expandable(model, None)
