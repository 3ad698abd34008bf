"""bitsandbytes in place of torch's AdamW: the same updates, moments in bytes, rates by unit, exact resumption."""

from __future__ import annotations

import warnings

import pytest
import torch

from adept_bench.errors import InputError
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.planning.measuring import RandomTokens
from adept_bench.planning.memory import ADAMW, ADAMW_8BIT
from adept_bench.training import optimizers, trainer
from adept_bench.training.optimizers import BITSANDBYTES, make_optimizer

WIDE = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "head_dim": 32,
}  # bitsandbytes keeps tensors below 4096 in float32


@pytest.fixture
def packaged():
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Paged optimizers are not supported on CPU")
        yield


def trained(tiny, optimizer, folder=None, **changes):
    """(curve, ledger, weights, step gone on from) of ADEPT's training with the optimizer of that name."""
    options = tiny.options(k=2, refresh_every=3)
    model = tiny.model(**WIDE)
    method, context = get("adept", options), tiny.context(model, options, tiny.documents())
    edit, names = prepare(method, model, context)
    rates = method.rates.bind(edit, context, names, {"general": tiny.documents()})
    training = tiny.training(8, optimizer=optimizer, weight_decay=0.1, **changes)
    data = RandomTokens(64, 16, 8 * 2)
    record = trainer.train(edit.model, data, training=training, learning_rate=5e-3, rates=rates, output_dir=folder)
    weights = {name: edit.model.get_parameter(name).detach().clone() for name in names}
    return [point["loss"] for point in record.curve], record.refreshes, weights, record.resumed_from


def test_a_missing_package_is_named_before_any_work(tiny, monkeypatch):
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"training\.optimizer: adamw-8bit needs the package bitsandbytes"):
        make_optimizer([], tiny.training(1, optimizer="adamw-8bit"), 1e-3)


def test_in_32_bits_the_updates_are_those_of_torch(tiny, packaged):
    curve, ledger, weights, _ = trained(tiny, "paged-adamw")
    expected_curve, expected_ledger, expected, _ = trained(tiny, "adamw")
    assert curve == pytest.approx(expected_curve, abs=1e-5)
    assert [refresh["step"] for refresh in ledger] == [refresh["step"] for refresh in expected_ledger] == [0, 3, 6]
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ["adamw-8bit", "paged-adamw-8bit"])
def test_in_8_bits_training_stays_near(tiny, packaged, name):
    curve, ledger, *_ = trained(tiny, name)
    expected, its_ledger, *_ = trained(tiny, "adamw")
    assert curve != expected
    assert curve == pytest.approx(expected, abs=0.02)
    # the rates of units are set on bitsandbytes' groups, too: the importances differ a little, so the rates do
    for row, other in zip(ledger[-1]["units"], its_ledger[-1]["units"], strict=True):
        assert row["learning_rate"] == pytest.approx(other["learning_rate"], rel=0.2)
    assert len({row["learning_rate"] for row in ledger[-1]["units"]}) > 3


@pytest.mark.parametrize("name", BITSANDBYTES)
def test_killed_and_resumed_is_unbroken_bit_for_bit(tiny, packaged, name, tmp_path, monkeypatch):
    curve, ledger, weights, _ = trained(tiny, name)
    whole = trainer._Run.end_step

    def ends_early(self, step):
        whole(self, step)
        if step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer._Run, "end_step", ends_early)
        with pytest.raises(KeyboardInterrupt):
            trained(tiny, name, tmp_path, save_every=4)
    again, its_ledger, its_weights, resumed_from = trained(tiny, name, tmp_path, save_every=4)
    assert (again, its_ledger, resumed_from) == (curve, ledger, 4)
    assert all(torch.equal(its_weights[key], weight) for key, weight in weights.items())


@pytest.mark.parametrize(("name", "each"), [("paged-adamw", ADAMW), ("adamw-8bit", ADAMW_8BIT)])
def test_the_moments_take_the_bytes_that_plan_counts(tiny, packaged, name, each):
    weight = torch.nn.Parameter(torch.randn(256, 1024))
    made = make_optimizer([{"params": [weight]}], tiny.training(1, optimizer=name), 1e-3)
    weight.square().sum().backward()
    made.step()
    maps = ("qmap1", "qmap2")  # 256 numbers each, one pair for all tensors
    kept = [value for key, value in made.state[weight].items() if isinstance(value, torch.Tensor) and key not in maps]
    assert sum(value.nbytes for value in kept) == each * weight.numel()


def test_groups_keep_their_own_rates(tiny, packaged):
    groups = [{"params": [torch.nn.Parameter(torch.ones(4))], "lr": rate, "label": str(rate)} for rate in (1e-3, 2e-3)]
    made = make_optimizer(groups, tiny.training(1, optimizer="adamw-8bit"), 1e-3)
    assert [(group["lr"], group["label"]) for group in made.param_groups] == [(1e-3, "0.001"), (2e-3, "0.002")]
