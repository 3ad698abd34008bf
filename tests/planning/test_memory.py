"""Memory by part: by hand, and against what a real training takes."""

from __future__ import annotations

import families
import pytest
import torch
from builders import from_sizes
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

from adept_bench.corpora.packing import PackedDataset
from adept_bench.errors import InputError
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.planning.activations import Reach, Saved, reach, saved
from adept_bench.planning.devices import DEVICES
from adept_bench.planning.fit import fit, ladder
from adept_bench.planning.measuring import RandomTokens
from adept_bench.planning.memory import Memory, Settings
from adept_bench.planning.shapes import PlanContext
from adept_bench.training.trainer import train


def test_full_pretraining_in_bf16_takes_16_bytes_a_parameter(planning):
    config = planning.config(model={"dtype": "bfloat16"}, training={"precision": "bf16"})
    one = planning.estimate("full", config, planning.architecture())
    found = one.memory()
    assert (found.weights, found.gradients, found.optimizer) == tuple(factor * one.shape.total for factor in (4, 4, 8))


def test_frozen_weights_stay_in_16_bits_and_have_no_gradient(planning):
    config = planning.config(model={"dtype": "bfloat16"}, training={"precision": "bf16"}, options={"k": 1})
    one = planning.estimate("llama-pro", config, planning.architecture())
    found, trained = one.memory(), one.shape.trainable
    assert found.weights == 2 * (one.shape.total - trained) + 4 * trained
    assert (found.gradients, found.optimizer) == (4 * trained, 8 * trained)
    single = planning.config(model={"dtype": "bfloat16"}, options={"k": 1})
    assert planning.estimate("llama-pro", single, planning.architecture()).memory().weights == 4 * one.shape.total


def test_an_8_bit_optimizer_and_shards_divide_what_they_should(planning):
    one = planning.estimate("full", planning.config(), planning.architecture())
    plain, small = one.memory(), one.memory(Settings(4, eight_bit=True))
    assert small.optimizer == pytest.approx(plain.optimizer * (2 + 8 / 256) / 8, rel=1e-3)
    shared = one.memory(Settings(4, shards=2))
    assert (2 * shared.weights, 2 * shared.gradients) == (plain.weights, plain.gradients)
    assert shared.activations == plain.activations


def test_ddp_holds_the_gradients_twice_and_fsdp_the_weights_in_main_memory(planning):
    one = planning.estimate("full", planning.config(), planning.architecture())
    trained, alone = 4 * one.shape.total, one.memory()
    assert (alone.buckets, alone.gathered, alone.whole, alone.main) == (0, 0, 0, 0)
    replicated = one.memory(Settings(4, replicas=3))
    assert (replicated.buckets, replicated.main) == (trained, 0)
    assert replicated.peak(accumulating=True) == alone.peak(accumulating=True) + trained
    sharded = one.memory(Settings(4, shards=3))
    # every weight of 4 bytes: on the device before it is sharded, then in main memory
    assert (sharded.buckets, sharded.whole, sharded.main) == (0, trained, trained)
    few = planning.estimate("frozen", planning.config(options={"k": 1}), planning.architecture())
    assert few.memory(Settings(4, replicas=2)).buckets == 4 * few.shape.trainable
    assert few.memory(Settings(4, shards=2)).main == 4 * few.shape.total


@pytest.mark.parametrize(
    ("stage", "weights", "gradients", "buckets", "gathered"),
    [(1, 4 + 1, 4, 4, 0), (2, 4 + 1, 1, 8, 0), (3, 1 + 1, 1, 8, 4)],
)
def test_zero_on_four_devices_by_hand(planning, stage, weights, gradients, buckets, gathered):
    """Bytes a parameter, all of which train in float32; the model is smaller than a bucket."""
    one = planning.estimate("full", planning.config(), planning.architecture())
    found, each = one.memory(Settings(4, shards=4, zero=stage)), one.shape.total
    assert (found.weights, found.gradients, found.optimizer) == (weights * each, gradients * each, 2 * each)
    assert (found.buckets, found.gathered, found.main) == (buckets * each, gathered * each, 4 * each)
    assert found.whole == 4 * each  # full pretraining has no refresh
    adept = planning.estimate("adept", planning.config(options={"refresh_every": 1}), planning.architecture())
    assert adept.refreshes
    beside = adept.memory(Settings(4, shards=4, zero=stage))
    kept = beside.gradients + beside.buckets if stage == 3 else 0
    assert beside.whole == beside.weights + beside.optimizer + kept + 4 * adept.shape.total


def test_plan_takes_the_stage_that_is_configured(planning):
    training = planning.config(training={"distributed": "zero2"}).training
    rungs = list(ladder(training, 8))
    assert rungs[0] == ("yes", Settings(4, shards=8, zero=2))
    assert "with checkpointing, 8 devices, ZeRO 2" in [how for how, _ in rungs]
    assert all(settings.zero == 2 for _, settings in rungs)
    assert next(ladder(training, 1))[1] == Settings(4)


