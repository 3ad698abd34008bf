"""Each method changes, trains and weighs exactly what its definition says."""

from __future__ import annotations

import pytest
import torch

from adept_bench.config.names import CORE_METHODS, METHOD_NAMES
from adept_bench.errors import InputError
from adept_bench.methods.base import prepare
from adept_bench.methods.edits import fold_adapters, linear_maps, matched_rank
from adept_bench.methods.registry import METHODS, get
from adept_bench.methods.replay import replay

TOKENS = torch.arange(24).view(2, 12)


def layers_of(names):
    return sorted({int(name.split(".")[2]) for name in names if name.startswith("model.layers.")})


def test_the_registry_has_the_contracts_names_and_each_method_its_own():
    assert tuple(METHODS) == METHOD_NAMES
    assert CORE_METHODS == ("vanilla", "full", "replay", "llama-pro", "frozen", "lora", "adept")


def test_names_of_methods_and_core_marks_agree(tiny):
    for name in METHODS:
        method = get(name, tiny.options())
        assert method.name == name
        assert method.core == (name in CORE_METHODS)
        assert method.trains == (name != "vanilla")


@pytest.mark.parametrize(("name", "said"), [("tasl", "not implemented yet"), ("adpet", "did you mean 'adept'")])
def test_a_reserved_or_misspelt_method_is_refused_in_one_line(tiny, name, said):
    with pytest.raises(InputError, match=said):
        get(name, tiny.options())


