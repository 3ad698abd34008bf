"""What a plan counts without weights is what the real edit gives."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen3ForCausalLM

from adept_bench.config.schema import MethodOptions, ModelConfig
from adept_bench.errors import InputError
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get
from adept_bench.models.shapes import base_shape
from adept_bench.planning.architectures import ARCHITECTURES, config_of
from adept_bench.planning.shapes import PlanContext
from adept_bench.training.cost import recomputed_flops, train_flops

# numbers of parameters as published: Qwen3 technical report (1.7B, 4.0B, 8.2B) and the Hub's model cards; of SmolLM2
# those that its GGUF file holds
PUBLISHED = {
    "Qwen3-1.7B-Base": 1_720_574_976,
    "Qwen3-4B-Base": 4_022_468_096,
    "Qwen3-8B-Base": 8_190_735_360,
    "Meta-Llama-3-8B": 8_030_261_248,
    "SmolLM2-135M": 134_515_008,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_known_models_have_the_published_number_of_parameters(name):
    config, source = config_of(ModelConfig(source=f"org/{name}"))
    assert name in source
    assert sum(p.numel() for p in base_shape(config).parameters()) == PUBLISHED[name]


class Fixed(PlanContext):
    """A context of a real model: it has unit importances too, which no edit asks for here."""


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "name", ["full", "replay", "llama-pro", "frozen", "lora", "adept", "adept-no-stage1", "adept-uniform-expansion"]
)
def test_parameters_and_operations_equal_those_of_the_real_edit(planning, name, tied):
    shape, config = planning.architecture(tie_word_embeddings=tied), planning.config(options={"k": 2})
    planned = planning.estimate(name, config, shape, (1, 2))
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(shape).eval()
    edit, names = prepare(get(name, config.options), model, Fixed(4, 0, config.options, (1, 2)))
    assert set(planned.shape.names) == set(names)
    assert planned.shape.total == sum(p.numel() for p in edit.model.parameters())
    assert planned.shape.trainable == sum(p.numel() for p in edit.model.parameters() if p.requires_grad)
    assert planned.operations.train == train_flops(edit.model, tokens=1024, length=32)
    assert planned.shape.assumed == (name in ("adept", "adept-no-stage1"))


def test_assumed_layers_are_those_that_importance_then_chooses(planning):
    config = planning.config(options={"k": 2})
    assert planning.estimate("adept", config, planning.architecture(), (0, 3)).shape.chosen_layers == [0, 3]
    # without an assumption importance falls with depth
    assert planning.estimate("adept", config, planning.architecture()).shape.chosen_layers == [2, 3]


def test_the_second_forward_pass_counts_the_layers_that_gradients_reach(planning):
    shape = planning.architecture()
    model = base_shape(shape)
    layer = sum(2 * p.numel() for name, p in model.named_parameters() if ".layers.0." in name and p.dim() == 2)
    layer -= 2 * 32 * 48  # but for the map that the layer ends with
    attention = 4 * 32 * 4 * 8  # 4 x length x heads x head_dim
    last = [name for name, _ in model.named_parameters() if ".layers.3." in name]
    every = [name for name, _ in model.named_parameters()]
    assert recomputed_flops(model, tokens=10, length=32, trainable=last) == 10 * (layer + attention)
    assert recomputed_flops(model, tokens=10, length=32, trainable=every) == 4 * 10 * (layer + attention)
    assert recomputed_flops(model, tokens=10, length=32, trainable=[]) == 0


def test_probes_and_refreshes_are_counted_by_who_asks_for_them(planning):
    config = planning.config(training={"tokens": 32 * 4 * 11}, options={"k": 1, "refresh_every": 5})
    adept = planning.estimate("adept", config, planning.architecture())
    assert adept.refreshes == 2  # after steps 5 and 10 of 11
    assert adept.operations.layers > 0 < adept.operations.units
    uniform = planning.estimate("adept-uniform-expansion", config, planning.architecture())
    assert uniform.operations.layers == 0 < uniform.operations.refreshes
    assert planning.estimate("full", config, planning.architecture()).operations.probes == 0
    exactly = planning.config(training={"tokens": 32 * 4 * 10}, options={"k": 1, "refresh_every": 5})
    assert planning.estimate("adept", exactly, planning.architecture()).refreshes == 1  # none after the last step


def test_a_model_of_unknown_shape_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"model\.source: .*empty has no config\.json"):
        config_of(ModelConfig(source=str(tmp_path / "empty")))


def test_too_many_layers_are_refused(planning):
    with pytest.raises(InputError, match="k"):
        planning.estimate("llama-pro", planning.config(options={"k": 9}), planning.architecture())


def test_options_are_the_methods_own():
    assert MethodOptions().k == 4  # the paper's, which the shipped assumption of layers rests on
