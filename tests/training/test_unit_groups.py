"""One optimizer group a unit, first rates from the source layers, rates in a notebook's own loop."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer

from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.probing.loss import NotFiniteError
from adept_bench.probing.units import UnitImportance, probe_units
from adept_bench.training.units import BoundRates, RateController, Unit, pool, units_of


def made(tiny, name="adept", **changes):
    options = tiny.options(k=2, refresh_every=3, **changes)
    model, documents = tiny.model(), tiny.documents()
    context = tiny.context(model, options, documents)
    method = get(name, options)
    edit, names = prepare(method, model, context)
    rates = method.rates.bind(edit, context, names, {"general": documents, "domain": documents})
    return edit, names, context, rates, documents


def optimised(controller):
    optimizer = torch.optim.AdamW(controller.groups())
    return optimizer, LambdaLR(optimizer, lambda step: 0.5)


@pytest.mark.parametrize(("granularity", "units"), [("tensor", 22), ("module", 12), ("block", 4)])
def test_every_unit_is_a_group_and_every_trainable_parameter_is_in_one(tiny, granularity, units):
    edit, names, _, rates, _ = made(tiny, granularity=granularity)
    groups = RateController(edit.model, rates, 1e-3, weight_decay=0.1).groups()
    assert len(rates.units) == len(groups) == units
    assert sorted(name for group in groups for name in group["names"]) == sorted(names)
    live = dict(edit.model.named_parameters())
    for group in groups:
        assert [live[name] for name in group["names"]] == group["params"]
        assert group["weight_decay"] == (0.0 if "norm" in group["names"][0] else 0.1)


def test_biases_do_not_decay_and_share_their_units_rate(tiny):
    model = tiny.model(attention_bias=True)
    names = [name for name, _ in model.named_parameters() if ".layers.1." in name]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    rates = BoundRates(units_of(model, names, "block"))
    groups = RateController(model, rates, 1.0, weight_decay=0.1).groups()
    assert [(g["unit"], g["weight_decay"]) for g in groups] == [(0, 0.1), (0, 0.0), (1, 0.0)]
    assert all(name.endswith("bias") for name in groups[1]["names"])
    assert len(groups[1]["names"]) == 4


def test_one_rate_has_the_stock_two_groups(tiny):
    model = tiny.model()
    groups = RateController(model, None, 0.5, weight_decay=0.1).groups()
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all("norm" in name for name in groups[1]["names"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_units_that_miss_a_trainable_parameter_are_refused(tiny):
    edit, _, _, rates, _ = made(tiny)
    with pytest.raises(ValueError, match="units and trainable parameters differ"):
        RateController(edit.model, BoundRates(rates.units[1:]), 1.0).groups()


def test_first_rates_come_from_the_source_layers_on_the_base(tiny):
    """Min-max by hand over the base's importances of layers 2 and 3; the copies' own importances are all zero."""
    edit, _, context, rates, documents = made(tiny)
    copies = {u.name: u.importance for u in probe_units(edit.model, documents, layers=edit.expansion.copies)}
    assert set(copies.values()) <= {0.0} or max(copies.values()) < 1e-12
    controller = RateController(edit.model, rates, 0.01)
    optimizer, scheduler = optimised(controller)
    controller.start(scheduler, optimizer)
    source = {3: 2, 5: 3}

    def of(name):
        layer = int(name.split(".")[2])
        return context.measured[name.replace(f"layers.{layer}.", f"layers.{source[layer]}.")].importance

    entries = {entry["name"]: entry for entry in controller.ledger[0]["units"]}
    everything = {name: of(name) for name in entries}
    matrices = {name: value for name, value in everything.items() if "norm" not in name}
    for name, entry in entries.items():
        span = everything if "norm" in name else matrices
        low, high = min(span.values()), max(span.values())
        expected = 2 * (high - everything[name]) / (high - low)
        assert entry["importance"] == pytest.approx(everything[name])
        assert entry["lr_scale"] == pytest.approx(expected, abs=1e-9)
        assert entry["learning_rate"] == pytest.approx(0.01 * expected * 0.5, abs=1e-12)
    assert {e["layer"] for e in entries.values()} == {3, 5}
    assert controller.ledger[0]["step"] == 0


def test_domain_importance_gives_important_units_the_high_rate(tiny):
    edit, _, _, rates, _ = made(tiny, importance_corpus="domain", normalize="all")
    controller = RateController(edit.model, rates, 1.0)
    optimizer, scheduler = optimised(controller)
    controller.start(scheduler, optimizer)
    entries = sorted(controller.ledger[0]["units"], key=lambda entry: entry["importance"])
    assert entries[0]["lr_scale"] == 0.0
    assert entries[-1]["lr_scale"] == 2.0


def test_a_refresh_measures_the_live_model_and_keeps_training_gradients(tiny):
    edit, names, _, rates, documents = made(tiny)
    controller = RateController(edit.model, rates, 1.0)
    optimizer, scheduler = optimised(controller)
    controller.start(scheduler, optimizer)
    torch.manual_seed(3)
    live = dict(edit.model.named_parameters())
    with torch.no_grad():
        for name in names:
            live[name].add_(0.05 * torch.randn_like(live[name]))
    tokens = torch.tensor(documents)
    edit.model(tokens, labels=tokens).loss.backward()
    gradients = {name: live[name].grad.clone() for name in names}
    edit.model.train()
    controller.refresh(7, edit.model, scheduler, optimizer)
    assert edit.model.training
    assert all(torch.equal(live[name].grad, gradients[name]) for name in names)
    assert all(parameter.grad is None for name, parameter in live.items() if name not in gradients)
    expected = {
        unit.name: unit.importance for unit in probe_units(edit.model, documents, parameters=names, batch_size=3)
    }
    assert controller.ledger[-1]["step"] == 7
    assert {e["name"]: e["importance"] for e in controller.ledger[-1]["units"]} == expected
    by_name = {name: group for group in optimizer.param_groups for name in group["names"]}
    assert all(by_name[e["name"]]["lr"] == e["learning_rate"] for e in controller.ledger[-1]["units"])


STOCK = [
    [*(f"self_attn.{name}_proj" for name in "qkvo"), "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
    ["self_attn.q_norm", "self_attn.k_norm", "input_layernorm", "post_attention_layernorm"],
]


def released(tiny, name):
    """The method on moved copies (layers 3 and 5) before its first refresh."""
    edit, names, _, rates, documents = made(tiny, name)
    controller = RateController(edit.model, rates, 0.01, weight_decay=0.1)
    optimizer, scheduler = optimised(controller)
    controller.start(scheduler, optimizer)
    torch.manual_seed(3)
    live = dict(edit.model.named_parameters())
    with torch.no_grad():
        for parameter in names:
            live[parameter].add_(0.05 * torch.randn_like(live[parameter]))
    return edit.model, names, controller, optimizer, scheduler, documents


@pytest.mark.parametrize("name", ["adept-as-released", "adept-as-released-deepspeed"])
def test_as_released_has_the_stock_two_groups_at_one_rate_until_the_first_refresh(tiny, name):
    model, _, controller, optimizer, _, _ = released(tiny, name)
    layout = [[f"model.layers.{layer}.{part}.weight" for layer in (3, 5) for part in parts] for parts in STOCK]
    assert [group["names"] for group in optimizer.param_groups] == layout
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    decayed = Trainer.get_decay_parameter_names(None, model)  # stock: what transformers' Trainer itself would do
    assert [name for name in decayed if model.get_parameter(name).requires_grad] == layout[0]
    (entry,) = controller.ledger
    assert {(e["lr_scale"], e["learning_rate"]) for e in entry["units"]} == {(1.0, 0.005)}


def test_as_released_gives_each_group_the_factor_of_its_first_parameter(tiny):
    """The plain callback: the first projection's and the first norm's, in one range."""
    model, names, controller, optimizer, scheduler, documents = released(tiny, "adept-as-released")
    measured = {u.name: u.importance for u in probe_units(model, documents, parameters=names, batch_size=3)}
    low, high = min(measured.values()), max(measured.values())
    factors = [
        2 * (high - measured[f"model.layers.3.self_attn.{first}.weight"]) / (high - low)
        for first in ("q_proj", "q_norm")
    ]
    assert abs(factors[0] - factors[1]) > 0.01
    controller.refresh(3, model, scheduler, optimizer)
    assert {e["name"]: e["importance"] for e in controller.ledger[-1]["units"]} == measured
    for entry in controller.ledger[-1]["units"]:
        assert entry["lr_scale"] == pytest.approx(factors["norm" in entry["name"]])
    for _ in range(3):  # and so it stays
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005 * f for f in factors])
        optimizer.step()
        scheduler.step()


def test_as_released_under_deepspeed_pairs_by_position_and_only_for_one_update(tiny):
    """The first and the second unit's factors on the first batch, in the range without layernorms; then the first's."""
    model, names, controller, optimizer, scheduler, documents = released(tiny, "adept-as-released-deepspeed")
    measured = {u.name: u.importance for u in probe_units(model, documents[:3], parameters=names, batch_size=3)}
    others = [value for name, value in measured.items() if "layernorm" not in name]
    low, high = min(others), max(others)
    assert high < max(measured.values())  # or the range would not show
    factors = [
        2 * (high - measured[f"model.layers.3.self_attn.{unit}.weight"]) / (high - low) for unit in ("q_proj", "k_proj")
    ]
    assert abs(factors[0] - factors[1]) > 0.01
    controller.refresh(3, model, scheduler, optimizer)
    assert {e["name"]: e["importance"] for e in controller.ledger[-1]["units"]} == measured
    for entry in controller.ledger[-1]["units"]:
        assert (entry["lr_scale"], entry["learning_rate"]) == pytest.approx((factors[0], 0.005 * factors[0]))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005 * f for f in factors])
    # the callback's list of base rates has every rate twice; a schedule that takes one a group sees the first alone
    entered = [factor for factor in factors for _ in range(2)]
    for _ in range(3):
        optimizer.step()
        scheduler.step()
        seen = [0.005 * factor for _, factor in zip(optimizer.param_groups, entered)]
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(seen)


def test_a_group_that_opens_with_a_bias_takes_its_factor(tiny):
    model = tiny.model(attention_bias=True)
    names = [name for name, _ in model.named_parameters() if ".layers.1." in name]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    groups = RateController(model, BoundRates(units_of(model, names), pairing="first-parameter"), 1.0).groups()
    assert [names[group["unit"]].partition("self_attn.")[2] for group in groups] == ["q_proj.weight", "q_proj.bias"]


def test_a_coarser_units_importance_is_the_mean_over_its_elements():
    tensors = [UnitImportance("a", 0, False, 1.0, 3), UnitImportance("b", 0, False, 5.0, 1)]
    assert pool([Unit("u", 0, False, ("a", "b"))], tensors)[0].importance == pytest.approx(2.0)
    with pytest.raises(NotFiniteError, match="importance of a is nan"):
        pool([Unit("a", 0, False, ("a",))], [UnitImportance("a", 0, False, float("nan"), 3)])
