"""What a model folder is: one model, or refused before anything loads, with both readings and how to choose."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import SMALL, from_sizes
from safetensors.torch import load_file, save_file

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.models.checkpoints import load_model, model_hash
from adept_bench.models.contents import readings
from adept_bench.models.places import local_folder
from adept_bench.models.quantised import quant_method

TOKENS = torch.arange(3, 19)[None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path, cache: Path) -> Path:
    from_sizes("llama", **SMALL).save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def add_adapter(folder: Path) -> None:
    """A trained adapter, as peft saves it, beside the weights that it was made for."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(r=2, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(folder)


def add_shards(folder: Path) -> None:
    from_sizes("llama", seed=1, **SMALL).save_pretrained(folder / "other", max_shard_size="6KB")
    for file in (folder / "other").glob("model*"):
        file.rename(folder / file.name)
    shutil.rmtree(folder / "other")


MIXED: dict[str, tuple[Any, str]] = {
    "adapter": (add_adapter, r"whole weights \(model.safetensors\) and an adapter of another model \(adapter_config"),
    "shards": (add_shards, r"whole weights \(model.safetensors\) and shards \(model.safetensors.index.json\)"),
    "GGUF": (lambda f: (f / "a.gguf").touch(), r"whole weights \(model.safetensors\) and a GGUF file \(a.gguf\)"),
    "stale index": (
        lambda f: (f / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "model-00001-of-2.safetensors"}}'
        ),
        r"whole weights .* and shards \(model.safetensors.index.json, which lacks 1 of 1 weight files, first model-",
    ),
}


@pytest.mark.parametrize("case", MIXED)
def test_a_folder_of_two_models_is_refused_and_its_file_chooses(case: str, folder: Path) -> None:
    alone = load_model(str(folder))(TOKENS).logits
    content = model_hash(str(folder))
    add, words = MIXED[case]
    add(folder)
    with pytest.raises(
        InputError, match=f"^--model: {folder} holds 2 models, {words}.*--model {folder}/model.safetens"
    ):
        load_model(str(folder))
    chosen = str(folder / "model.safetensors")
    assert torch.equal(load_model(chosen)(TOKENS).logits, alone)
    assert model_hash(chosen) == content
    assert local_folder(chosen) == local_folder(chosen)


def test_shards_are_chosen_by_their_index(folder: Path, tmp_path: Path) -> None:
    add_shards(folder)
    model = load_model(str(folder / "model.safetensors.index.json"))
    assert torch.equal(model(TOKENS).logits, from_sizes("llama", seed=1, **SMALL)(TOKENS).logits)
    with pytest.raises(InputError, match="is a file; expected a model folder"):
        load_model(str(next(folder.glob("model-00001*"))))


def test_an_index_that_names_the_whole_file_is_the_same_model(folder: Path) -> None:
    names = load_file(folder / "model.safetensors")
    index = {"weight_map": dict.fromkeys(names, "model.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [one.kind for one in readings(folder, "--model")] == ["sharded"]
    assert torch.equal(load_model(str(folder))(TOKENS).logits, from_sizes("llama", **SMALL)(TOKENS).logits)


def test_what_belongs_to_training_or_an_older_format_is_no_other_model(folder: Path) -> None:
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin", "consolidated.safetensors"):
        (folder / name).touch()
    assert local_folder(str(folder)) == folder
    (folder / "model.safetensors").unlink()
    assert [one.words for one in readings(folder, "--model")] == ["pickled weights (pytorch_model.bin)"]
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=r"has no weights \(expected model.safetensors\)"):
        load_model(str(folder))


def test_an_adapter_alone_is_named(folder: Path) -> None:
    add_adapter(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"is an adapter of another model .*merge it into its base model first"):
        load_model(str(folder))


def quantise(folder: Path, **config: Any) -> None:
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(written | {"quantization_config": config}))


METHODS = {
    "bitsandbytes": r"AutoModelForCausalLM.from_pretrained\(DIR\).dequantize\(\).save_pretrained\(NEW_DIR\)",
    "fp8": r"quantization_config=FineGrainedFP8Config\(dequantize=True\)",
    "mxfp4": r"quantization_config=Mxfp4Config\(dequantize=True\)",
    "gptq": "no call that dequantises",
    "awq": "no call that dequantises",
}


@pytest.mark.parametrize("method", METHODS)
def test_quantised_weights_are_refused_with_the_call_that_makes_plain_ones(method: str, folder: Path) -> None:
    quantise(folder, quant_method=method)
    (folder / "model.safetensors").write_bytes(b"")  # nothing of it is read
    with pytest.raises(
        InputError, match=rf"^--model: {folder} is quantised \(quant_method: {method}\).*{METHODS[method]}"
    ):
        load_model(str(folder))


def test_the_method_is_found_where_files_have_it() -> None:
    assert quant_method({"text_config": {"quantization_config": {"quant_method": "awq"}}}) == "awq"
    assert quant_method({"quantization_config": {"load_in_4bit": True}}) == "bitsandbytes"
    assert quant_method({"quantization_config": None, "rope_parameters": {"rope_theta": 1}}) is None


def test_the_calls_exist() -> None:
    import transformers

    for name in ("FineGrainedFP8Config", "Mxfp4Config", "CompressedTensorsConfig", "MetalConfig"):
        assert "dequantize" in inspect.signature(getattr(transformers, name)).parameters


def commands(model: Path, corpus: Path, output: Path) -> dict[str, list[str]]:
    own, text = ["--model", str(model)], ["--corpus", str(corpus)]
    sets = ["--set", "data.domain=lab:medical"]
    return {
        "probe layers": ["probe", "layers", *own, *text],
        "probe units": ["probe", "units", *own, *text],
        "expand": ["expand", *own, "--layers", "1", "--output", str(output)],
        "adapt": ["adapt", *own, *text, "--method", "full", "--output", str(output)],
        "merge": ["merge", "--models", f"{model},{model}", "--output", str(output)],
        "eval": ["eval", *own, "--suite", "medical", *sets],
        "plan": ["plan", "--suite", "medical", *own],
        "run": ["run", *own, "--suite", "medical", "--methods", "full", "--seeds", "0", "--results", str(output)],
    }


@pytest.mark.parametrize("command", [*commands(Path(), Path(), Path())])
@pytest.mark.parametrize(("spoil", "words"), [(add_adapter, "holds 2 models"), ("gptq", "quant_method: gptq")])
def test_every_command_says_it_before_loading(
    command: str, spoil: Any, words: str, tiny_model: Path, texts: Any, tmp_path: Path, cache: Path, capsys: Any
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "mine"))
    (model / "expansion.json").write_text('{"base_hash": "x", "base_layers": 4, "layers": [1]}')
    if callable(spoil):
        spoil(model)
    else:
        quantise(model, quant_method=spoil)
    save_file({"nothing": torch.zeros(1)}, model / "model.safetensors")  # what would load it says another thing
    capsys.readouterr()
    assert main([*commands(model, texts[0], tmp_path / "o")[command], "--quiet"]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert "\n" not in error
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".json" and "mine" not in path.parts]
