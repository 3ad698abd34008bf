"""Layer importance against whole passes over a model whose layer has been taken out, document by document."""

from __future__ import annotations

import copy
import weakref

import pytest
import torch
from builders import PLAIN, ROTARY, documents, scattered
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.models.llama.modeling_llama import LlamaModel

from adept_bench.errors import InputError
from adept_bench.probing.layers import LayerImportance, probe_layers
from adept_bench.probing.loss import make_batch
from adept_bench.probing.prefix import SharedForward
from adept_bench.progress import Silent

LAYERS = 5
FAMILIES = {
    "qwen3": ({**ROTARY, "head_dim": 8, "tie_word_embeddings": True}, "model.layers"),
    "llama": (ROTARY, "model.layers"),
    "gemma2": ({**ROTARY, "head_dim": 8, "sliding_window": 4, "final_logit_softcapping": 3.0}, "model.layers"),
    "gpt2": ({**PLAIN, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}, "transformer.h"),
    "opt": (
        {**PLAIN, "ffn_dim": 24, "max_position_embeddings": 32, "word_embed_proj_dim": 8},
        "model.decoder.layers",
    ),
    "bloom": ({**PLAIN, "pad_token_id": 3}, "transformer.h"),
    "phi3": ({**ROTARY, "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1}, "model.layers"),
}


def build(family, attention=None):
    return scattered(family, attention=attention, num_hidden_layers=LAYERS, **FAMILIES[family][0])


class Skip(nn.Module):
    """A layer that is not there."""

    def __init__(self, as_tuple):
        super().__init__()
        self.as_tuple = as_tuple

    def forward(self, hidden_states, *args, **kwargs):
        return (hidden_states, None) if self.as_tuple else hidden_states


@torch.no_grad()
def loss_plainly(model, texts):
    total = 0.0
    for text in texts:
        logp = model(input_ids=torch.tensor([text]), use_cache=False).logits[0, :-1].double().log_softmax(-1)
        total -= logp.gather(1, torch.tensor(text)[1:, None]).mean().item()
    return total / len(texts)


def masked_plainly(model, path, texts, as_tuple=False):
    base = loss_plainly(model, texts)
    importance = []
    for layer in range(LAYERS):
        other = copy.deepcopy(model)
        other.get_submodule(path)[layer] = Skip(as_tuple)
        importance.append(loss_plainly(other, texts) - base)
    return base, importance


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_masking_equals_taking_the_layer_out(family, batch_size):
    model, texts = build(family), documents()
    base, importance = masked_plainly(model, FAMILIES[family][1], texts, as_tuple=family == "bloom")
    result = probe_layers(model, texts, batch_size=batch_size)
    assert result.base_loss == pytest.approx(base, abs=3e-6)
    assert result.importance == pytest.approx(importance, abs=5e-6)
    assert max(map(abs, importance)) > 0.01  # there is something to see


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_here_shares_its_prefixes(family, monkeypatch):
    """Whole passes are right too, so the tests of values would not notice."""
    model = build(family)
    monkeypatch.setattr("adept_bench.probing.layers.plain_masked_losses", None)
    probe_layers(model, documents(), batch_size=3)


def test_eager_attention_too():
    model, texts = build("gemma2", "eager"), documents()
    _, importance = masked_plainly(model, "model.layers", texts)
    assert probe_layers(model, texts, batch_size=3).importance == pytest.approx(importance, abs=5e-6)


def count_rows(model, path):
    rows = [0] * LAYERS

    def counting(layer):
        def hook(_module, args, kwargs, _output):
            rows[layer] += len(args[0] if args else kwargs["hidden_states"])

        return hook

    # inside the layer, where only real runs of it are seen
    for index, layer in enumerate(model.get_submodule(path)):
        layer.self_attn.register_forward_hook(counting(index), with_kwargs=True)
    return rows


@pytest.mark.parametrize("tokens_at_once", [0, 60, 10_000])
def test_each_prefix_runs_once_whatever_travels_together(tokens_at_once):
    """Layer l runs for the prefix and for the variants that masked one below it: l + 1 times, not L + 1."""
    model = build("qwen3")
    batch = make_batch(documents(3), torch.device("cpu"))
    shared = SharedForward(model, model.model.layers, tokens_at_once=tokens_at_once)
    with torch.no_grad():
        assert shared.works(batch)
        rows = count_rows(model, "model.layers")
        shared.masked_losses(batch)
    assert rows == [3 * (layer + 1) for layer in range(LAYERS)]


def test_how_many_travel_together_does_not_show():
    model = build("llama")
    batch = make_batch(documents(4), torch.device("cpu"))
    with torch.no_grad():
        results = [
            SharedForward(model, model.model.layers, tokens_at_once=tokens).masked_losses(batch)
            for tokens in (0, 200, 10_000)
        ]
    assert torch.allclose(results[0], results[1], atol=1e-5, rtol=0)
    assert torch.allclose(results[0], results[2], atol=1e-5, rtol=0)


def forward_with_more(self, input_ids, **_):
    """Llama's forward, which also adds to the hidden states after each layer."""
    embeds = hidden = self.embed_tokens(input_ids)
    positions = self.rotary_emb(hidden, torch.arange(hidden.shape[1])[None])
    for layer in self.layers:
        hidden = layer(hidden, position_embeddings=positions, attention_mask=None) + 0.3 * embeds.tanh()
    return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden))


