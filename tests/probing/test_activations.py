"""Mean outputs against the model's own hidden states one document at a time; densities against scipy."""

from __future__ import annotations

import copy
import weakref

import numpy as np
import pytest
import torch
from builders import PLAIN, ROTARY, documents, scattered
from scipy.integrate import trapezoid
from scipy.stats import gaussian_kde, norm

from adept_bench.errors import InputError
from adept_bench.models.expansion import expand
from adept_bench.probing.activations import densities, mean_activations, overlap
from adept_bench.probing.loss import NotFiniteError

LAYERS = 4
FAMILIES = {
    "qwen3": ({**ROTARY, "head_dim": 8, "tie_word_embeddings": True}, "model.norm"),
    "llama": (ROTARY, "model.norm"),
    "gemma2": ({**ROTARY, "head_dim": 8, "sliding_window": 4}, "model.norm"),
    "gpt2": ({**PLAIN, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}, "transformer.ln_f"),
    "opt": ({**PLAIN, "ffn_dim": 24, "max_position_embeddings": 32}, "model.decoder.final_layer_norm"),
    "bloom": ({**PLAIN, "pad_token_id": 3}, "transformer.ln_f"),
}


def build(family):
    return scattered(family, num_hidden_layers=LAYERS, **FAMILIES[family][0])


@torch.no_grad()
def plainly(model, norm_name, texts):
    """[layers, hidden]: the model's own hidden states; of the last layer, what the final norm is given."""
    last = []
    handle = model.get_submodule(norm_name).register_forward_pre_hook(lambda _module, args: last.append(args[0]))
    every = []
    for text in texts:
        states = model(input_ids=torch.tensor([text]), output_hidden_states=True, use_cache=False).hidden_states
        assert len(states) == LAYERS + 1
        every.append(torch.stack([*(state[0] for state in states[1:-1]), last.pop()[0]], dim=1).double())
    handle.remove()
    return torch.cat(every).mean(dim=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_means_are_those_of_each_document_alone(family, batch_size):
    model, texts = build(family), documents()
    expected = plainly(model, FAMILIES[family][1], texts)
    found = mean_activations(model, [2, 0, LAYERS - 1], texts, batch_size=batch_size)
    assert list(found) == [2, 0, LAYERS - 1]
    for layer, mean in found.items():
        assert mean.shape == (16,)
        assert torch.allclose(mean, expected[layer], atol=2e-5, rtol=1e-5), layer


def test_batches_do_not_show():
    model, texts = build("qwen3"), documents(9)
    one, all_ = (mean_activations(model, [1], texts, batch_size=size)[1] for size in (1, 9))
    assert torch.allclose(one, all_, atol=1e-6, rtol=1e-6)


def test_half_precision_is_summed_in_double():
    model, texts = build("llama").bfloat16(), documents()
    found = mean_activations(model, [1], texts, batch_size=1)[1]
    assert found.dtype == torch.float64
    # alone, a document's states are the same to the last bit
    assert torch.allclose(found, plainly(model, "model.norm", texts)[1], atol=1e-12, rtol=1e-12)


def test_an_untrained_copy_gives_what_its_source_gives():
    base, texts = build("qwen3"), documents()
    before = mean_activations(base, [1, 3], texts, batch_size=3)
    grown = copy.deepcopy(base)
    plan = expand(grown, [1, 3])
    after = mean_activations(grown, plan.copies, texts, batch_size=3)
    assert [torch.equal(before[source], after[place]) for source, place in zip(plan.sources, plan.copies)] == [True] * 2


def test_what_follows_the_layers_is_not_run(monkeypatch):
    model = build("llama")

    def refuse(*_args, **_kwargs):
        raise AssertionError("run")

    monkeypatch.setattr(model.lm_head, "forward", refuse)
    monkeypatch.setattr(model.model.layers[3], "forward", refuse)
    assert set(mean_activations(model, [2, 1], documents(), batch_size=2)) == {1, 2}


def test_the_model_is_left_as_it_was():
    model = build("gpt2").train()
    state = torch.get_rng_state()
    mean_activations(model, [0, 1], documents(), batch_size=2)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.bias.fill_(torch.nan)
    with pytest.raises(NotFiniteError, match="layer 1"):
        mean_activations(model, [1], documents(), batch_size=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training and not module._forward_hooks for module in model.modules())
    held = weakref.ref(model)
    del model
    assert held() is None


def test_bad_layers_and_documents_are_named():
    model = build("llama")
    with pytest.raises(InputError, match="layers: 4 is no layer of this model; expected 0 to 3"):
        mean_activations(model, [0, 4], documents(), batch_size=2)
    with pytest.raises(InputError, match="document 1 has 1 tokens"):
        mean_activations(model, [0], [[1, 2], [3]], batch_size=2)
    assert mean_activations(model, [], documents(), batch_size=2) == {}


def area(density, low, high):
    return trapezoid(density, np.linspace(low, high, len(density)))


def test_without_outliers_the_density_is_scipys():
    """Of even numbers the standard deviation is the lesser scale, so that Scott's rule is scipy's default."""
    values = {"a": np.linspace(-1, 3, 200), "b": np.linspace(0, 1, 90)}
    low, high, found = densities(values)
    grid = np.linspace(low, high, 101)
    for name, data in values.items():
        assert found[name] == pytest.approx(gaussian_kde(data)(grid).tolist(), abs=1e-12)
        assert area(found[name], low, high) == pytest.approx(1, abs=2e-3)
    assert low < -1
    assert high > 3


def test_a_few_enormous_dimensions_do_not_hide_the_rest():
    draw = np.random.default_rng(0)
    plain = draw.normal(0.1, 0.5, 1000)
    massive = np.concatenate([plain, [900.0, -4000.0]])
    low, high, found = densities({"plain": plain, "massive": massive})
    assert -3 < low < high < 3
    quartiles = np.percentile(massive, (25, 75))
    width = (quartiles[1] - quartiles[0]) / 1.349 * 1002**-0.2
    grid = np.linspace(low, high, 101)
    expected = gaussian_kde(massive, bw_method=width / massive.std(ddof=1))(grid)
    assert found["massive"] == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-9)
    assert area(found["massive"], low, high) == pytest.approx(1000 / 1002, abs=5e-4)
    assert area(found["plain"], low, high) == pytest.approx(1, abs=5e-4)
    assert overlap(found["plain"], found["massive"], low, high) > 0.99


