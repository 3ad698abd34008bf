"""Unit importance against gradients kept whole, and that a probe leaves no trace."""

from __future__ import annotations

import pytest
import torch
from builders import PLAIN, ROTARY, documents, scattered

from adept_bench.errors import InputError
from adept_bench.probing.gradients import squared, weighted
from adept_bench.probing.units import is_norm, probe_units, unit_members

FAMILIES = {
    "qwen3": ({**ROTARY, "head_dim": 8, "tie_word_embeddings": True}, "model.layers"),
    "llama": (ROTARY, "model.layers"),
    "gemma2": ({**ROTARY, "head_dim": 8}, "model.layers"),
    "gpt2": ({**PLAIN, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}, "transformer.h"),
    "opt": ({**PLAIN, "ffn_dim": 24, "max_position_embeddings": 32, "word_embed_proj_dim": 8}, "model.decoder.layers"),
}


def build(family):
    return scattered(family, num_hidden_layers=3, **FAMILIES[family][0])


def importance_plainly(model, texts, batch_size):
    """Per parameter: |w| times the mean over batches of |dL/dw|, element by element."""
    sums, batches = {}, 0
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        losses = [model(input_ids=torch.tensor([t]), labels=torch.tensor([t]), use_cache=False).loss for t in batch]
        grads = torch.autograd.grad(torch.stack(losses).mean(), list(model.parameters()))
        for (name, _), grad in zip(model.named_parameters(), grads):
            sums[name] = sums.get(name, 0) + grad.abs().double()
        batches += 1
    return {name: p.detach().double().abs() * sums[name] / batches for name, p in model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_importance_is_the_weights_times_the_mean_absolute_gradient(family, batch_size):
    model, texts = build(family), documents(5)
    expected = importance_plainly(model, texts, batch_size)
    units = probe_units(model, texts, batch_size=batch_size)
    path = FAMILIES[family][1]
    assert [unit.name for unit in units] == [name for name in expected if name.startswith(f"{path}.")]
    for unit in units:
        assert unit.importance == pytest.approx(expected[unit.name].mean().item(), rel=2e-4, abs=1e-9)
        assert unit.layer == int(unit.name[len(path) + 1 :].split(".")[0])
        assert unit.elements == expected[unit.name].numel()


def test_a_tensor_larger_than_a_chunk(monkeypatch):
    monkeypatch.setattr("adept_bench.probing.gradients.CHUNK", 50)
    model, texts = build("llama"), documents(5)
    expected = importance_plainly(model, texts, 1)
    for unit in probe_units(model, texts):
        assert unit.importance == pytest.approx(expected[unit.name].mean().item(), rel=2e-4)


MODULES = {
    "qwen3": [
        "self_attn",
        "self_attn.q_norm",
        "self_attn.k_norm",
        "mlp",
        "input_layernorm",
        "post_attention_layernorm",
    ],
    "gemma2": [
        "self_attn",
        "mlp",
        "input_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
        "post_attention_layernorm",
    ],
    "gpt2": ["ln_1", "attn", "ln_2", "mlp"],
    "opt": ["self_attn", "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"],
}


@pytest.mark.parametrize("family", MODULES)
def test_modules_of_a_layer_are_units_and_norms_stand_apart(family):
    model = build(family)
    layer = f"{FAMILIES[family][1]}.1"
    names = [name for name, _ in model.named_parameters() if name.startswith(f"{layer}.")]
    members = unit_members(model, names, "module")
    assert sorted(members) == sorted(f"{layer}.{unit}" for unit in MODULES[family])
    assert sorted(name for unit in members.values() for name in unit) == sorted(names)
    blocks = unit_members(model, names, "block")
    assert set(blocks) == {layer, f"{layer}.norms"}
    assert all(is_norm(model, name) for name in blocks[f"{layer}.norms"])
    assert not any(is_norm(model, name) for name in blocks[layer])


@pytest.mark.parametrize("granularity", ["module", "block"])
def test_a_coarse_unit_is_the_mean_over_all_its_weights(granularity):
    model, texts = build("qwen3"), documents(5)
    fine = importance_plainly(model, texts, 1)
    members = unit_members(model, None, granularity)
    units = probe_units(model, texts, granularity=granularity)
    assert [unit.name for unit in units] == list(members)
    for unit in units:
        values = torch.cat([fine[name].flatten() for name in members[unit.name]])
        assert unit.importance == pytest.approx(values.mean().item(), rel=2e-4)
        assert unit.elements == values.numel()
        assert unit.norm == unit.name.endswith(("norm", "norms"))


def test_layers_and_parameters_choose():
    model, texts = build("qwen3"), documents(5)
    everything = {unit.name: unit for unit in probe_units(model, texts)}
    chosen = probe_units(model, texts, layers=[2, 0], parameters=[n for n in everything if "proj" in n])
    assert [unit.name for unit in chosen] == [n for n, u in everything.items() if "proj" in n and u.layer in (0, 2)]
    for unit in chosen:
        assert unit.importance == pytest.approx(everything[unit.name].importance, rel=1e-6)


class Breaks(Exception):
    pass


@pytest.mark.parametrize("breaks", [False, True])
def test_nothing_of_a_training_in_progress_is_touched(breaks):
    """Gradients (the very tensors), who trains, modes, hooks, generators: also where the probe raises."""
    model, texts = build("gpt2").train(), documents(5)
    model.transformer.h[0].attn.eval()
    for index, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(index % 3 != 0)
        parameter.grad = torch.full_like(parameter, index) if index % 2 else None
    before = {
        name: (p.grad, None if p.grad is None else p.grad.clone(), p.requires_grad)
        for name, p in model.named_parameters()
    }
    modes, state = [module.training for module in model.modules()], torch.get_rng_state()

    def progress(done, total):
        if breaks and done == 2:
            raise Breaks

    with pytest.raises(Breaks) if breaks else torch.no_grad():  # and it works where the caller takes no gradients
        probe_units(model, texts, on_progress=progress)
    for name, parameter in model.named_parameters():
        grad, values, flag = before[name]
        assert parameter.grad is grad
        assert grad is None or torch.equal(grad, values)
        assert parameter.requires_grad == flag
        assert not parameter._post_accumulate_grad_hooks
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_a_frozen_model_is_measured_alike():
    texts = documents(5)
    expected = [unit.importance for unit in probe_units(build("llama"), texts)]
    frozen = build("llama").requires_grad_(False)
    frozen.train()
    assert [unit.importance for unit in probe_units(frozen, texts)] == expected


def test_no_two_gradients_live_at_once():
    model = build("llama")
    alive = []
    for _, parameter in model.named_parameters():
        parameter.register_post_accumulate_grad_hook(
            lambda _p: alive.append(sum(p.grad is not None for p in model.parameters()))
        )
    probe_units(model, documents(1))
    assert len(alive) == len(unit_members(model))
    assert max(alive) == 1


def test_half_precision_models():
    model, texts = build("llama"), documents(5)
    expected = {unit.name: unit.importance for unit in probe_units(model, texts)}
    for unit in probe_units(model.bfloat16(), texts):
        assert unit.importance == pytest.approx(expected[unit.name], rel=0.1)


@pytest.mark.parametrize(("statistic", "power"), [(weighted, 1), (squared, 2)])
def test_half_precision_is_reduced_in_float32(statistic, power):
    weight, gradient = torch.randn(2, 10_000, generator=torch.Generator().manual_seed(1)).bfloat16()
    exact = gradient.double().square() if power == 2 else (weight.double() * gradient.double()).abs()
    assert statistic(weight, gradient).item() == pytest.approx(exact.sum().item(), rel=1e-5)


def test_a_silenced_copy_has_no_importance():
    """At step 0 every unit of an expanded copy is at exactly 0 (method.md, traps)."""
    model = build("llama")
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.zero_()
        model.model.layers[1].mlp.down_proj.weight.zero_()
    assert {unit.importance for unit in probe_units(model, documents(5), layers=[1])} == {0.0}


def test_bad_choices_are_refused():
    model, texts = build("llama"), documents(5)
    with pytest.raises(InputError, match="3 is no layer of this model; expected 0 to 2"):
        probe_units(model, texts, layers=[3])
    with pytest.raises(InputError, match="did you mean 'tensor'"):
        probe_units(model, texts, granularity="tensors")
    with pytest.raises(InputError, match=r"did you mean 'model.layers.0.mlp.up_proj.weight'"):
        probe_units(model, texts, parameters=["model.layers.0.mlp.upproj.weight"])
    with pytest.raises(InputError, match="no unit"):
        probe_units(model, texts, layers=[])
