"""A GGUF file is taken wherever a model is, computes what its weights compute, and is refused in one line or whole."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("gguf")

import gguf
import gguf_files
from transformers import AutoModelForCausalLM

from adept_bench.__main__ import main
from adept_bench.config.schema import ModelConfig
from adept_bench.errors import InputError
from adept_bench.models import ggufs
from adept_bench.models.checkpoints import load_model, load_tokenizer, model_hash
from adept_bench.models.places import details, local_folder
from adept_bench.planning.architectures import config_of
from adept_bench.suite.inputs import model_place


@pytest.fixture(scope="module")
def words():
    return gguf_files.tokenizer()


@pytest.fixture(scope="module")
def made(words, tmp_path_factory):
    """(model, its file), a file with one kind of weights."""
    folder = tmp_path_factory.mktemp("gguf")
    model = gguf_files.llama(len(words), tied=False)
    return model, gguf_files.write(folder / "tiny.F32.gguf", model, words)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(shared_cache, monkeypatch):
    """A cache in which the file of `made` is converted once for all tests."""
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def converted_in(cache: Path) -> list[str]:
    """Names of what is in the cache of converted files, but for the empty files of locks."""
    folder = cache / "gguf"
    return sorted(one.name for one in folder.iterdir() if one.suffix != ".lock") if folder.is_dir() else []


def refusal(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that is given `file`."""
    corpus = file.parent / "corpus.txt"
    corpus.write_text("The lung has lobes.\n")
    assert main(["probe", "layers", "--model", str(file), "--corpus", str(corpus), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_the_model_is_the_same_and_no_random_number_is_drawn(made, words, cache):
    model, file = made
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    again = load_model(str(file))
    assert torch.equal(torch.rand(4), expected)
    ids = torch.randint(0, len(words), (2, 40))
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
    assert again.dtype == torch.float32
    assert not hasattr(again.config, "quantization_config")
    assert (again.config.eos_token_id, again.generation_config.eos_token_id) == (2, 2)
    folder = local_folder(str(file))
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1  # no file is more private than the others
    plain = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(plain.lm_head.weight, model.lm_head.weight)


def test_tied_and_quantised_weights_are_those_that_the_file_stands_for(words, tmp_path, cache):
    model = gguf_files.llama(len(words), tied=True)
    file = gguf_files.write(tmp_path / "tiny.gguf", model, words, quantised=True)
    again = load_model(str(file), dtype="auto")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    kind = gguf.GGMLQuantizationType.Q8_0
    weight = model.model.layers[1].mlp.up_proj.weight.detach().numpy()
    expected = gguf.quants.dequantize(gguf.quants.quantize(weight, kind), kind)
    assert torch.equal(again.model.layers[1].mlp.up_proj.weight, torch.from_numpy(expected))
    record = details(local_folder(str(file)))["gguf"]
    assert (record["quantisation"], record["architecture"]) == ("Q8_0", "llama")
    assert record["tensors"] == {"F32": 5, "Q8_0": 15}
    assert len(record["sha256"]) == 64


def test_tokenizer_and_chat_template_survive(made, words, cache):
    tokenizer = load_tokenizer(str(made[1]))
    for text in (*gguf_files.TEXT, "1\n\n2", "a   7", "<|im_start|>user\n12<|im_end|>", "é 👍"):
        assert tokenizer(text).input_ids == words(text).input_ids
        assert tokenizer.decode(words(text).input_ids) == text
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
        assert getattr(tokenizer, name) == getattr(words, name)
    chat = [{"role": "user", "content": "How many lobes?"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == words.apply_chat_template(chat, tokenize=False)


def test_what_identifies_it_is_the_files_content(made, words, cache, tmp_path):
    _, file = made
    first = model_hash(str(file))
    copy = shutil.copyfile(file, tmp_path / "renamed.gguf")
    assert model_hash(str(copy)) == model_hash(str(tmp_path)) == first  # a folder that holds it, too
    assert local_folder(str(tmp_path)) == local_folder(str(file))
    folder = shutil.copytree(local_folder(str(file)), tmp_path / "elsewhere" / "model")
    assert details(folder) == {}  # a copy may be changed
    assert model_hash(str(folder)) != first
    sha256 = details(local_folder(str(file)))["gguf"]["sha256"]
    place = model_place(ModelConfig(source=str(file), sha256=sha256), 0)
    assert (place, model_hash(place)) == (str(local_folder(str(file))), first)
    with pytest.raises(InputError, match=rf"^model.sha256: {file} has SHA-256 {sha256}; expected 0000"):
        model_place(ModelConfig(source=str(file), sha256="0" * 64), 0)
    with pytest.raises(InputError, match=r"^model.sha256: is the hash of a GGUF file, and org/name is none"):
        model_place(ModelConfig(source="org/name", sha256=sha256), 0)


def test_a_folder_is_its_only_model_or_the_one_that_is_named(made, cache, tmp_path):
    file = shutil.copyfile(made[1], tmp_path / "one.gguf")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"holds 2 models, whole weights .* and a GGUF file \(one.gguf\); expected"):
        local_folder(str(tmp_path))
    assert local_folder(str(file)) == local_folder(str(made[1]))
    chosen = local_folder(str(tmp_path / "model.safetensors"))
    assert chosen is not None
    assert [path.name for path in chosen.iterdir()] == ["model.safetensors"]
    (tmp_path / "model.safetensors").unlink()
    assert local_folder(str(tmp_path)) == local_folder(str(file))
    (tmp_path / "README.md").touch()
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')  # of the file's repository on the Hub; not read
    (tmp_path / "tokenizer.json").write_text("{")
    assert load_model(str(tmp_path)).config.model_type == "llama"
    shutil.copyfile(file, tmp_path / "two.gguf")
    with pytest.raises(
        InputError, match=r"holds 2 GGUF files \(one.gguf, two.gguf\); expected the name of one of them"
    ):
        local_folder(str(tmp_path))


def test_a_plan_reads_the_header_alone(made, words, empty):
    config, where = config_of(ModelConfig(source=str(made[1])))
    assert (config.num_hidden_layers, config.vocab_size, where) == (2, len(words), "the header of the GGUF file")
    assert converted_in(empty) == []


def test_commands_take_it_and_say_what_it_was(made, cache, tmp_path, capsys):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(gguf_files.TEXT[0:2]))
    asked = ["--model", str(made[1]), "--corpus", str(corpus), "--quiet"]
    assert main(["probe", "units", *asked, "--layers", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model_details"]["gguf"]["quantisation"] == "F32"
    assert {unit["layer"] for unit in report["units"]} == {1}
    output = tmp_path / "expanded"
    assert main(["expand", "--model", str(made[1]), "--output", str(output), "--layers", "0", "--quiet"]) == 0
    record = json.loads((output / "expansion.json").read_text())
    assert record["base_hash"] == model_hash(str(made[1]))
    assert record["base_details"]["gguf"]["quantisation"] == "F32"
    assert AutoModelForCausalLM.from_pretrained(output).config.num_hidden_layers == 3
    assert "base_model:" not in (output / "README.md").read_text()


def html(file, words):
    file.write_text("<!DOCTYPE html><html><body>not found</body></html>")


def zeros(file, words):
    file.write_bytes(bytes(4096))


def nothing(file, words):
    file.touch()


def cut(share):
    def spoil(file, words):
        data = gguf_files.write(file, gguf_files.llama(len(words), tied=False), words).read_bytes()
        file.write_bytes(data[: int(len(data) * share)])

    return spoil


def wrong(**changes):
    def spoil(file, words):
        gguf_files.write(file, gguf_files.llama(len(words), tied=False), words, **changes)

    return spoil


def of_another_machine(file, words):
    file.write_bytes(b"GGUF" + bytes([0, 0, 0, 3]) + bytes(64))


def many_values(file, words):
    file.write_bytes(b"GGUF" + bytes([3, 0, 0, 0]) + b"\xff" * 16 + bytes(64))


BAD = {
    "a page of the web": (html, "is no GGUF file: it starts with '<!DO', not 'GGUF'"),
    "zeros": (zeros, "is no GGUF file: it starts with 00 00 00 00"),
    "nothing": (nothing, "is no GGUF file"),
    "cut in its header": (cut(0.005), "is a truncated or damaged GGUF file"),
    "cut in its weights": (cut(0.95), r"is truncated: \d+ bytes; its header describes \d+"),
    "of another machine": (of_another_machine, "big-endian"),
    "endless": (many_values, "truncated or damaged"),
    "of another family": (
        wrong(family="clip"),
        "of the family 'clip', which .* does not know; it knows .*llama.*qwen2",
    ),
    "not a causal model": (wrong(family="t5"), "transformers cannot read"),
    "of another tokenizer": (wrong(rule="viking"), "splits text by the rule 'viking', .*expected one of: .*smollm"),
    "with scaled positions": (
        wrong(extra={"rope_freqs.weight": [1.0, 2.0]}),
        r"holds .* numbers, .*, rope_freqs.weight \(scaled rotary positions\) for one: the model would be another",
    ),
    "with stretched positions": (
        wrong(more={"llama.rope.scaling.type": "yarn"}),
        r"scales its rotary positions \(yarn\), which transformers' GGUF reader leaves out",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_line_and_leave_nothing(case, words, empty, tmp_path, capsys):
    spoil, message = BAD[case]
    file = tmp_path / "bad.gguf"
    spoil(file, words)
    with pytest.raises(InputError, match=message):
        local_folder(str(file))
    line = refusal(file, capsys)
    assert line.startswith(("error: --model: ", "--model: ")), line
    assert converted_in(empty) == []


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("origin.json", lambda content: content[:50]),
        ("origin.json", lambda content: b"{}"),
        ("origin.json", lambda content: content.replace(b'"F32"', b'"F16"')),
        ("model/model.safetensors", lambda content: content[:-1]),
    ],
)
def test_a_damaged_conversion_is_set_aside_and_made_again(made, cache, tmp_path, monkeypatch, log, name, damage):
    _, file = made
    whole = ggufs.converted(file, "--model").parent
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path))
    place = Path(shutil.copytree(whole, tmp_path / "gguf" / whole.name))
    before = (place / name).read_bytes()
    (place / name).write_bytes(damage(before))
    assert (place / name).read_bytes() != before
    assert ggufs.converted(file, "--model") == place / "model"
    assert (place / name).read_bytes() == before
    assert ggufs.origin(place / "model")["sha256"] in place.name
    aside = place.with_name(f"{place.name}.damaged-1")
    assert (aside / name).read_bytes() == damage(before)
    assert any(str(aside) in line for line in log)


def test_without_the_package_the_command_that_installs_it_is_named(made, empty, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gguf", None)
    line = refusal(made[1], capsys)
    assert "needs the package gguf to be read: pip install 'adept-bench[gguf]'" in line


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit on the size of files here")
def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(made, empty, monkeypatch):
    with monkeypatch.context() as changed:  # seen before the work
        changed.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
        with pytest.raises(InputError, match=r"cannot be written to .*gguf: No space left on device; \$ADEPT_BENCH"):
            ggufs.converted(made[1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the weights do not fit, the tokenizer does
    try:
        with pytest.raises(InputError, match=r"cannot be written to .*: (No space left on device|File too large); "):
            ggufs.converted(made[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert converted_in(empty) == []