@pytest.mark.parametrize("size", [1, 2, 3, 96])
def test_inputs_much_narrower_than_the_grid_and_constants_keep_their_area(size):
    draw = np.random.default_rng(1)
    values = {"wide": draw.normal(0, 5, 96), "narrow": draw.normal(2, 1e-4, size), "constant": [-1.0] * size}
    low, high, found = densities(values)
    for name, density in found.items():
        assert area(density, low, high) == pytest.approx(1, abs=0.01), name
    assert overlap(found["narrow"], found["constant"], low, high) < 0.01


@pytest.mark.parametrize("value", [0.0, 5.0, -3e-5])
def test_equal_values_everywhere(value):
    low, high, found = densities({"a": [value] * 8, "b": [value]})
    assert low < value < high
    assert area(found["a"], low, high) == pytest.approx(1, abs=1e-6)
    assert overlap(found["a"], found["b"], low, high) == pytest.approx(1)


def test_half_equal_values_are_not_taken_for_the_range():
    low, high, found = densities({"a": [0.0] * 60 + [1.0, 2.0, -2.0]})
    assert low < -2
    assert high > 2
    assert area(found["a"], low, high) == pytest.approx(1, abs=0.01)


def test_overlap_of_two_normals_is_the_known_one():
    grid = np.linspace(-8, 9, 400)
    a, b = norm(0, 1).pdf(grid), norm(1, 1).pdf(grid)
    assert overlap(a, b, -8, 9) == pytest.approx(2 * norm.cdf(-0.5), abs=1e-3)
    assert overlap(a, 7 * b, -8, 9) == pytest.approx(2 * norm.cdf(-0.5), abs=1e-3)  # scaled to area 1 first
    assert overlap(a, a, -8, 9) == pytest.approx(1)
    assert overlap(a, a, -8, 9) <= 1
    assert overlap(norm(-5, 0.3).pdf(grid), norm(5, 0.3).pdf(grid), -8, 9) < 1e-6
    assert overlap(a, 0 * a, -8, 9) == 0


def test_bad_values_are_named():
    with pytest.raises(InputError, match="densities: b: 2 values"):
        densities({"a": [1.0], "b": [1.0, float("inf")]})
    with pytest.raises(InputError, match="densities: no values"):
        densities({})
    with pytest.raises(InputError, match="points: 5"):
        densities({"a": [1.0]}, points=5)
    with pytest.raises(InputError, match="at 2 and 3 points"):
        overlap([1, 1], [1, 1, 1], 0, 1)
    with pytest.raises(InputError, match="low below high"):
        overlap([1, 1], [1, 1], 1, 1)
