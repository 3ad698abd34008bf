"""`adept-bench probe` on a real pretrained model and real text, against a computation that shares nothing with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from adept_bench.__main__ import main
from adept_bench.cli.probe import probe_app

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
MODEL, CORPUS = SHARED / "stories260K-hf", SHARED / "text" / "general_wikitext2.jsonl"
needs_shared = pytest.mark.skipif(not MODEL.is_dir(), reason=f"no {MODEL}")
DOCUMENTS, LENGTH = 12, 96


@pytest.fixture(scope="module")
def stories():
    """The model, and the first documents of the corpus that have two tokens, one by one, truncated."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    texts = [json.loads(line)["text"] for line in CORPUS.read_text("utf-8").splitlines()[:DOCUMENTS]]
    tokens = [tokenizer(text)["input_ids"][:LENGTH] for text in texts]
    return AutoModelForCausalLM.from_pretrained(MODEL), [ids for ids in tokens if len(ids) > 1]


def probe(*arguments):
    settings = ["--model", MODEL, "--corpus", CORPUS, "--max-documents", DOCUMENTS, "--max-length", LENGTH]
    result = CliRunner().invoke(probe_app, [str(part) for part in [*arguments, *settings]], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def document_loss(model, ids):
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]))


@needs_shared
def test_layers_agree_with_the_plain_computation(stories):
    model, documents = stories
    report = json.loads(probe("layers"))

    @torch.no_grad()
    def loss():
        return sum(document_loss(model, ids).item() for ids in documents) / len(documents)

    base = loss()
    assert report["base_loss"] == pytest.approx(base, abs=1e-4)
    expected = []
    for layer in model.model.layers:
        # zeroing what writes to the residual stream makes a pre-norm layer hand on its input
        writers = [layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight]
        kept = [weight.detach().clone() for weight in writers]
        with torch.no_grad():
            [weight.zero_() for weight in writers]
            expected.append(loss() - base)
            [weight.copy_(old) for weight, old in zip(writers, kept)]
    assert [layer["index"] for layer in report["layers"]] == list(range(5))
    assert [layer["importance"] for layer in report["layers"]] == pytest.approx(expected, abs=1e-4, rel=1e-3)
    assert report["lowest"] == sorted(range(5), key=lambda index: expected[index])
    assert report["metric"] == "masking"
    assert report["model"] == str(MODEL)
    assert report["corpus"]["documents_used"] == len(documents)
    assert report["corpus"]["tokens"] == sum(map(len, documents))


@needs_shared
@pytest.mark.parametrize("batch_size", [1, 4])
def test_units_agree_with_the_plain_computation(stories, tmp_path, batch_size):
    model, documents = stories
    output = tmp_path / "units.json"
    arguments = ["--output", output, "--batch-size", batch_size, "--layers", "3,1"]
    assert probe("units", *arguments) == ""
    rows = json.loads(output.read_text("utf-8"))["units"]

    sums, batches = {}, 0
    for start in range(0, len(documents), batch_size):
        model.zero_grad()
        batch = documents[start : start + batch_size]
        (sum(document_loss(model, ids) for ids in batch) / len(batch)).backward()
        for name, parameter in model.named_parameters():
            sums[name] = sums.get(name, 0) + parameter.grad.abs()
        batches += 1
    expected = {
        name: (parameter.abs() * sums[name] / batches).mean().item()
        for name, parameter in model.named_parameters()
        if name.startswith(("model.layers.1.", "model.layers.3."))
    }
    assert {row["name"] for row in rows} == set(expected)
    others = [value for name, value in expected.items() if "norm" not in name]
    for row in rows:
        assert row["importance"] == pytest.approx(expected[row["name"]], rel=1e-3)
        values = list(expected.values()) if "norm" in row["name"] else others
        normalized = (expected[row["name"]] - min(values)) / (max(values) - min(values))
        assert row["normalized"] == pytest.approx(normalized, abs=1e-3)
        assert row["lr_scale"] == pytest.approx(2 * (1 - normalized), abs=2e-3)
        assert row["layer"] == int(row["name"].split(".")[2])


@needs_shared
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers", "--metric", "mask"], "--metric: unknown value 'mask'.*did you mean 'masking'"),
        (["units", "--normalize", "al"], "--normalize: unknown value 'al'.*did you mean 'all'"),
        (["units", "--layers", "1,x"], "--layers: 'x'"),
        (["units", "--layers", "5"], "--layers: 5 is no layer of this model; expected 0 to 4"),
        (["layers", "--output", str(SHARED)], "--output: .* is a folder"),
        (["units", "--output", "/nowhere/o.json"], "--output: /nowhere does not exist"),
        (["layers", "--device", "gpu"], "--device: 'gpu' cannot be used here"),
    ],
)
def test_bad_options_are_one_line(arguments, message):
    from adept_bench.errors import InputError

    with pytest.raises(InputError, match=message) as caught:
        probe(*arguments)
    assert "\n" not in str(caught.value)


def test_a_table_of_positions_bounds_the_length(capsys):
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    from adept_bench.errors import InputError
    from adept_bench.probing.context import length_limit

    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2, n_positions=16))
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=9, max_position_embeddings=16, **shape))
    assert length_limit(gpt2, None, longest=2048) == 16
    assert length_limit(llama, None, longest=8) == 8
    assert length_limit(llama, 32, longest=8) == 32
    with pytest.raises(InputError, match="--max-length: 17 tokens; this model has positions for 16"):
        length_limit(gpt2, 17, longest=2048)


@pytest.mark.parametrize(("what", "function"), [("layer", "layers.probe_layers"), ("unit", "units.probe_units")])
def test_a_shortage_of_memory_names_the_options(what, function, tiny_model, texts, monkeypatch, capsys):
    def no_room(*_, **__):
        torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr(f"adept_bench.probing.{function}", no_room)
    assert main(["probe", f"{what}s", "--model", str(tiny_model), "--corpus", str(texts[0]), "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"adept-bench: the {what} probe ran out of memory (")
    assert "lower --batch-size" in line
