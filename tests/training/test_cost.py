"""The FLOPs formula against torch's counter, and the peak of memory."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.training.cost import PeakMemory, forward_flops, train_flops


def counted(model, length, sequences=2):
    tokens = torch.arange(sequences * length).view(sequences, length) % 64
    with FlopCounterMode(display=False) as counter:
        loss = model(tokens, labels=tokens).loss
        if loss.requires_grad:
            loss.backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ["vanilla", "full", "llama-pro", "adept", "frozen", "lora"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_formula_agrees_with_torchs_counter(tiny, name, tied):
    # eager attention: the counter knows its products, which it does not for the fused kernel of the CPU
    options = tiny.options(k=2)
    model = tiny.model(tie_word_embeddings=tied, attn_implementation="eager", num_hidden_layers=4)
    prepare(get(name, options), model, tiny.context(model, options, tiny.documents()))
    expected = counted(model, 24)
    assert train_flops(model, tokens=48, length=24) == pytest.approx(expected, rel=0.03)


def test_a_trainable_set_can_be_named_and_a_forward_pass_trains_nothing(tiny):
    model = tiny.model(attn_implementation="eager")
    last = [name for name, _ in model.named_parameters() if ".layers.3." in name]
    full = train_flops(model, tokens=10, length=10)
    frozen = train_flops(model, tokens=10, length=10, trainable=last)
    forward = forward_flops(model, tokens=10, length=10)
    assert forward < frozen < full == 3 * forward
    assert train_flops(model, tokens=20, length=10) == 2 * full


def test_the_formula_needs_no_weights(tiny):
    from transformers import Qwen3ForCausalLM

    real = tiny.model()
    with torch.device("meta"):
        model = Qwen3ForCausalLM(real.config)
    assert train_flops(model, tokens=10, length=10) == train_flops(real, tokens=10, length=10)


def test_the_peak_sees_memory_that_is_gone_at_the_end():
    with PeakMemory("cpu") as little:
        pass
    with PeakMemory("cpu") as much:
        block = torch.ones(64 * 2**20 // 4)
        del block
    assert much.bytes - little.bytes > 48 * 2**20
    assert little.bytes > 2**20
