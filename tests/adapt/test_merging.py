"""Merging: copies averaged where models share layers, beside each other where they do not, the base untouched."""

import json

import pytest
import torch
from builders import SMALL, from_sizes

from adept_bench.adapt.merged import merge_checkpoints
from adept_bench.errors import InputError
from adept_bench.models import merging
from adept_bench.models.expansion import expand
from adept_bench.models.merging import check_weights, merge

LAYERS = 4


def _base():
    return from_sizes("llama", **(SMALL | {"vocab_size": 50, "num_hidden_layers": LAYERS}), tie_word_embeddings=True)


def _adapted(folder, layers, seed, base_hash="same"):
    """The base with copies of `layers`, whose weights are then drawn anew, as training would leave them."""
    model = _base()
    plan = expand(model, layers)
    torch.manual_seed(seed)
    with torch.no_grad():
        for index in plan.copies:
            for parameter in model.model.layers[index].parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    record = {"base_hash": base_hash, "base_layers": LAYERS, "layers": list(plan.sources), "copies": list(plan.copies)}
    (folder / "expansion.json").write_text(json.dumps(record), encoding="utf-8")
    return model


def _state(layer):
    return {name: value.clone() for name, value in layer.state_dict().items()}


def test_shared_copies_are_averaged_and_others_stand_beside_them(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    first, second = _adapted(a, [1, 3], 1), _adapted(b, [0, 1], 2)
    merged, plan = merge([a, b], [1, 3])
    assert plan.sources == (0, 1, 3)
    # by hand: 0, copy of 0 (b), 1, copy of 1 (both), 2, 3, copy of 3 (a)
    layers, base = merged.model.layers, _base().model.layers
    assert len(layers) == 7
    assert merged.config.num_hidden_layers == 7
    originals = [layers[i] for i in (0, 2, 4, 5)]
    for layer, expected in zip(originals, base, strict=True):
        assert all(torch.equal(value, expected.state_dict()[name]) for name, value in layer.state_dict().items())
    assert all(torch.equal(v, second.model.layers[1].state_dict()[n]) for n, v in layers[1].state_dict().items())
    assert all(torch.equal(v, first.model.layers[5].state_dict()[n]) for n, v in layers[6].state_dict().items())
    mine, other = _state(first.model.layers[2]), _state(second.model.layers[3])
    for name, value in layers[3].state_dict().items():
        torch.testing.assert_close(value, 0.25 * mine[name] + 0.75 * other[name])


def test_weight_one_on_a_model_of_all_layers_gives_that_model(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    first = _adapted(a, [1, 2], 1)
    _adapted(b, [1, 2], 2)
    merged, _ = merge([a, b], [1, 0])
    tokens = torch.arange(12).view(1, 12)
    torch.testing.assert_close(merged(tokens).logits, first(tokens).logits)


def test_a_merge_loads_in_plain_transformers(tmp_path):
    from transformers import AutoModelForCausalLM

    a, b = tmp_path / "a", tmp_path / "b"
    _adapted(a, [1], 1)
    _adapted(b, [2], 2)
    merged, _ = merge([a, b])
    merged.save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    tokens = torch.arange(12).view(1, 12)
    torch.testing.assert_close(again(tokens).logits, merged(tokens).logits)


def test_models_without_copies_are_averaged(tmp_path):
    models = []
    for name, seed in (("a", 1), ("b", 2)):
        model = _base()
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model.save_pretrained(tmp_path / name)
        record = {"model": {"hash": "same"}, "trained": {"base_layers": LAYERS}}
        (tmp_path / name / "adaptation.json").write_text(json.dumps(record), encoding="utf-8")
        models.append(model)
    merged, plan = merge([tmp_path / "a", tmp_path / "b"], [0.25, 0.75])
    assert plan is None
    for name, value in merged.named_parameters():
        mine, other = (dict(model.named_parameters())[name] for model in models)
        torch.testing.assert_close(value, 0.25 * mine + 0.75 * other)


def test_what_does_not_fit_is_refused(tmp_path):
    a, b, c, d = (tmp_path / name for name in "abcd")
    _adapted(a, [1], 1)
    _adapted(b, [1], 2, base_hash="another")
    changed = _adapted(c, [1], 3)
    with torch.no_grad():
        changed.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    changed.save_pretrained(c)
    d.mkdir()
    cases = [([a], "at least two"), ([a, b], "different bases"), ([a, c], "differ in parameters"), ([a, d], "neither")]
    for folders, expected in cases:
        with pytest.raises(InputError, match=expected):
            merge(folders)
    with pytest.raises(InputError, match="no folder"):
        merge([a, tmp_path / "none"])


def test_frozen_weights_that_differ_are_said_before_a_model_is_loaded(tmp_path, monkeypatch):
    """By the files, whatever each model copied, and of the tensor that differs."""
    folders = [tmp_path / name for name in "abc"]
    for seed, (folder, layers) in enumerate(zip(folders, ([1], [0, 3], [1]), strict=True)):
        model = _adapted(folder, layers, seed)
    with torch.no_grad():  # layer 3 of the base is layer 4 beside a copy of layer 1
        model.model.layers[4].mlp.up_proj.weight[0, 0] += 1
    model.save_pretrained(folders[2])
    monkeypatch.setattr(merging, "load_model", lambda *_, **__: pytest.fail("loaded"))
    merging.check_frozen(merging.comparable(folders[:2], None))
    with pytest.raises(InputError, match=r"/a and .*/c differ in .*model\.layers\.3\.mlp\.up_proj\.weight"):
        merge_checkpoints([str(folder) for folder in folders], tmp_path / "o")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [float("inf"), 1], [float("nan"), 1]])
def test_weights_are_checked(weights):
    with pytest.raises(InputError, match="--weights"):
        check_weights(weights, 2)
    assert check_weights([2, 6], 2) == [0.25, 0.75]
    assert check_weights(None, 4) == [0.25] * 4
