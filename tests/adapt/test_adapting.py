"""`adapt` on a tiny model and own texts: what comes out, what is refused, and that it goes on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from builders import SMALL, from_sizes
from transformers import AutoTokenizer

from adept_bench.__main__ import main
from adept_bench.adapt.layers import choose, k_of_share

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(tiny_model, texts, tmp_path):
    domain, general = texts
    sets = {"training.tokens": 8 * 2 * 32, "training.length": 32, "training.batch_size": 2, "training.save_every": 2}
    sets |= {"data.probe_documents": 6, "options.refresh_every": 3}

    def arguments(output, *more, probe=True):
        found = ["adapt", "--model", str(tiny_model), "--corpus", str(domain), "--output", str(tmp_path / output)]
        found += ["--probe-corpus", str(general)] if probe else []
        return [*found, *(part for key, value in sets.items() for part in ("--set", f"{key}={value}")), *more]

    return arguments


@pytest.mark.parametrize("method", ["adept", "full", "lora", "adept-no-stage1"])
def test_the_output_is_a_plain_checkpoint_with_its_record(call, tmp_path, texts, capsys, method):
    from transformers import AutoModelForCausalLM

    assert main(call("out", "--method", method, "--k", "1", "--quiet")) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "out"
    record = json.loads((folder / "adaptation.json").read_text(encoding="utf-8"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    assert "gained" in shown
    assert record["losses"]["domain"]["after"] < record["losses"]["domain"]["before"]
    assert set(record["losses"]) == {"domain", "general"}
    assert (folder / "expansion.json").exists() == (method == "adept")
    assert model.config.num_hidden_layers == (5 if method == "adept" else 4)
    assert (folder / "README.md").read_text(encoding="utf-8").count("domain loss") == 1
    # the loss it reports is the loss the written checkpoint has on the documents that were held out
    from adept_bench.corpora.reading import read_corpus, split_held_out

    _, rest = split_held_out(read_corpus(str(texts[0])), fraction=0.075, minimum=12, maximum=300)
    held, _ = split_held_out(rest, fraction=1 / 3, minimum=1, maximum=len(rest.texts))
    losses = []
    for text in held.texts:
        ids = torch.tensor([tokenizer(text).input_ids[:32]])
        if ids.shape[1] > 1:
            with torch.no_grad():
                losses.append(float(model(ids, labels=ids).loss))
    assert record["losses"]["domain"]["after"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert not list(tmp_path.glob(".out*"))


def test_the_base_is_gone_when_the_expansion_is_proved(call, monkeypatch):
    """The proof loads the expanded model again: with the base there would be three in a GPU's memory."""
    from adept_bench.models import certificate
    from adept_bench.suite.base import BaseMeasurements

    held, loaded, certify, model = [], [], certificate.certify_expansion, BaseMeasurements.model

    def loading(self):
        loaded.append(self)
        return model(self)

    def certifying(*arguments, **more):
        held.extend(base._model for base in loaded)
        return certify(*arguments, **more)

    monkeypatch.setattr(BaseMeasurements, "model", loading)
    monkeypatch.setattr(certificate, "certify_expansion", certifying)
    assert main(call("out", "--k", "1", "--quiet")) == 0
    assert held
    assert all(one is None for one in held)


