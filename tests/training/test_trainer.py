"""Training against a plain loop, and what it must leave alone."""

from __future__ import annotations

import copy
import dataclasses
import gc
import weakref

import pytest
import torch
from tiny_methods import made

from adept_bench.probing.units import probe_units, unit_rates
from adept_bench.results.compact import compact_training
from adept_bench.results.schema import Training
from adept_bench.training.schedule import schedule_factor
from adept_bench.training.trainer import DivergedError, train

RATE = 0.01


def plain_loop(model, names, dataset, training, *, rates=None, documents=None):
    """AdamW over unit groups, written out. Returns the loss of each step."""
    live = dict(model.named_parameters())
    t = training
    if rates is None:
        scale = dict.fromkeys(names, 1.0)
    else:
        scale = dict(zip((u.name for u in rates.first), unit_rates(rates.first)))
    optimizer = torch.optim.AdamW(
        [
            {"params": [live[name]], "name": name, "weight_decay": 0.0 if "norm" in name else t.weight_decay}
            for name in names
        ],
        lr=RATE,
        betas=t.betas,
    )
    losses, place = [], 0
    model.train()
    for step in range(t.steps):
        for group in optimizer.param_groups:
            factor = schedule_factor(step, t.steps, warmup=t.warmup, schedule=t.schedule, min_rate=t.min_rate)
            group["lr"] = RATE * scale[group["name"]] * factor
        total = 0.0
        for _ in range(t.accumulation):
            batch = torch.stack([dataset[place + i]["input_ids"] for i in range(t.batch_size)])
            place += t.batch_size
            logits = model(batch).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 64), batch[:, 1:].reshape(-1)) / t.accumulation
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_([live[name] for name in names], t.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        if rates is not None and (step + 1) % rates.every == 0 and step + 1 < t.steps:
            measured = probe_units(model, documents, parameters=names, batch_size=3)
            scale = dict(zip((u.name for u in measured), unit_rates(measured)))
    model.eval()
    return losses


@pytest.mark.parametrize("name", ["full", "llama-pro", "frozen", "lora", "adept", "adept-no-stage1"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_training_is_what_a_plain_loop_does(tiny, name, accumulation):
    training = tiny.training(8, accumulation=accumulation, weight_decay=0.1, max_grad_norm=0.5)
    model, names, rates, dataset, _ = made(tiny, name, training)
    record = train(model, dataset, training=training, learning_rate=RATE, rates=rates, seed=3)
    other, names, rates, dataset, documents = made(tiny, name, training)
    expected = plain_loop(other, names, dataset, training, rates=rates, documents=documents)
    assert [point["loss"] for point in record.curve] == pytest.approx(expected, rel=1e-4)
    assert expected[0] != expected[-1]
    for (key, ours), theirs in zip(model.named_parameters(), other.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4, msg=key)
    assert [entry["step"] for entry in record.refreshes] == ([0, 3, 6] if rates else [])
    assert (record.steps, record.tokens) == (8, 8 * 2 * 16 * accumulation)
    assert record.resumed_from is None
    assert record.seconds > 0
    assert (record.probe_seconds > 0) == (rates is not None)


def test_the_ledger_holds_the_rate_each_unit_trains_at(tiny):
    """A unit at scale 0 must not move until the next refresh, and rates are scale * base * schedule."""
    training = tiny.training(3, warmup=0.0)
    model, names, rates, dataset, _ = made(tiny, "adept", training, refresh_every=100, normalize="all")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    record = train(model, dataset, training=training, learning_rate=RATE, rates=rates)
    still = {e["name"] for e in record.refreshes[0]["units"] if e["lr_scale"] == 0.0}
    assert len(still) == 1
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in names or name in still), name
    for entry in record.refreshes[0]["units"]:
        assert entry["learning_rate"] == pytest.approx(RATE * entry["lr_scale"])
    block = {"steps": record.steps, "tokens": record.tokens, "curve": record.curve, "refreshes": record.refreshes}
    stored = Training.model_validate(compact_training(block))
    rows = [row for row in stored.unit_rows() if row["step"] == 0]
    assert [(r["name"], r["layer"], r["importance"], r["learning_rate"]) for r in rows] == [
        (e["name"], e["layer"], pytest.approx(e["importance"]), pytest.approx(e["learning_rate"]))
        for e in record.refreshes[0]["units"]
    ]


def test_gradient_checkpointing_changes_nothing(tiny):
    results = []
    for checkpointing in (False, True):
        training = tiny.training(7, gradient_checkpointing=checkpointing)
        model, _, rates, dataset, _ = made(tiny, "adept", training)
        record = train(model, dataset, training=training, learning_rate=RATE, rates=rates)
        results.append(([p["loss"] for p in record.curve], [p.detach() for p in model.parameters()]))
        assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for one, other in zip(results[0][1], results[1][1]):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_gradient_checkpointing_is_really_on_while_training(tiny, monkeypatch):
    import torch.utils.checkpoint

    calls = []
    real = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", lambda *a, **k: calls.append(1) or real(*a, **k))
    monkeypatch.setattr("transformers.modeling_utils.checkpoint", torch.utils.checkpoint.checkpoint)
    training = tiny.training(1, gradient_checkpointing=True)
    model, _, rates, dataset, _ = made(tiny, "adept", training)
    train(model, dataset, training=training, learning_rate=RATE, rates=rates)
    assert calls


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_model_is_left_as_it_was_but_for_its_trained_weights(tiny, precision):
    training = tiny.training(4, precision=precision)
    model, names, rates, dataset, _ = made(tiny, "adept", training, refresh_every=2)
    model.config.use_cache = True
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    record = train(model, dataset, training=training, learning_rate=RATE, rates=rates)
    # the most important unit has rate 0, and may have it at each refresh
    still = set.intersection(*({e["name"] for e in r["units"] if e["lr_scale"] == 0} for r in record.refreshes))
    assert len(still) <= 1
    assert model.config.use_cache is True
    assert not model.training
    assert model(torch.arange(9)[None]).logits.dtype == torch.float32
    assert not hasattr(model, "_original_forward")
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name]) == (name not in names or name in still), name
    # in float32 again: nothing of autocast is left
    tokens = torch.arange(9)[None]
    hidden = model.model(tokens).last_hidden_state
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, model.lm_head(hidden))


