"""Checkpointing that keeps what frozen layers save, optimizers by name, bounded logits, and shortages of memory."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from adept_bench.config.schema import RunConfig
from adept_bench.errors import InputError
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.planning.measuring import RandomTokens
from adept_bench.probing import loss as probe_loss
from adept_bench.probing.loss import batch_losses, make_batch
from adept_bench.shortage import OutOfMemory, advised, is_shortage
from adept_bench.suite.workers import Job, run_jobs
from adept_bench.training.cost import recomputed_flops, train_flops
from adept_bench.training.optimizers import check_hardware
from adept_bench.training.trainer import enable_checkpointing, train


def prepared(tiny, name, k=1, **changes):
    model = tiny.model(attn_implementation="eager", **changes)
    options = tiny.options(k=k)
    return prepare(get(name, options), model, tiny.context(model, options, tiny.documents()))[0].model


def step(model, length=24):
    tokens = torch.arange(2 * length).view(2, length) % 64
    loss = model(tokens, labels=tokens, use_cache=False).loss
    loss.backward()
    return loss


@pytest.mark.parametrize(("name", "runs"), [("frozen", [1, 1, 1, 2]), ("full", [2, 2, 2, 2]), ("lora", [2, 2, 2, 2])])
def test_only_layers_that_gradients_reach_run_again(tiny, name, runs):
    model = prepared(tiny, name).train()
    enable_checkpointing(model)
    counts = [0] * 4
    for index, layer in enumerate(model.model.layers):
        # the layer's own hooks stay outside what is checkpointed
        layer.self_attn.register_forward_pre_hook(lambda *_, i=index: counts.__setitem__(i, counts[i] + 1))
    step(model)
    assert counts == runs


@pytest.mark.parametrize("name", ["full", "llama-pro", "frozen", "lora"])
def test_checkpointing_adds_the_counted_operations_and_leaves_the_gradients(tiny, name):
    plain, model = prepared(tiny, name).train(), prepared(tiny, name).train()
    enable_checkpointing(model)
    step(plain)
    with FlopCounterMode(display=False) as counter:
        step(model)
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    expected = train_flops(model, tokens=48, length=24) + recomputed_flops(model, tokens=48, length=24, trainable=names)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.03)
    others = dict(plain.named_parameters())
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, others[parameter_name].grad, rtol=1e-5, atol=1e-7)


def test_flash_attention_without_its_package_is_named(tiny):
    config = RunConfig.model_validate(
        {
            "suite": "s",
            "preset": "p",
            "model": {"source": "m", "attention": "flash_attention_2"},
            "data": {"domain": "d", "general": "g"},
            "training": tiny.training(1).model_dump(),
            "selection": {"grid": [1e-3]},
        }
    )
    with pytest.raises(InputError, match=r"model\.attention: flash_attention_2"):
        check_hardware(config)


def test_settings_that_came_later_leave_stored_configurations_as_they_were(tiny):
    assert "optimizer" not in tiny.training(1).model_dump()
    assert tiny.training(1, optimizer="paged-adamw").model_dump()["optimizer"] == "paged-adamw"


def test_large_logits_are_made_again_with_the_same_losses_and_gradients(tiny, live_bytes, monkeypatch):
    documents = tiny.documents(count=8, length=40)

    def measured(held):
        monkeypatch.setattr(probe_loss, "HELD", held)
        model = tiny.model(vocab_size=4096)
        with live_bytes() as live:
            losses = batch_losses(model, make_batch(documents, torch.device("cpu")))
            losses.mean().backward()
        return losses.detach(), [p.grad for p in model.parameters()], live.peak

    kept, kept_gradients, kept_peak = measured(1 << 40)
    again, gradients, peak = measured(0)
    assert torch.equal(kept, again)
    assert all(torch.equal(one, other) for one, other in zip(kept_gradients, gradients))
    assert peak < kept_peak - 0.5 * 4 * 8 * 39 * 4096  # half of the log-probabilities, at least


def allocate_too_much(*_):
    torch.empty(1 << 60, dtype=torch.uint8)


def test_a_training_that_runs_out_of_memory_names_the_settings(tiny):
    model = prepared(tiny, "full")
    model.model.layers[2].register_forward_pre_hook(allocate_too_much)
    with pytest.raises(OutOfMemory) as caught:
        train(model, RandomTokens(64, 16, 4), training=tiny.training(2), learning_rate=1e-3)
    message = str(caught.value)
    assert message.startswith("training ran out of memory (")
    assert "training.batch_size" in message
    assert "training.gradient_checkpointing" in message
    assert "\n" not in message


def test_an_error_is_not_hidden_by_a_model_that_finds_no_room_to_come_back(tiny):
    """After an error the shards are still on the GPU, which then may not take the whole model."""
    model = prepared(tiny, "full")

    def break_down(*_):
        vars(model)["to"] = allocate_too_much
        raise ZeroDivisionError

    model.model.layers[2].register_forward_pre_hook(break_down)
    with pytest.raises(ZeroDivisionError):
        train(model, RandomTokens(64, 16, 4), training=tiny.training(2), learning_rate=1e-3)


@advised("evaluation", "lower tasks.batch_size")
def greedy():
    allocate_too_much()


def fine():
    return 7


def test_a_cell_without_memory_fails_in_one_line_and_the_others_go_on():
    outcomes = list(run_jobs([Job("one", greedy), Job("two", fine)], workers=1))
    assert outcomes[0].error is not None
    assert outcomes[0].error.startswith("OutOfMemory: evaluation ran out of memory (")
    assert outcomes[0].error.endswith("lower tasks.batch_size")
    assert not outcomes[0].refused
    assert outcomes[1].value == 7


def test_what_is_a_shortage_of_memory():
    assert is_shortage(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert is_shortage(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_shortage(MemoryError())
    assert not is_shortage(RuntimeError("shapes cannot be multiplied"))
    assert not is_shortage(InputError("out of memory"))


class Kept:
    """A tensor that autograd holds for a backward pass, for as long as it does."""

    def __init__(self, tensor):
        self.tensor = tensor


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_frozen_layers_below_the_lowest_that_trains_keep_nothing(tiny, bf16, checkpointing):
    model = prepared(tiny, "llama-pro", tie_word_embeddings=True).train()
    if checkpointing:
        enable_checkpointing(model)
    depth = len(model.model.layers)
    lowest = min(i for i, layer in enumerate(model.model.layers) if any(p.requires_grad for p in layer.parameters()))
    assert lowest > 0
    here, alive = [None], weakref.WeakKeyDictionary()

    def pack(tensor):
        kept = Kept(tensor)
        alive[kept] = here[0]
        return kept

    for index, layer in enumerate(model.model.layers):
        # the layer's own hooks stay outside what is checkpointed
        layer.register_forward_pre_hook(lambda *_, i=index: here.__setitem__(0, i))
        layer.register_forward_hook(lambda *_: here.__setitem__(0, None))
    tokens = torch.arange(48).view(2, 24)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor), torch.autocast("cpu", enabled=bf16):
        loss = model(tokens, labels=tokens, use_cache=False).loss
    assert set(alive.values()) - {None} == set(range(lowest, depth))
    loss.backward()