def test_what_fsdp_gathers_by_hand(planning):
    d, i, h, g, s, words = 32, 48, 4, 2, 8, 64
    layer = 2 * d + d * s * (2 * h + 2 * g) + 2 * s + 3 * d * i
    full = planning.estimate("full", planning.config(), planning.architecture())
    assert full.memory(Settings(4, shards=2)).gathered == 4 * 2 * layer + (4 + 4) * layer
    half = planning.config(model={"dtype": "bfloat16"}, training={"precision": "bf16"}, options={"k": 1})
    adapters = planning.estimate("frozen", half, planning.architecture(vocab_size=100 * words))
    assert adapters.memory(Settings(4, shards=2)).gathered == 2 * 100 * words * d  # the embedding, which is frozen
    everything = planning.estimate("full", half, planning.architecture(vocab_size=100 * words))
    assert everything.memory(Settings(4, shards=2)).gathered == (2 + 2 + 4) * 100 * words * d


def test_a_device_holds_the_whole_weights_before_they_are_sharded():
    memory = Memory(weights=10, gradients=4, optimizer=8, activations=7, whole=80)
    assert memory.peak(accumulating=True) == 80


def test_layers_by_kind(planning):
    shape = planning.architecture(num_hidden_layers=6)
    config = planning.config(options={"k": 1, "layers": [2]})
    # the copy of layer 2 is layer 3 of 7: three below it train nothing and keep nothing
    assert reach(planning.estimate("adept", config, shape).shape) == Reach(trained=1, above=3, below=3)
    assert reach(planning.estimate("full", config, shape).shape) == Reach(trained=6, above=0, below=0)


def test_saved_tensors_of_a_trained_layer_are_those_of_a_count_by_hand(planning):
    """In float32, a token of a layer: d hidden, i intermediate, h heads of size s, g of them for keys and values."""
    d, i, h, g, s = 32, 48, 4, 2, 8
    length, batch = 32, 4
    one = planning.estimate("frozen", planning.config(options={"k": 1}), planning.architecture())
    found = saved(one.shape, batch_size=batch, length=length, precision="fp32")
    first = d + d  # normed values before and after the gain; nothing is needed for the input's gradient here
    heads = (h + g) * (s + 1 + s)  # the norms of queries and keys: input, reciprocal root, normed values
    attention = (h + 2 * g) * s + h * s + h  # queries, keys, values, the output, its log-sum-exp
    rotation = 2 * s / batch  # cosine and sine, shared by the batch
    second = d + 1 + d + d
    mlp = i + i + i + i  # gate, its activation, up, their product
    by_hand = batch * length * (first + heads + attention + rotation + second + mlp)
    assert found.trained == 4 * by_hand
    assert found.below == 0
    assert found.above < found.trained
    assert found.inputs == 4 * batch * length * d
    assert found.outside >= 4 * batch * length * 64  # log-probabilities


def test_checkpointing_keeps_inputs_and_one_layer():
    one = Saved(trained=100, above=60, below=0, inputs=10, outside=30, working=50)
    assert one.total(2, 3, 4, checkpointing=False) == 2 * 100 + 3 * 60 + 30 + 50
    assert one.total(2, 3, 4, checkpointing=True) == 5 * 10 + max(30 + 50, 100)
    assert one.total(0, 0, 9, checkpointing=True) == 30 + 50


def test_gradients_and_activations_are_there_together_only_when_accumulating():
    memory = Memory(weights=10, gradients=4, optimizer=8, activations=7)
    assert memory.peak(accumulating=False) == 10 + 8 + 7
    assert memory.peak(accumulating=True) == 10 + 8 + 7 + 4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "checkpointing"),
    [("full", False), ("full", True), ("llama-pro", False), ("frozen", True), ("frozen", False), ("lora", False)],
)
def test_the_predicted_peak_is_within_a_quarter_of_a_real_step(planning, live_bytes, name, checkpointing, precision):
    """A real training; what its tensors take at once is added up operation by operation."""
    shape = planning.architecture(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=8)
    training = {
        "tokens": 2 * 256,
        "length": 64,
        "batch_size": 4,
        "gradient_checkpointing": checkpointing,
        "precision": precision,
    }
    dtype = "bfloat16" if precision == "bf16" else "float32"
    config = planning.config(training=training, options={"k": 2}, model={"dtype": dtype})
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(shape).to(getattr(torch, dtype))
    edit, _ = prepare(get(name, config.options), model, PlanContext(8, 0, config.options))
    live = live_bytes()
    for parameter in edit.model.parameters():
        live.note(parameter)
    with live:
        train(edit.model, RandomTokens(512, 64, 8), training=config.training, learning_rate=1e-4)
    predicted = planning.estimate(name, config, shape).peak
    assert predicted == pytest.approx(live.peak, rel=0.25)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_mask_of_documents_kept_apart_is_counted(planning, live_bytes, attention):
    shape = planning.architecture(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=6)
    peaks = []
    for packing in ("blocks", "documents"):
        training = {"tokens": 1024, "length": 256, "batch_size": 4, "packing": packing}
        config = planning.config(training=training, model={"attention": attention})
        model = AutoModelForCausalLM.from_config(shape, attn_implementation=attention)
        data = PackedDataset([[1, 2, 3] * 30], length=256, total=4, seed=0, apart=packing == "documents")
        live = live_bytes()
        for parameter in model.parameters():
            live.note(parameter)
        with live:
            train(model, data, training=config.training, learning_rate=1e-4)
        predicted = planning.estimate("full", config, shape)
        peaks.append((predicted.peak, live.peak, predicted.operations))
        assert predicted.peak == pytest.approx(live.peak, rel=0.25)
    assert (peaks[0][0] < 0.8 * peaks[1][0]) == (peaks[0][1] < 0.8 * peaks[1][1]) == (attention == "sdpa")
    assert peaks[0][2] == peaks[1][2]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_so_is_that_of_a_model_with_experts(planning, live_bytes, precision):
    kind, options = families.FAMILIES["mixtral"]
    dtype = "bfloat16" if precision == "bf16" else "float32"
    training = {"tokens": 512, "length": 64, "batch_size": 4, "precision": precision}
    config = planning.config(training=training, model={"dtype": dtype})
    model = from_sizes(kind, **families.COMMON, **options).to(getattr(torch, dtype))
    live = live_bytes()
    for parameter in model.parameters():
        live.note(parameter)
    with live:
        train(model, RandomTokens(96, 64, 8), training=config.training, learning_rate=1e-4)
    assert planning.estimate("full", config, model.config).peak == pytest.approx(live.peak, rel=0.1)


