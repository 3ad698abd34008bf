"""Models of a Hub: which commit is read and recorded, what is fetched, and what is said where there is none."""

import json

import pytest
from hub.files import jsonl, rows
from safetensors.torch import load

from adept_bench.results.store import Store


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(jsonl(rows("c", 40)))
    return path


def _probe(model, corpus, *more):
    return (
        "probe",
        "layers",
        "--model",
        model,
        "--corpus",
        corpus,
        "--max-documents",
        2,
        "--max-length",
        16,
        "--quiet",
        *more,
    )


def _written(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_probe_reads_the_commit_that_is_asked_for_and_records_it(adept, tiny_on_hub, corpus, tmp_path):
    for commit, files, more in (
        (tiny_on_hub.main, tiny_on_hub.main_files, ()),
        (tiny_on_hub.older, tiny_on_hub.older_files, ("--revision", tiny_on_hub.older)),
    ):
        found = json.loads(adept(*_probe("org/tiny", corpus, *more)).out)
        assert found["revision"] == commit
        here = json.loads(adept(*_probe(_written(tmp_path / commit, files), corpus)).out)
        assert "revision" not in here
        assert (found["base_loss"], found["layers"]) == (here["base_loss"], here["layers"])


def test_what_is_in_the_cache_needs_no_hub(hub, adept, adept_offline, tiny_on_hub, corpus):
    first = adept(*_probe("org/tiny", corpus))
    hub.stop()
    again = adept(*[part for part in _probe("org/tiny", corpus) if part != "--quiet"])
    assert again.out == first.out
    (line,) = [line for line in again.err.splitlines() if "cache" in line]
    assert f"{hub.url} does not answer" in line
    assert tiny_on_hub.main in line
    assert adept_offline(*_probe("org/tiny", corpus)).out == first.out


def test_expand_takes_a_revision(adept, tiny_on_hub, tmp_path):
    assert (
        adept("expand", "--model", "org/tiny", "--revision", tiny_on_hub.older, "--layers", 1, "--output", "o").code
        == 0
    )
    record = json.loads((tmp_path / "o" / "expansion.json").read_text())
    assert record["base_hash"] == f"hub:org/tiny@{tiny_on_hub.older}"
    older, found = (
        load(tiny_on_hub.older_files["model.safetensors"]),
        load((tmp_path / "o" / "model.safetensors").read_bytes()),
    )
    name = "model.layers.0.mlp.up_proj.weight"  # in front of the copy, so that its number is the base's
    assert found[name].equal(older[name])
    assert not found[name].equal(load(tiny_on_hub.main_files["model.safetensors"])[name])


def test_only_the_files_that_the_index_names_are_fetched(hub, adept, tiny_on_hub, tmp_path):
    from transformers import AutoModelForCausalLM

    files = tiny_on_hub.main_files
    AutoModelForCausalLM.from_pretrained(_written(tmp_path / "whole", files)).save_pretrained(
        tmp_path / "shards", max_shard_size="100KB"
    )
    shards = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
    assert "model.safetensors.index.json" in shards
    other = {"pytorch_model.bin": b"x" * 100, "model-00001-of-00099.safetensors": b"y" * 100}
    commit = hub.commit("models", "org/sharded", shards | {"tokenizer.json": files["tokenizer.json"]} | other)
    hub.log.clear()
    assert adept("expand", "--model", "org/sharded", "--layers", 0, "--output", "o", "--certify", "tensors").code == 0
    assert json.loads((tmp_path / "o" / "expansion.json").read_text())["base_hash"] == f"hub:org/sharded@{commit}"
    for name, content in shards.items():
        if name.endswith(".safetensors"):
            assert hub.sent(name) == len(content)
    assert not any(hub.sent(name) for name in other)


def _run(corpus, *more):
    settings = {
        "data.domain": corpus,
        "data.general": corpus,
        "data.probe_documents": 4,
        "data.heldout_documents": 4,
        "training.tokens": 128,
        "training.length": 32,
        "training.batch_size": 2,
        "options.k": 1,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run = ("run", "--suite", "medical", "--model", "org/tiny", "--methods", "vanilla,full", "--jobs", 1)
    return (*run, "--results", "results", *sets, *more)


def test_a_run_records_the_commit_and_is_not_mixed_with_another(hub, adept, tiny_on_hub, corpus, tmp_path):
    assert adept(*_run(corpus)).code == 0
    for cell in Store(tmp_path / "results").load_all():
        assert cell.model.hash == f"hub:org/tiny@{tiny_on_hub.main}"
    hub.stop()
    assert "2 of 2 cells have a valid result" in adept(*_run(corpus)).err
    hub.start()
    pinned = ("--set", f"model.revision={tiny_on_hub.older}")
    assert adept(*_run(corpus, *pinned, "--force")).code == 0
    for cell in Store(tmp_path / "results").load_all():
        assert cell.model.revision == tiny_on_hub.older
        assert cell.model.hash == f"hub:org/tiny@{tiny_on_hub.older}"
    assert "made with other settings" in adept(*_run(corpus, "--quiet")).error


def test_adapt_a_model_of_the_hub(adept, tiny_on_hub, corpus, tmp_path):
    sets = ("--set", "training.tokens=128", "--set", "training.length=32", "--set", "training.batch_size=2", "--k", 1)
    call = ("adapt", "--model", "org/tiny", "--corpus", corpus, "--probe-corpus", corpus, *sets)
    assert adept(*call, "--output", "newest").code == 0
    assert adept(*call, "--revision", tiny_on_hub.older, "--output", "older").code == 0
    for name, commit in (("newest", tiny_on_hub.main), ("older", tiny_on_hub.older)):
        record = json.loads((tmp_path / name / "adaptation.json").read_text())
        assert record["model"]["hash"] == f"hub:org/tiny@{commit}"
        assert "base_model: org/tiny" in (tmp_path / name / "README.md").read_text()


def test_a_download_that_breaks_off_is_taken_up_again(hub, adept, model_files, corpus, tmp_path):
    files = model_files[0]
    hub.commit("models", "org/cut", files)
    hub.cut["model.safetensors"] = 1
    found = adept(*_probe("org/cut", corpus))
    assert hub.cut["model.safetensors"] == 0
    here = adept(*_probe(_written(tmp_path / "here", files), corpus))
    assert json.loads(found.out)["layers"] == json.loads(here.out)["layers"]
    size = len(files["model.safetensors"])  # less than a piece that the Hub's client keeps, so again from the start
    assert [sent for method, path, _, sent in hub.log if path.startswith("/cdn/") and method == "GET"] == [
        size // 2,
        size,
    ]


def test_a_download_that_never_ends_well_leaves_nothing(hub, adept, model_files, tmp_path):
    hub.commit("models", "org/broken", model_files[0])
    hub.cut["model.safetensors"] = 6  # once and five times again
    call = ("expand", "--model", "org/broken", "--layers", 1, "--output", "o")
    failed = adept(*call)
    assert failed.code == 2
    assert failed.err.splitlines()[-1].startswith(
        "--model: cannot fetch org/broken from the Hub: the connection broke off"
    )
    assert {path.name for path in tmp_path.iterdir()} <= {"stdout", "stderr", "cache"}
    assert adept(*call).code == 0


COMMANDS = {
    "probe": ("probe", "units", "--corpus", "corpus.jsonl"),
    "expand": ("expand", "--layers", "1", "--output", "out"),
    "adapt": ("adapt", "--corpus", "corpus.jsonl", "--probe-corpus", "corpus.jsonl", "--output", "out"),
    "plan": ("plan", "--suite", "medical"),
    "run": ("run", "--suite", "medical", "--set", "data.domain=corpus.jsonl", "--set", "data.general=corpus.jsonl"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_had_is_one_line(hub, adept, tiny_on_hub, corpus, tmp_path, command):
    hub.commit("models", "org/gated", tiny_on_hub.main_files)
    hub.gated.add("org/gated")
    cases = [("org/nothing", "no such repository"), ("nothing", "no such repository"), ("org/gated", "it is gated")]
    for model, expected in cases:
        error = adept(*COMMANDS[command], "--model", model, "--quiet").error
        assert expected in error
        assert model in error
        assert error.startswith("model.source: " if command == "plan" else "--model: ")
    if command != "plan":
        named = ("--set", "model.revision=nowhere") if command == "run" else ("--revision", "nowhere")
        error = adept(*COMMANDS[command], "--model", "org/tiny", *named, "--quiet").error
        assert "org/tiny@nowhere" in error
        assert "no such revision" in error
    hub.stop()
    assert f"{hub.url} does not answer" in adept(*COMMANDS[command], "--model", "org/never", "--quiet").error
    assert {path.name for path in tmp_path.iterdir()} <= {"corpus.jsonl", "stdout", "stderr", "cache", "results"}
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".incomplete")]


def test_a_repository_that_is_two_models_or_quantised_is_refused_before_its_weights(hub, adept, model_files, corpus):
    files = model_files[0]
    adapter = {"adapter_config.json": b'{"peft_type": "LORA", "base_model_name_or_path": "org/base"}'}
    hub.commit("models", "org/mixed", files | adapter)
    config = json.loads(files["config.json"]) | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    hub.commit("models", "org/gptq", files | {"config.json": json.dumps(config).encode()})
    for model, expected in (("org/mixed", "holds 2 models, whole weights"), ("org/gptq", "quant_method: gptq")):
        error = adept(*_probe(model, corpus)).error
        assert error.startswith(f"--model: {model} ")
        assert expected in error
    assert hub.sent("model.safetensors") == 0