def test_a_forward_that_does_more_between_its_layers_is_measured_by_whole_passes(monkeypatch):
    """By hand its layers run and give wrong values; only the comparison with whole passes shows it."""
    monkeypatch.setattr(LlamaModel, "forward", forward_with_more)
    model, texts = build("llama"), documents(5)
    lines = []
    monkeypatch.setattr("adept_bench.progress._current", Silent())  # whatever an earlier command chose
    monkeypatch.setattr("adept_bench.progress.Silent.log", lambda self, line: lines.append(line))
    result = probe_layers(model, texts, batch_size=2)
    assert "whole passes" in lines[0]
    base, importance = masked_plainly(model, "model.layers", texts)
    assert result.base_loss == pytest.approx(base, abs=3e-6)
    assert result.importance == pytest.approx(importance, abs=5e-6)


def test_the_model_is_left_as_it_was():
    model = build("gpt2").train()
    state, keys = torch.get_rng_state(), [set(vars(layer)) for layer in model.transformer.h]
    digest = {name: value.clone() for name, value in model.state_dict().items()}
    probe_layers(model, documents())
    assert torch.equal(torch.get_rng_state(), state)
    assert [set(vars(layer)) for layer in model.transformer.h] == keys
    assert all(module.training for module in model.modules())
    assert all(torch.equal(digest[name], value) for name, value in model.state_dict().items())
    held = weakref.ref(model)
    del model
    assert held() is None  # nothing of the probe keeps the model alive


def test_half_precision():
    model, texts = build("qwen3").bfloat16(), documents()
    _, importance = masked_plainly(model, "model.layers", texts)
    assert probe_layers(model, texts, batch_size=3).importance == pytest.approx(importance, abs=0.1)


def test_progress_counts_layers_of_all_batches():
    seen = []
    probe_layers(build("qwen3"), documents(7), batch_size=3, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3 * LAYERS, 3 * LAYERS)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def gradients_plainly(model, texts, batch_size):
    """For each batch, dL/dw by parameter, L the mean over its documents of the document's mean cross entropy."""
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        model.zero_grad()
        for text in batch:
            ids = torch.tensor([text])
            (model(input_ids=ids, labels=ids, use_cache=False).loss / len(batch)).backward()
        yield {name: parameter.grad.double() for name, parameter in model.named_parameters()}
    model.zero_grad()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_gradient_rank_and_fisher(batch_size):
    model, texts = build("llama"), documents()
    grads = list(gradients_plainly(model, texts, batch_size))
    weights = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    modules = sorted({name.split(".", 3)[3] for name in weights if name.startswith("model.layers.")})
    weighted, fisher = torch.zeros(LAYERS, len(modules)), torch.zeros(LAYERS, len(modules))
    for layer in range(LAYERS):
        for column, module in enumerate(modules):
            name = f"model.layers.{layer}.{module}"
            stacked = torch.stack([grad[name] for grad in grads])
            weighted[layer, column] = (weights[name].abs() * stacked.abs().mean(0)).sum()
            fisher[layer, column] = stacked.square().mean(0).sum()
    expected = {
        "gradient": weighted.sum(1).tolist(),
        "fisher": fisher.sum(1).tolist(),
        "rank": (weighted.argsort(0).argsort(0) + 1).double().mean(1).tolist(),
    }
    for metric, values in expected.items():
        result = probe_layers(model, texts, metric=metric, batch_size=batch_size)
        assert result.metric == metric
        assert result.importance == pytest.approx(values, rel=1e-4), metric
        assert result.base_loss == pytest.approx(loss_plainly(model, texts), abs=3e-6)


def test_lowest_first_and_the_earlier_of_equals():
    result = LayerImportance("masking", 1.0, [0.3, -0.1, 0.3, 0.2])
    assert result.lowest() == [1, 3, 0, 2]
    assert result.lowest(2) == [1, 3]
    with pytest.raises(InputError, match="5 layers of 4"):
        result.lowest(5)


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'masking'"):
        probe_layers(build("qwen3"), documents(), metric="maskin")
