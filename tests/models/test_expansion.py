"""What expansion changes, what it refuses, and that a refusal leaves the model as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from builders import SMALL, from_sizes
from torch import nn
from transformers import AutoConfig, T5Config, T5ForConditionalGeneration

from adept_bench.errors import InputError
from adept_bench.models.anatomy import anatomy, decoder_layers
from adept_bench.models.certificate import parameter_digests
from adept_bench.models.depth import deeper_fields
from adept_bench.models.expansion import Expansion, expand, plan_expansion
from adept_bench.probing.decoder import decoder


def build(kind: str = "qwen3", **options: object) -> nn.Module:
    return from_sizes(kind, **({**SMALL, "max_position_embeddings": 32} | options))


def test_expansion_is_its_own_map() -> None:
    plan = plan_expansion(5, [3, 0])
    assert plan == Expansion(5, (0, 3), (1, 5))
    assert plan.origin == (0, 0, 1, 2, 3, 3, 4)


def test_originals_keep_their_bytes_and_copies_their_source_but_for_the_writers() -> None:
    model = build()
    before = copy.deepcopy(model).state_dict()
    plan = expand(model, [2, 0])
    written = {"self_attn.o_proj.weight", "mlp.down_proj.weight"}
    for name, tensor in model.state_dict().items():
        parts = name.split(".")
        if parts[1] != "layers":
            assert torch.equal(tensor, before[name])
            continue
        index, rest = int(parts[2]), ".".join(parts[3:])
        source = before[f"model.layers.{plan.origin[index]}.{rest}"]
        silent = index in plan.copies and rest in written
        assert torch.equal(tensor, torch.zeros_like(source) if silent else source)
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == list(range(5))
    assert len(model.config.layer_types) == model.config.num_hidden_layers == 5
    assert all(module.config is model.config for module in model.modules() if hasattr(module, "config"))


def test_copies_share_no_memory_with_their_source() -> None:
    model = build()
    expand(model, [1])
    source, twin = model.model.layers[1], model.model.layers[2]
    assert not {p.data_ptr() for p in source.parameters()} & {p.data_ptr() for p in twin.parameters()}


def test_anatomy_leaves_the_model_alone() -> None:
    model = build("gemma2", head_dim=8).train()
    model.model.layers[1].eval()
    model.lm_head.weight.requires_grad_(False)
    next(model.model.layers[0].parameters()).grad = torch.ones(16, 16)
    modes = [m.training for m in model.modules()]
    flags = [(p.requires_grad, None if p.grad is None else float(p.grad.sum())) for p in model.parameters()]
    digests, state = parameter_digests(model), torch.get_rng_state()
    anatomy(model)
    assert modes == [m.training for m in model.modules()]
    assert flags == [(p.requires_grad, None if p.grad is None else float(p.grad.sum())) for p in model.parameters()]
    assert digests == parameter_digests(model)
    assert torch.equal(state, torch.get_rng_state())
    assert all(not m._forward_pre_hooks for m in model.modules())


def test_layer_of_a_parameter() -> None:
    found = decoder(build(num_hidden_layers=11))
    assert found.layer_of("model.layers.10.mlp.down_proj.weight") == 10
    assert found.layer_of("model.layers.1.mlp.down_proj.weight") == 1
    assert found.layer_of("model.embed_tokens.weight") is None


def test_as_many_experts_as_layers_are_not_taken_for_the_layers() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    model = nn.Module()
    model.config = AutoConfig.for_model("llama", **(SMALL | {"num_hidden_layers": 2}))
    model.blocks = nn.ModuleList(Block() for _ in range(2))
    assert decoder_layers(model)[0] == "blocks"


def test_experts_that_no_token_reached_are_writers_too() -> None:
    class Routed(nn.Module):
        """Expert 0 always; a sequential block beside it, whose first projection must keep its weights."""

        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
            self.dense = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))

        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            return hidden_states + self.experts[0](hidden_states) * 0.5 + self.dense(hidden_states)

    from adept_bench.models.writers import residual_writers

    found = residual_writers(Routed(), torch.randn(1, 4, 8), (), {})
    experts = {f"experts.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")}
    assert found == dict.fromkeys(sorted(experts | {"dense.2.weight", "dense.2.bias"}), 0.0)


@pytest.mark.parametrize(
    ("layers", "message"), [([], "none given"), ([1, 1], "twice"), ([3], "0 to 2"), ([-1], "0 to 2")]
)
def test_bad_layers(layers: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(build(), layers)


REFUSED = {
    # attention divides by the layer's number
    "by number": ("gpt2", {"n_embd": 16, "n_head": 2, "scale_attn_by_inverse_layer_idx": True}, "layer_idx"),
    # norm after the sum: the output is never the input
    "post-norm": (
        "opt",
        {"ffn_dim": 24, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
        "layers.0 .*not its",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_leave_the_model_as_it_was(case: str) -> None:
    kind, options, message = REFUSED[case]
    model = build(kind, **options)
    digests, config = parameter_digests(model), model.config.to_dict()
    with pytest.raises(InputError, match=message):
        expand(model, [0, 1])
    assert parameter_digests(model) == digests
    assert model.config.to_dict() == config
    if case == "by number":
        assert [layer.attn.layer_idx for layer in model.transformer.h] == [0, 1, 2]


def test_encoder_decoders_are_refused() -> None:
    model = T5ForConditionalGeneration(T5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=24, num_layers=3, num_heads=2))
    with pytest.raises(InputError, match="decoder-only"):
        expand(model, [0])


def test_a_layer_that_shares_its_parameters_is_refused() -> None:
    model = build()
    model.model.layers[2].mlp = model.model.layers[0].mlp
    with pytest.raises(InputError, match="shares its parameters"):
        expand(model, [0])
    expand(model, [1])


def test_an_expanded_model_can_be_expanded_again() -> None:
    model = build()
    tokens = torch.arange(10).unsqueeze(0)
    logits = model(tokens).logits
    expand(model, [1])
    expand(model, [1, 2, 3])
    assert model.config.num_hidden_layers == 7
    assert torch.equal(model(tokens).logits, logits)


class FakeConfig:
    def __init__(self, **fields: object) -> None:
        self.__dict__ |= fields


def test_fields_that_follow_the_depth() -> None:
    config = FakeConfig(
        num_hidden_layers=4,
        layer_types=["a", "b", "c", "d"],
        no_rope_layers=[1, 0, 1, 0],
        mlp_only_layers=[0, 2],
        first_k_dense_replace=2,
        max_window_layers=28,
        num_kv_shared_layers=1,
        hybrid_override_pattern="MM*-",
        eos_token_id=[1, 2, 3, 4],
        rope_parameters={"short_factor": [1, 2, 3, 4]},
        hidden_size=4,
        mrope_section=[1, 1, 1, 1],
    )
    assert deeper_fields(config, (0, 0, 1, 2, 3, 3)) == {
        "num_hidden_layers": 6,
        "layer_types": ["a", "a", "b", "c", "d", "d"],
        "no_rope_layers": [1, 1, 0, 1, 0, 0],
        "mlp_only_layers": [0, 1, 3],
        "first_k_dense_replace": 3,
        "max_window_layers": 30,
        "num_kv_shared_layers": 2,
        "hybrid_override_pattern": "MMM*--",
    }