def test_the_ladder_goes_from_what_changes_nothing_to_more_devices(planning):
    training = planning.config(training={"batch_size": 8}).training
    needed = {(False, 8): 100, (True, 8): 90, (True, 1): 70}

    def memory(settings: Settings) -> Memory:
        size = needed[settings.checkpointing, settings.batch_size] - 20 * settings.eight_bit
        return Memory(weights=size * 2**30 // settings.shards, gradients=0, optimizer=0, activations=0)

    found = {name: fit(DEVICES[name], training, 1, memory).how for name in ("mi300x", "h100", "a6000", "rtx4090")}
    assert found["mi300x"] == "yes"
    assert found["h100"] == "with checkpointing, batch 1"
    assert found["a6000"] == "with checkpointing, batch 1, 2 devices, FSDP"
    assert found["rtx4090"] == "with checkpointing, batch 1, 4 devices, FSDP"


def _needing(**sizes):
    """`memory` of a ladder: GiB of each part, whatever the settings, but for what shards divide."""

    def memory(settings: Settings) -> Memory:
        size = sizes["each"] / settings.shards + sizes.get("copied", 0) * (settings.replicas > 1)
        main = sizes["each"] * 2 * (settings.shards > 1)
        return Memory(weights=int(size * 2**30), gradients=0, optimizer=0, activations=0, main=int(main * 2**30))

    return memory


def test_several_devices_hold_copies_first_and_then_shards(planning):
    training = planning.config().training
    assert fit(DEVICES["h100"], training, 1, _needing(each=50, copied=40)).how == "yes"
    assert fit(DEVICES["h100"], training, 2, _needing(each=50, copied=20)).how == "yes"
    found = fit(DEVICES["h100"], training, 2, _needing(each=50, copied=40))
    assert (found.how, found.main) == ("with 2 devices, FSDP, 200G of main memory", 200 * 2**30)
    assert fit(DEVICES["h100"], training, 16, _needing(each=100)).main == 8 * 200 * 2**30  # of one machine
    little = fit(DEVICES["rtx4090"], training, 8, _needing(each=4, copied=40))
    assert (little.how, little.main) == ("with 8 devices, FSDP", 64 * 2**30)
    as_asked = planning.config(training={"distributed": "fsdp2"}).training
    assert fit(DEVICES["h100"], as_asked, 2, _needing(each=10)).how == "yes"
    assert fit(DEVICES["h100"], as_asked, 2, _needing(each=10)).settings == Settings(4, shards=2)


def test_no_rung_is_one_that_run_refuses(planning):
    """In shards there is torch's AdamW alone."""
    for optimizer in ("adamw", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"):
        training = planning.config(training={"optimizer": optimizer}).training
        rungs = [(how, settings) for count in (1, 2) for how, settings in ladder(training, count)]
        assert any(settings.shards > 1 for _, settings in rungs)
        assert not any(settings.shards > 1 and settings.eight_bit for _, settings in rungs)
        assert all(("plain adamw" in how) == (optimizer != "adamw" and s.shards > 1) for how, s in rungs)
    for strategy in ("fsdp2", "zero3"):
        refused = planning.config(training={"optimizer": "adamw-8bit", "distributed": strategy}).training
        with pytest.raises(InputError, match=rf"training.optimizer: adamw-8bit with {strategy}; expected adamw"):
            next(ladder(refused, 2))
    assert next(ladder(refused, 1))[1] == Settings(4, eight_bit=True)
