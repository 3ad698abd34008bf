"""Padding that counts, against the released code's way of measuring, written out on whole padded batches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from builders import ROTARY, documents, scattered

from adept_bench.errors import InputError
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.padding import as_released
from adept_bench.probing.units import probe_units

FAMILIES = {"qwen3": {**ROTARY, "head_dim": 8}, "llama": ROTARY}
PAD, END, LENGTH = 7, 9, 28
TOKENIZER = SimpleNamespace(pad_token_id=PAD, eos_token_id=END)
TEXTS = documents(7)  # of 2 to 23 tokens, in no order of length


def build(family):
    return scattered(family, num_hidden_layers=4, **FAMILIES[family])


def losses(model, length, token, texts=TEXTS):
    """Each text's loss as transformers computes it from labels that are the padded ids, texts one by one."""
    for text in texts:
        ids = torch.tensor([text + [token] * (length - len(text))])
        attended = torch.tensor([[1] * len(text) + [0] * (length - len(text))])
        yield model(input_ids=ids, attention_mask=attended, labels=ids).loss


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_masking_with_padding_counted(family, batch_size, monkeypatch):
    """The end-of-text token up to the maximum length; a layer is taken out by zeroing its parameters."""
    monkeypatch.setattr("adept_bench.probing.layers.plain_masked_losses", None)  # prefixes are shared here too
    model = build(family)
    expected = []
    with torch.no_grad():
        base = mean(losses(model, LENGTH, END)).item()
        for layer in model.model.layers:
            kept = [parameter.clone() for parameter in layer.parameters()]
            [parameter.zero_() for parameter in layer.parameters()]
            expected.append(mean(losses(model, LENGTH, END)).item() - base)
            [parameter.copy_(old) for parameter, old in zip(layer.parameters(), kept)]
    found = probe_layers(model, as_released(TEXTS, "layers", TOKENIZER, LENGTH), batch_size=batch_size)
    assert found.base_loss == pytest.approx(base, abs=5e-6)
    assert found.importance == pytest.approx(expected, abs=1e-5)
    ignored = probe_layers(model, TEXTS, batch_size=batch_size)
    assert abs(ignored.base_loss - base) > 0.01
    assert max(abs(a - b) for a, b in zip(ignored.importance, expected)) > 0.01


def importance(model, length, token, texts, batch_size):
    """Per parameter: |w| times the mean over batches of |dL/dw|, element by element."""
    starts = range(0, len(texts), batch_size)
    sums: dict[str, torch.Tensor] = {}
    for start in starts:
        loss = mean(losses(model, length, token, texts[start : start + batch_size]))
        for (name, _), grad in zip(model.named_parameters(), torch.autograd.grad(loss, list(model.parameters()))):
            sums[name] = sums.get(name, 0) + grad.abs().double()
    return {name: p.detach().double().abs() * sums[name] / len(starts) for name, p in model.named_parameters()}


def test_gradient_metrics_with_padding_counted():
    model = build("qwen3")
    expected = importance(model, LENGTH, END, TEXTS, 3)
    padded = as_released(TEXTS, "layers", TOKENIZER, LENGTH)
    found = probe_layers(model, padded, metric="gradient", batch_size=3).importance
    by_layer = [sum(v.sum().item() for n, v in expected.items() if f"layers.{i}." in n) for i in range(4)]
    assert found == pytest.approx(by_layer, rel=2e-4)


def test_units_with_padding_counted():
    """The tokenizer's padding token, up to the longest of all texts."""
    model = build("qwen3")
    expected = importance(model, max(map(len, TEXTS)), PAD, TEXTS, 2)
    found = probe_units(model, as_released(TEXTS, "units", TOKENIZER, LENGTH), batch_size=2)
    for unit in found:
        assert unit.importance == pytest.approx(expected[unit.name].mean().item(), rel=2e-4, abs=1e-9)
    ignored = {unit.name: unit.importance for unit in probe_units(model, TEXTS, batch_size=2)}
    assert any(abs(unit.importance / ignored[unit.name] - 1) > 0.1 for unit in found)


def test_which_token_pads_and_how_far():
    longest = max(map(len, TEXTS))
    for kind, length, token in (("layers", LENGTH, END), ("units", longest, PAD)):
        padded = as_released(TEXTS, kind, TOKENIZER, LENGTH)
        assert [list(document) for document in padded] == [t + [token] * (length - len(t)) for t in TEXTS]
    without = SimpleNamespace(pad_token_id=None, eos_token_id=END)
    assert as_released([[1, 2], [3, 4, 5]], "units", without, LENGTH)[0] == [1, 2, END]
    with pytest.raises(InputError, match="no end-of-text token"):
        as_released(TEXTS, "layers", SimpleNamespace(pad_token_id=PAD, eos_token_id=None), LENGTH)
