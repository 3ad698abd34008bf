"""Loading: what works, and one clear line for every way a model folder can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from adept_bench.errors import InputError
from adept_bench.models.checkpoints import (
    _place,
    _readable_errors,
    load_model,
    load_tokenizer,
    model_facts,
    model_hash,
)
from adept_bench.shortage import OutOfMemory


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=64, num_hidden_layers=3, tie_word_embeddings=True, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(
        WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, 64)}, unk_token="<unk>")
    )
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def test_loads_without_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked for a local folder")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model, tokenizer = load_model(str(folder), dtype="bfloat16"), load_tokenizer(str(folder))
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert load_model(str(folder), dtype="auto").dtype == torch.float32
    assert tokenizer("w5 w6")["input_ids"] == [5, 6]
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2
    assert load_tokenizer(str(folder), ensure_pad=False).pad_token_id is None


def spoil_nothing_there(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def spoil_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def spoil_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def spoil_truncated(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def spoil_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))


def spoil_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 32}))


def spoil_config(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def spoil_depth(folder: Path) -> None:
    spoil_config(folder, num_hidden_layers=2)


def spoil_value(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


SPOILED = {
    "empty": (spoil_nothing_there, "has no config.json; it holds nothing"),
    "no configuration": (
        lambda f: (f / "config.json").unlink(),
        "no config.json; it holds generation_config.json, model",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights .*it holds config.json"),
    "pickled": (spoil_pickled, r"only pickled weights \(pytorch_model.bin\).*convert"),
    "a shard": (spoil_shard, "lacks 1 of 2 weight files, first model-00002"),
    "damaged index": (lambda f: (f / "model.safetensors.index.json").write_text("{"), "index.json:1: broken JSON"),
    "truncated": (spoil_truncated, r"model.safetensors is damaged or truncated: \d+ bytes; its header describes"),
    "HTML": (
        lambda f: (f / "model.safetensors").write_bytes(b"<html>" * 9),
        "model.safetensors is damaged or truncated",
    ),
    "unknown value": (lambda f: spoil_config(f, hidden_act="nope"), "an entry is missing or unknown: 'nope'"),
    "impossible sizes": (lambda f: spoil_config(f, num_attention_heads=3), r"validate_architecture.: .*\(16\)"),
    "no layers": (lambda f: spoil_config(f, num_hidden_layers=0), "tiny: LlamaForCausalLM: .* how many decoder layers"),
    "too few weights": (spoil_layers, "9 weights are missing from the checkpoint, first model.layers.3"),
    "too many layers": (spoil_depth, "stores layer 2, which its configuration does not have .* first model.layers.2"),
    "another shape": (
        spoil_shape,
        r"9 weights are of another shape, first model.layers.0.mlp.down_proj.weight, stored as \[16, 24\]; expected",
    ),
    "not finite": (spoil_value, "model.layers.1.mlp.up_proj.weight holds a value that is not finite"),
    "broken JSON": (lambda f: (f / "config.json").write_text("{"), "config.json:1: broken JSON"),
    "no object": (lambda f: (f / "config.json").write_text("[]"), "config.json: is no JSON object"),
    "unknown family": (lambda f: (f / "config.json").write_text('{"model_type": "qwn3"}'), "qwn3"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_folders(case: str, folder: Path) -> None:
    spoil, message = SPOILED[case]
    spoil(folder)
    with pytest.raises(InputError, match=message) as raised:
        load_model(str(folder), option="--model")
    assert str(raised.value).startswith("--model: ")
    assert "\n" not in str(raised.value)


def test_sources_that_lead_nowhere(folder: Path) -> None:
    with pytest.raises(InputError, match=f"did you mean {folder}"):
        load_model(str(folder.parent / "tiney"))
    with pytest.raises(InputError, match="is a file"):
        load_model(str(folder / "config.json"))
    with pytest.raises(InputError, match="unknown dtype 'bf16'"):
        load_model(str(folder), dtype="bf16")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        load_tokenizer(str(folder))


def test_cuda_is_the_gpu_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named with its number: transformers' threads, which copy the weights, would take it for the first GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert [str(_place(name)) for name in ("cuda", "cuda:1", "cpu", "meta")] == ["cuda:3", "cuda:1", "cpu", "meta"]


def test_no_room_for_the_weights_is_no_bad_input() -> None:
    with (
        pytest.raises(OutOfMemory, match=r"^loading base ran out of memory \(.*; load it in fewer bytes"),
        _readable_errors("base", "--model", "a causal language model"),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_hash_follows_the_content(folder: Path, tmp_path: Path) -> None:
    first = model_hash(str(folder))
    twin = Path(shutil.copytree(folder, tmp_path / "twin"))
    assert model_hash(str(twin)) == first
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        os.utime(folder / name, ns=(0, hash(name) % 10**9))
        assert model_hash(str(folder)) != first
        (folder / name).write_bytes(data)
        os.utime(folder / name, ns=(1, 1))
        assert model_hash(str(folder)) == first


def test_facts_count_tied_weights_once(folder: Path) -> None:
    model = load_model(str(folder))
    model.requires_grad_(False)
    model.model.norm.weight.requires_grad_(True)
    layer = 16 * 16 * 2 + 2 * 16 * 8 + 3 * 16 * 24 + 2 * 16
    total = 64 * 16 + 3 * layer + 16
    assert model_facts(model) == {
        "layers": 3, "total_parameters": total, "trainable_parameters": 16, "trainable_fraction": 16 / total,
    }  # fmt: skip
