"""The FLOPs formula against torch's counter, and the peak of memory."""

from __future__ import annotations

import families
import pytest
import torch
from builders import from_sizes
from torch.utils.flop_counter import FlopCounterMode

from adept_bench.config.schema import MethodOptions
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.planning.shapes import PlanContext
from adept_bench.training.cost import PeakMemory, forward_flops, recomputed_flops, train_flops


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


@pytest.mark.parametrize("family", ["mixtral-expert-by-expert", "qwen3-moe", "deepseek-v3"])
def test_of_experts_those_that_a_token_is_sent_to_are_counted(family):
    kind, options = families.FAMILIES[family]
    sizes = families.COMMON | options | {"experts_implementation": "eager"}
    model = from_sizes(kind, attention="eager", **sizes).train()
    # the counter sees the products of each expert with the tokens that are sent to it
    assert train_flops(model, tokens=48, length=24) == pytest.approx(counted(model, 24), rel=0.03)


def test_a_mixtral_by_hand():
    kind, options = families.FAMILIES["mixtral"]
    model = from_sizes(kind, **families.COMMON, **options)
    attention = 32 * 32 + 2 * 16 * 32 + 32 * 32  # q, k and v of two heads, o
    an_expert = 2 * 48 * 32 + 32 * 48  # gate and up, down
    weights = 4 * (attention + 6 * 32 + 2 * an_expert) + 96 * 32  # a router of 6, of which 2 are met; the head
    scores = 4 * (4 * 10 * 32)
    assert forward_flops(model, tokens=7, length=10) == 7 * (2 * weights + scores)
    assert train_flops(model, tokens=7, length=10) == 7 * (6 * weights + 3 * scores)
    # the copies' own gradients are left out where they do not train, below the last layer all
    last = [name for name, _ in model.named_parameters() if ".layers.3." in name]
    a_layer = attention + 6 * 32 + 2 * an_expert
    few = 2 * weights + 2 * (96 * 32) + 4 * a_layer + 2 * 4 * 10 * 32 + scores
    assert train_flops(model, tokens=7, length=10, trainable=last) == 7 * few
    # a second forward pass: experts' last map too, as its result is weighted
    again = recomputed_flops(model, tokens=7, length=10, trainable=last)
    assert again == 7 * (2 * a_layer + 4 * 10 * 32)


def test_adapters_of_experts_are_met_as_the_experts_are():
    kind, options = families.FAMILIES["mixtral"]
    plain, adapted = (from_sizes(kind, **families.COMMON, **options) for _ in range(2))
    chosen = MethodOptions(lora_rank=3)
    prepare(get("lora", chosen), adapted, PlanContext(4, 0, chosen))
    attention = (32 + 32) * 2 + (32 + 16) * 2
    experts = 2 * ((32 + 96) + (48 + 32))
    more = forward_flops(adapted, tokens=1, length=1) - forward_flops(plain, tokens=1, length=1)
    assert more == 2 * 3 * 4 * (attention + experts)


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