# name -> (copies in the expanded model, layers that train); the given importances are lowest in layers 2 and 3
EXPECTED = {
    "vanilla": (None, []),
    "full": (None, [0, 1, 2, 3]),
    "replay": (None, [0, 1, 2, 3]),
    "llama-pro": ((2, 5), [2, 5]),
    "frozen": (None, [2, 3]),
    "adept": ((3, 5), [3, 5]),
    "adept-no-stage1": (None, [2, 3]),
    "adept-no-stage2": ((3, 5), [3, 5]),
    "adept-uniform-expansion": ((2, 5), [2, 5]),
    "adept-as-released": ((3, 5), [3, 5]),
    "adept-as-released-deepspeed": ((3, 5), [3, 5]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_copied_and_what_trains(tiny, name):
    options = tiny.options(k=2)
    model, documents = tiny.model(), tiny.documents()
    context = tiny.context(model, options, documents)
    with torch.no_grad():
        before = model(TOKENS).logits
    edit, names = prepare(get(name, options), model, context)
    copies, trained = EXPECTED[name]
    assert (edit.expansion.copies if edit.expansion else None) == copies
    assert layers_of(names) == trained
    assert [n for n, p in edit.model.named_parameters() if p.requires_grad] == names
    everything = name in ("full", "replay")
    assert ("model.embed_tokens.weight" in names) == everything
    in_layers = [n for n, _ in edit.model.named_parameters() if layers_of([n]) and layers_of([n])[0] in trained]
    assert set(in_layers) <= set(names)
    with torch.no_grad():
        torch.testing.assert_close(edit.model(TOKENS).logits, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({"select": "uniform"}, [1, 3]),
        ({"select": "last"}, [2, 3]),
        ({"select": "first"}, [0, 1]),
        ({"select": "highest"}, [0, 1]),
        ({"select": "domain-importance"}, [0, 3]),
        ({"layers": [3, 0, 1]}, [0, 1, 3]),
        ({"layers": [1], "select": "last"}, [1]),
    ],
)
def test_the_options_override_the_choice_of_layers(tiny, changes, layers):
    options = tiny.options(k=2, **changes)
    model = tiny.model()
    edit, _ = prepare(get("adept", options), model, tiny.context(model, options, tiny.documents()))
    assert edit.sources == layers


@pytest.mark.parametrize("changes", [{"select": "first"}, {"layers": [0]}])
@pytest.mark.parametrize("name", EXPECTED)
def test_what_defines_a_method_is_not_an_option(tiny, name, changes):
    """`select` and `layers` choose for ADEPT and those of its variants that take its layers; for no other method."""
    options = tiny.options(k=2, **changes)
    model = tiny.model()
    edit, names = prepare(get(name, options), model, tiny.context(model, options, tiny.documents()))
    chosen = ([0], [0, 1])["select" in changes]
    if name in ("adept", "adept-no-stage2", "adept-as-released", "adept-as-released-deepspeed"):
        assert edit.sources == chosen
    elif name == "adept-no-stage1":
        assert layers_of(names) == chosen
    else:
        assert ((edit.expansion.copies if edit.expansion else None), layers_of(names)) == EXPECTED[name]


def test_lora_matches_the_layers_that_are_listed(tiny):
    options = tiny.options(k=1, layers=[0, 2, 3])
    model = tiny.model()
    edit, _ = prepare(get("lora", options), model, tiny.context(model, options, tiny.documents()))
    assert edit.description["rank"] == matched_rank(tiny.model(), 3) != matched_rank(tiny.model(), 1)


def test_random_layers_follow_the_seed(tiny):
    options = tiny.options(k=2, select="random")
    chosen = []
    for seed in range(8):
        model = tiny.model()
        context = tiny.context(model, options, tiny.documents(), seed=seed)
        chosen.append(tuple(prepare(get("adept", options), model, context)[0].sources))
    assert len(set(chosen)) > 1


@pytest.mark.parametrize(("which", "layers"), [("last", [2, 3]), ("first", [0, 1]), ("least-important", [2, 3])])
def test_frozen_trains_the_layers_asked_for(tiny, which, layers):
    options = tiny.options(k=2, frozen_which=which)
    model = tiny.model()
    context = tiny.context(model, options, tiny.documents())
    context.profile["general"] = [5.0, 3.0, 0.1, 0.2]
    assert layers_of(prepare(get("frozen", options), model, context)[1]) == layers


def test_a_layer_that_does_not_exist_names_the_option(tiny):
    options = tiny.options(layers=[1, 9])
    model = tiny.model()
    with pytest.raises(InputError, match=r"options\.layers: 9"):
        prepare(get("adept", options), model, tiny.context(model, options, tiny.documents()))


def test_copied_parameters_know_their_source(tiny):
    options = tiny.options(k=2)
    model = tiny.model()
    base = {name: parameter.clone() for name, parameter in model.named_parameters()}
    edit, names = prepare(get("llama-pro", options), model, tiny.context(model, options, tiny.documents()))
    live = dict(edit.model.named_parameters())
    assert len(names) == 2 * 11
    for name in live:
        same = torch.equal(live[name], base[edit.name_of_source(name)])
        silenced = name in names and ("o_proj" in name or "down_proj" in name)
        assert same != silenced, name


def test_replay_share_is_the_options_and_must_be_one(tiny):
    assert replay(tiny.options(replay_share=0.35)).mix.replay_share == 0.35
    assert get("full", tiny.options(replay_share=0.35)).mix.replay_share == 0.0
    with pytest.raises(InputError, match="replay_share"):
        replay(tiny.options(replay_share=0.0))


def test_lora_matches_the_parameters_of_k_layers_and_starts_as_the_base(tiny):
    options = tiny.options(k=2)
    model = tiny.model()
    a_layer = sum(p.numel() for p in model.model.layers[0].parameters())
    in_plus_out = sum(
        m.in_features + m.out_features
        for layer in model.model.layers
        for m in layer.modules()
        if isinstance(m, torch.nn.Linear)
    )
    assert len(linear_maps(model)) == 4 * 7
    rank = matched_rank(model, 2)
    assert abs(rank * in_plus_out - 2 * a_layer) <= in_plus_out / 2
    with torch.no_grad():
        before = model(TOKENS).logits
    context = tiny.context(model, options, tiny.documents())
    edit, names = prepare(get("lora", options), model, context)
    assert edit.description["rank"] == rank
    assert edit.description["alpha"] == 2 * rank
    assert sum(p.numel() for n, p in model.named_parameters() if n in set(names)) == rank * in_plus_out
    assert all(".lora_" in name for name in names)
    with torch.no_grad():
        assert torch.equal(edit.model(TOKENS).logits, before)
    assert edit.name_of_source(names[0]) == "model.layers.0.self_attn.q_proj.weight"


def test_lora_initialisation_follows_the_seed_and_leaves_the_generator_alone(tiny):
    options = tiny.options(k=2, lora_rank=3, lora_alpha=5)
    weights = []
    for seed in (0, 0, 1):
        model = tiny.model()
        context = tiny.context(model, options, tiny.documents(), seed=seed)
        torch.manual_seed(77)
        edit, names = prepare(get("lora", options), model, context)
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(77)))
        assert (edit.description["rank"], edit.description["alpha"]) == (3, 5)
        weights.append(dict(edit.model.named_parameters())[names[0]].detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_folded_adapters_compute_the_same_in_a_plain_model(tiny):
    options = tiny.options(k=2)
    model = tiny.model()
    plain = [name for name, _ in model.named_parameters()]
    edit, names = prepare(get("lora", options), model, tiny.context(model, options, tiny.documents()))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in edit.model.named_parameters():
            if name in names:
                parameter.normal_(std=0.1)
        adapted = edit.model(TOKENS).logits
        folded = fold_adapters(edit.model)
        assert [name for name, _ in folded.named_parameters()] == plain
        torch.testing.assert_close(folded(TOKENS).logits, adapted, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(adapted, tiny.model()(TOKENS).logits, atol=1e-2)
