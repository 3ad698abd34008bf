"""LoRA where experts are stacked in one parameter: adapted, counted, folded; and what is left out is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import families
import pytest
import torch
from builders import from_sizes

from adept_bench.config.schema import MethodOptions
from adept_bench.errors import InputError
from adept_bench.methods.base import prepare
from adept_bench.methods.edits import fold_adapters, fused_maps, linear_maps
from adept_bench.methods.registry import get

TOKENS = torch.randint(3, 90, (2, 12), generator=torch.Generator().manual_seed(1))
ROUTERS = {"mixtral": "mlp.gate.weight", "deepseek-v3": "mlp.gate.weight", "gpt-oss": "mlp.router.weight"}
OUT = {name: [router] for name, router in ROUTERS.items()}
OUT["gpt-oss"] = ["mlp.experts.down_proj_bias", "mlp.experts.gate_up_proj_bias", "mlp.router.weight"]


def build(name: str) -> Any:
    kind, options = families.FAMILIES[name]
    return from_sizes(kind, **(families.COMMON | options))


def with_lora(model: Any, **options: Any) -> Any:
    chosen = MethodOptions(k=1, **options)
    return prepare(get("lora", chosen), model, SimpleNamespace(seed=0, options=chosen, layers=4))


@pytest.mark.parametrize("name", ROUTERS)
def test_experts_are_adapted_and_counted_and_what_is_not_is_said(name: str) -> None:
    model, base = build(name), build(name)
    edit, names = with_lora(model)
    assert torch.equal(model(TOKENS).logits, base(TOKENS).logits)
    assert edit.description["fused"] == ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]
    assert edit.description["left_out"] == OUT[name]
    # by hand: r * (in + out) for each linear map, of each expert one
    shapes = [tuple(p.shape) for n, p in base.named_parameters() if "model.layers." in n and p.ndim > 1]
    kept = [n for n, p in base.named_parameters() if "model.layers." in n and p.ndim > 1]
    a_rank = sum(
        sum(shape) if len(shape) == 2 else shape[0] * (shape[1] + shape[2])
        for n, shape in zip(kept, shapes, strict=True)
        if not any(n.endswith(out) for out in OUT[name])
    )
    parameters = dict(model.named_parameters())
    trained = sum(parameters[n].numel() for n in names)
    assert trained == edit.description["rank"] * a_rank
    a_layer = sum(p.numel() for p in base.model.layers.parameters()) / 4
    assert abs(trained - a_layer) <= a_rank / 2 or edit.description["rank"] == 1
    sources = {edit.name_of_source(n) for n in names}
    assert sources == {f"{n}.weight" for n in linear_maps(base)} | set(fused_maps(base))
    assert {edit.name_of_source(n) for n in parameters} == set(dict(base.named_parameters()))


@pytest.mark.parametrize("name", ROUTERS)
def test_adapters_learn_and_fold_into_every_expert(name: str) -> None:
    model, base = build(name), build(name)
    edit, names = with_lora(model, lora_rank=2, lora_alpha=6)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for n in names:
            if ".lora_B." in n:
                parameters[n].copy_(0.1 * torch.randn_like(parameters[n]))
    model(TOKENS, labels=TOKENS).loss.backward()
    dead = [n for n in names if parameters[n].grad is None or not parameters[n].grad.abs().sum()]
    assert dead == []
    adapted = model(TOKENS).logits.detach()
    a, b = ({edit.name_of_source(n): parameters[n].detach().clone() for n in names if f".lora_{x}." in n} for x in "AB")
    fold_adapters(model)
    folded = dict(model.named_parameters())
    assert folded.keys() == dict(base.named_parameters()).keys()
    for n, before in base.named_parameters():
        change = folded[n].detach() - before.detach()
        if n not in a:
            assert not change.abs().sum()
            continue
        if before.ndim == 2:
            expected = 3 * b[n] @ a[n]
        else:  # A [experts * rank, in], B [out, rank * experts]: the layout of peft's own files
            experts = before.shape[0]
            one = a[n].view(experts, 2, -1), b[n].view(b[n].shape[0], 2, experts)
            expected = torch.stack([3 * one[1][:, :, e] @ one[0][e] for e in range(experts)])
            expected = expected if expected.shape == before.shape else expected.transpose(1, 2)
        torch.testing.assert_close(change, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(model(TOKENS).logits, adapted, atol=1e-5, rtol=1e-4)


def test_convolutions_are_no_experts_and_dense_models_are_as_before() -> None:
    mamba = build("mamba")
    assert fused_maps(mamba) == {}
    assert with_lora(mamba)[0].description["left_out"] == [
        "mixer.A_log",
        "mixer.conv1d.weight",
        "mixer.out_proj.weight",
    ]
    assert {"fused", "left_out"} & with_lora(build("llama"))[0].description.keys() == set()
    assert {"fused", "left_out"} & with_lora(build("gpt2"))[0].description.keys() == set()


def test_dropout_of_inputs_is_refused_with_fused_experts() -> None:
    with pytest.raises(InputError, match=r"options.lora_dropout: 0.1; expected 0"):
        with_lora(build("mixtral"), lora_dropout=0.1)
    assert with_lora(build("llama"), lora_dropout=0.1)[0].description["dropout"] == 0.1