def test_weights_of_16_bits_train_through_float32_masters(tiny):
    training = tiny.training(6, precision="bf16", warmup=0.0)
    model, names, rates, dataset, _ = made(tiny, "adept", training, dtype=torch.bfloat16)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert {p.dtype for p in before.values()} == {torch.bfloat16}
    record = train(model, dataset, training=training, learning_rate=RATE, rates=rates)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert [entry["step"] for entry in record.refreshes] == [0, 3]
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved <= set(names)
    assert len(moved) > len(names) // 2


def test_a_diverged_loss_fails_with_step_and_rate(tiny):
    training = tiny.training(8)
    model, _, rates, dataset, _ = made(tiny, "adept", training)
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if "layers.5" in n).fill_(float("inf"))
    with pytest.raises(DivergedError, match="loss is nan at step 1 of 8"):
        train(model, dataset, training=training, learning_rate=RATE, rates=rates)
    assert not model.training


def test_weights_that_break_before_a_refresh_are_a_divergence(tiny):
    """The loss of step 3 is still a number; the refresh after it is the first to meet the broken weights."""
    training = tiny.training(8)
    model, names, rates, dataset, _ = made(tiny, "adept", training)
    broken = dataclasses.replace(rates, probe=lambda live: (_break(live, names), rates.probe(live))[1])
    with pytest.raises(DivergedError, match=r"refresh after step 3 of 8 \(learning rate 0.01\).*is nan") as caught:
        train(model, dataset, training=training, learning_rate=RATE, rates=broken)
    assert "--" not in str(caught.value)