def test_without_a_probe_corpus_only_methods_that_need_none_run(call, tmp_path, capsys):
    assert main(call("out", probe=False)) == 2
    error = capsys.readouterr().err
    assert "--probe-corpus" in error
    assert "full, llama-pro, frozen, lora" in error
    assert not (tmp_path / "out").exists()
    assert main(call("out", "--method", "llama-pro", "--k", "1", "--quiet", probe=False)) == 0
    record = json.loads((tmp_path / "out" / "adaptation.json").read_text(encoding="utf-8"))
    assert set(record["losses"]) == {"domain"}
    assert "not measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--method", "vanilla"], "trains nothing"),
        (["--method", "adpet"], "adept"),
        (["--k", "0"], "--k"),
        (["--k", "many"], "auto"),
        (["--method", "full", "--k", "auto"], "--k: auto"),
        (["--budget", "1.5"], "--budget"),
        (["--time-budget", "0.5"], "--k auto"),
        (["--time-budget", "-1", "--k", "auto"], "--time-budget"),
        (["--learning-rate", "nan"], "--learning-rate"),
        (["--method", "lora", "--k", "9"], "more than the model's 4 layers"),
        (["--set", "options.kk=3"], "options.k"),
        (["--learning-rate", "-1"], "--learning-rate"),
    ],
)
def test_bad_input_is_one_line(call, tmp_path, capsys, more, expected):
    assert main(call("out", *more)) == 2
    error = capsys.readouterr().err.strip()
    assert expected in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_family_that_takes_no_copies_is_said_before_anything_is_measured(call, tmp_path, tiny_model, capsys):
    family = from_sizes("opt", **SMALL, ffn_dim=24, word_embed_proj_dim=16, do_layer_norm_before=False)
    family.resize_token_embeddings(len(AutoTokenizer.from_pretrained(tiny_model)))
    family.save_pretrained(tmp_path / "opt")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, tmp_path / "opt" / name)
    capsys.readouterr()
    assert main(call("out", "--model", str(tmp_path / "opt"), "--k", "1", "--quiet")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for part in ("--method: adept inserts copies", "cannot find what model.decoder.layers.0", "such as full"):
        assert part in error
    assert [path.name for path in tmp_path.iterdir()] == ["opt"]


@pytest.mark.parametrize("command", ["adapt", "expand", "merge"])
@pytest.mark.parametrize("where", ["model", "model/deep/out", "texts"])
def test_an_output_that_is_an_input_or_in_one_is_refused(command, where, tiny_model, tmp_path, capsys):
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one")
    before = sorted(tmp_path.rglob("*"))
    model, corpus = str(tmp_path / "model"), str(tmp_path / "texts")
    arguments = {
        "adapt": ["--model", f"{model}/model.safetensors", "--corpus", corpus],
        "expand": ["--model", model, "--select", "importance", "--k", "1", "--corpus", corpus],
        "merge": ["--models", f"{model},{model}", "--corpora", corpus],
    }
    assert main([command, *arguments[command], "--output", str(tmp_path / where)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("--output: ")
    assert "an input of this command" in error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_something_in_it_is_left_alone(call, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("all of it", encoding="utf-8")
    assert main(call("out")) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_an_output_that_cannot_be_written_is_refused_before_the_work(call, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for output, expected in (("file/x", "cannot write"), ("empty", "working folder"), ("empty/.", "working folder")):
        assert main(call(output)) == 2
        assert expected in capsys.readouterr().err
    assert not list(empty.iterdir())


def test_a_budget_below_one_layer_is_said_to_be_exceeded(call, tmp_path):
    assert main(call("out", "--method", "llama-pro", "--budget", "0.01", "--quiet")) == 0
    record = json.loads((tmp_path / "out" / "adaptation.json").read_text(encoding="utf-8"))
    assert "one layer is the least" in record["reasons"]["options.k"]
    assert record["trained"]["trainable_fraction"] > 0.01


def test_the_tokenizer_comes_out_as_it_went_in(call, tmp_path, tiny_model):
    assert main(call("out", "--method", "full", "--quiet")) == 0
    before, after = (
        json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        for folder in (tiny_model, tmp_path / "out")
    )
    assert before.get("pad_token") == after.get("pad_token")


def test_auto_chooses_layers_and_says_why(call, tmp_path, capsys):
    assert main(call("out", "--k", "auto", "--budget", "0.5", "--time-budget", "0.9", "--quiet")) == 0
    record = json.loads((tmp_path / "out" / "adaptation.json").read_text(encoding="utf-8"))
    layers = json.loads((tmp_path / "out" / "expansion.json").read_text(encoding="utf-8"))["layers"]
    assert layers == record["config"]["options"]["layers"]
    assert "when bypassed" in record["layers_chosen"]
    assert record["layers_chosen"] in capsys.readouterr().out


def test_killed_and_started_again_it_ends_as_if_unbroken(call, tmp_path):
    assert main(call("whole", "--quiet")) == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "adept_bench", *call("broken")], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    checkpoints = tmp_path / ".broken.adapt" / "checkpoints"
    while time.monotonic() < deadline and not list(checkpoints.glob("checkpoint-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "broken").exists()
    assert main(call("broken", "--quiet")) == 0
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert first == second
    assert not list(tmp_path.glob(".broken*"))


def test_k_auto_by_hand():
    importance = [5.0, 0.02, 0.30, 0.001, -0.01, 0.04]
    # 1% of a base loss of 3 nats is 0.03: layers 1, 3 and 4 cost less
    free = choose(importance, 3.0, most=5, most_because="a budget")
    assert free.layers == [1, 3, 4]
    assert "3 of 6 layers" in free.reason
    assert choose(importance, 3.0, most=2, most_because="a budget").layers == [3, 4]
    # nothing is spare: one layer all the same, the least important
    assert choose([2.0, 1.0], 3.0, most=2, most_because="a budget").layers == [1]
    # copies of low layers cost more time: here each layer costs a fifth of full pretraining
    timed = choose(
        importance, 3.0, most=5, most_because="a budget", time_share=lambda layers: 0.2 * len(layers), time_budget=0.45
    )
    assert timed.layers == [3, 4]
    tight = choose(importance, 3.0, most=5, most_because="a budget", time_share=lambda _: 0.9, time_budget=0.5)
    assert tight.layers == [4]
    assert "above" in tight.reason


@pytest.mark.parametrize("layers", [4, 28, 36])
@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_the_budget_is_kept_and_used(layers, share):
    layer, rest = 50e6, 300e6
    base = layers * layer + rest
    k = k_of_share(share, layer, base, layers)
    assert k == 1 or k * layer / (base + k * layer) <= share
    assert k == layers or (k + 1) * layer / (base + (k + 1) * layer) > share


def test_time_share_counts_copies_alone(tiny_model):
    from transformers import AutoModelForCausalLM

    from adept_bench.adapt.operations import time_share

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    shares = [time_share(model, [layer], 32) for layer in range(4)]
    # the gradient has further to go from a copy after a lower layer
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[3]
    assert time_share(model, [2, 3], 32) > time_share(model, [3], 32)
    assert 0 < shares[3] < 1.2


@pytest.mark.parametrize("method", ["adept", "adept-no-stage1"])
@pytest.mark.parametrize("budget", [0.05, 0.2, 0.45])
def test_affordable_layers_are_the_most_within_the_budget(tiny_model, method, budget):
    """Copies add to the model that the share is of; layers of the base do not."""
    from transformers import AutoModelForCausalLM

    from adept_bench.adapt.plan import affordable
    from adept_bench.config.schema import MethodOptions
    from adept_bench.methods.registry import get

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    layer = sum(p.numel() for p in model.model.layers[0].parameters())
    base = sum(p.numel() for p in model.parameters())
    added = method == "adept"
    shares = {k: k * layer / (base + added * k * layer) for k in range(1, 5)}
    assert affordable(get(method, MethodOptions()), model, budget) == max(
        [k for k, share in shares.items() if share <= budget], default=1
    )
