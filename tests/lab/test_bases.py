"""The shipped base models are what the world and the recipes say, and a base can be made again."""

import dataclasses
import json
import shutil

import pytest
import torch

from adept_bench.errors import InputError
from adept_bench.files import write_sealed
from adept_bench.lab import bases
from adept_bench.lab.build import build, check_place, score
from adept_bench.lab.pretrain import RECIPES, Recipe, pretrain
from adept_bench.lab.tokenizer import build_tokenizer
from adept_bench.recorded import recorded

TINY = Recipe(steps=3, batch_size=2, length=32, hidden_size=16, intermediate_size=16, layers=2, heads=2, head_dim=8)
SHIPPED = sorted(folder for folder in bases.SHIPPED.iterdir() if folder.is_dir())


def _record(folder):
    return json.loads((folder / bases.RECORD).read_text(encoding="utf-8"))


def test_at_least_three_bases_ship_and_are_small():
    assert len([folder for folder in SHIPPED if folder.name.startswith("base-")]) >= 3
    total = sum(file.stat().st_size for file in bases.SHIPPED.rglob("*") if file.is_file())
    assert total < 30e6


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_base_fits_the_world_and_records_its_training(folder):
    kind, _, seed = folder.name.partition("-")
    assert bases.fits(folder, kind)
    assert bases.folder(kind, int(seed)) == folder
    record = _record(folder)
    assert record["recipe"] == dataclasses.asdict(RECIPES[kind])
    assert record["seed"] == int(seed)
    losses = [point["loss"] for point in record["curve"]]
    assert losses[-1] < 0.7 < losses[0]
    assert record["curve"][-1]["step"] == record["recipe"]["steps"]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Qwen3ForCausalLM"]


def test_recorded_scores_are_measured_again():
    folder = bases.folder("base", 0)
    recorded, found = _record(folder)["scores"], score(folder)
    for task, accuracy in found["accuracy"].items():
        assert accuracy == pytest.approx(recorded["accuracy"][task], abs=0.005), task
    assert found["probe_loss"] == pytest.approx(recorded["probe_loss"], abs=1e-3)
    assert found["layer_importance"] == pytest.approx(recorded["layer_importance"], abs=1e-2)


def test_the_recipes_differ_in_stochastic_depth_alone():
    base, redundant = RECIPES["base"], RECIPES["redundant"]
    assert dataclasses.replace(redundant, last_layer_drop=base.last_layer_drop) == base
    assert base.last_layer_drop == 0 < redundant.last_layer_drop


def test_the_same_seed_makes_the_same_base():
    tokenizer = build_tokenizer()
    first, _ = pretrain(TINY, tokenizer, 5)
    again, _ = pretrain(TINY, tokenizer, 5)
    other, _ = pretrain(TINY, tokenizer, 6)
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first.parameters(), other.parameters(), strict=True))


def test_stochastic_depth_skips_the_last_layers_and_leaves_none_behind():
    tokenizer = build_tokenizer()
    # a last layer that is always skipped does not learn; the first always does
    recipe = dataclasses.replace(TINY, last_layer_drop=1.0)
    dropped, _ = pretrain(recipe, tokenizer, 5)
    fresh, _ = pretrain(dataclasses.replace(recipe, steps=1, learning_rate=0.0), tokenizer, 5)
    moved = [
        any(not torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
        for one, two in zip(dropped.model.layers, fresh.model.layers, strict=True)
    ]
    assert moved == [True, False]
    assert not any("forward" in vars(layer) for layer in dropped.model.layers)


def test_build_writes_world_tokenizer_and_base(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    record = build(3, tmp_path / "lab", recipe=TINY)
    folder = tmp_path / "lab" / "base-3"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert len(AutoTokenizer.from_pretrained(folder)) == model.config.vocab_size
    assert (tmp_path / "lab" / "corpora" / "medical.jsonl").is_file()
    assert (tmp_path / "lab" / "items" / "lab_general.jsonl").is_file()
    assert record["seed"] == 3
    assert not bases.fits(folder, "base")  # another recipe than the lab's
    check_place(tmp_path / "lab")  # what was made may be made again, until someone changes it
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds base-3"):
        check_place(tmp_path / "lab")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("training.json", lambda content: content[:100]),
        ("training.json", lambda content: b"[]"),
        ("training.json", lambda content: content.replace(b'"seed": 0', b'"seed": 1')),
        ("model.safetensors", lambda content: content[:-1]),
        ("model.safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        ("tokenizer.json", lambda content: None),
    ],
)
def test_a_damaged_base_of_the_cache_is_set_aside(tmp_path, log, name, damage):
    folder = tmp_path / "base-0"
    shutil.copytree(bases.SHIPPED / "base-0", folder)
    write_sealed(folder / bases.RECORD, {**_record(folder), "files": recorded(folder, bases.RECORD)})
    assert bases._fits(folder, "base")
    damaged = damage((folder / name).read_bytes())
    (folder / name).unlink() if damaged is None else (folder / name).write_bytes(damaged)
    assert not bases._fits(folder, "base")
    assert [path.name for path in tmp_path.iterdir()] == ["base-0.damaged-1"]
    assert len(log) == 1
    assert str(folder) in log[0]
    assert not bases._fits(folder, "base")  # and is to be built again


def test_bad_places_are_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="--output"):
        build(0, file, recipe=TINY)
    with pytest.raises(InputError, match="did you mean 'lab:base'"):
        bases.folder("bass", 0)