def test_an_importance_that_is_not_finite_is_a_divergence(tiny):
    training = tiny.training(8)
    model, _, rates, dataset, _ = made(tiny, "adept", training)

    def probe(live):
        return [dataclasses.replace(unit, importance=float("inf")) for unit in rates.probe(live)]

    with pytest.raises(DivergedError, match=r"refresh after step 3 of 8.*importance of .* is inf"):
        train(model, dataset, training=training, learning_rate=RATE, rates=dataclasses.replace(rates, probe=probe))


def test_weights_that_break_in_the_last_update_are_a_divergence(tiny):
    """A finite loss is all the last step shows: the update after it may still have broken the model."""
    training = tiny.training(1)
    model, _, _, dataset, _ = made(tiny, "full", training)
    with pytest.raises(DivergedError, match=r"after step 1 of 1 \(learning rate 1e\+39\)"):
        train(model, dataset, training=training, learning_rate=1e39)


def _break(model, names):
    with torch.no_grad():
        dict(model.named_parameters())[names[0]].fill_(float("nan"))


@pytest.mark.parametrize("name", ["adept", "full", "lora"])
def test_weights_of_16_bits_train_in_float32_where_the_precision_says_so(tiny, name):
    """As the same weights stored in float32 would, rounded once at the end."""
    training = tiny.training(6, warmup=0.0)
    ours, names, rates, dataset, _ = made(tiny, name, training, dtype=torch.bfloat16)
    types = {key: parameter.dtype for key, parameter in ours.named_parameters()}
    before = {key: parameter.detach().clone() for key, parameter in ours.named_parameters()}
    plain = copy.deepcopy(ours).float()
    record = train(ours, dataset, training=training, learning_rate=RATE, rates=rates)
    other = train(plain, dataset, training=training, learning_rate=RATE, rates=rates)
    assert [point["loss"] for point in record.curve] == [point["loss"] for point in other.curve]
    assert {key: parameter.dtype for key, parameter in ours.named_parameters()} == types
    for key, parameter in plain.named_parameters():
        found = ours.get_parameter(key)
        assert torch.equal(found, parameter.to(types[key])), key
        assert key in names or torch.equal(found, before[key]), key


def test_nothing_is_written_where_no_folder_is_named(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = tiny.training(2, save_every=1)
    model, _, rates, dataset, _ = made(tiny, "full", training)
    train(model, dataset, training=training, learning_rate=RATE, rates=rates)
    assert list(tmp_path.iterdir()) == []


def test_training_is_silent_and_reports_where_asked(tiny, capfd):
    training = tiny.training(5, log_every=2)
    model, _, rates, dataset, _ = made(tiny, "adept", training)
    seen = []
    train(model, dataset, training=training, learning_rate=RATE, rates=rates, on_progress=seen.append)
    assert [fields["step"] for fields in seen] == [2, 4, 5]
    assert all(fields["steps"] == 5 and fields["loss"] > 0 and fields["tokens/s"] > 0 for fields in seen)
    assert seen[0]["rate"] == pytest.approx(RATE * schedule_factor(1, 5, warmup=0.2, schedule="cosine"))
    out = capfd.readouterr()
    assert (out.out, out.err) == ("", "")


def test_nothing_to_train_and_too_little_data_are_errors(tiny):
    training = tiny.training(4)
    model, _, _, dataset, _ = made(tiny, "full", training)
    with pytest.raises(ValueError, match="dataset holds 8 sequences; 10 are needed"):
        train(model, dataset, training=tiny.training(5), learning_rate=RATE)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter"):
        train(model, dataset, training=training, learning_rate=RATE)


@pytest.mark.parametrize("diverges", [False, True])
def test_a_model_trained_in_bf16_ends_with_its_last_use(tiny, diverges):
    """accelerate wraps its forward pass; a wrapper that were left would hold the model in a cycle."""
    training = tiny.training(2, precision="bf16")
    model, _, _, dataset, _ = made(tiny, "full", training, dtype=torch.bfloat16)
    try:
        train(model, dataset, training=training, learning_rate=1e30 if diverges else RATE, on_progress=lambda _: None)
    except DivergedError:
        assert diverges
    assert "forward" not in vars(model)
    gc.collect()  # of what the Trainer left; the model is looked at without it
    gc.disable()
    try:
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()
