"""`adept-bench expand`: the folder it writes, what it says, and what it refuses without leaving anything behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from typer.testing import CliRunner

from adept_bench.cli.expand import expand_command
from adept_bench.errors import InputError

app = typer.Typer()
app.command()(expand_command)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=64, num_hidden_layers=4, head_dim=8, **sizes)).bfloat16()
    model.generation_config.temperature = 0.3
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    words = Tokenizer(WordLevel({"<unk>": 0, "</s>": 1} | {f"w{i}": i for i in range(2, 64)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    return folder


def invoke(*arguments: str) -> tuple[int, str, Exception | None]:
    result = CliRunner().invoke(app, [*arguments, "--quiet"])
    error = result.exception
    return result.exit_code, result.stdout, error if isinstance(error, Exception) else None


def test_the_folder_is_a_plain_checkpoint_with_its_proof(base: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "expanded"
    code, said, error = invoke("--model", str(base), "--output", str(output), "--layers", "3,1")
    assert (code, error) == (0, None)
    assert "layer 2 is a copy of base layer 1" in said
    assert "layer 5 is a copy of base layer 3" in said
    assert [path.name for path in output.parent.iterdir()] == ["expanded"]

    program = (  # a process that has transformers and none of our code
        "import sys, torch; from transformers import AutoModelForCausalLM as A\n"
        "one, two = (A.from_pretrained(p, dtype='auto') for p in sys.argv[1:])\n"
        "ids = torch.arange(2, 20)[None]; assert two.config.num_hidden_layers == 6\n"
        "assert torch.equal(one(ids).logits, two(ids).logits); assert one.dtype == two.dtype == torch.bfloat16\n"
        "assert not any(name.startswith('adept') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(base), str(output)], check=True, cwd=tmp_path)

    record = json.loads((output / "expansion.json").read_text())
    assert (record["layers"], record["copies"], record["base_layers"]) == ([1, 3], [2, 5], 4)
    assert record["base"] == str(base)
    assert all(record["certificate"][name] for name in ("logits_equal", "cached_decoding_equal", "reload_equal"))
    one, two = AutoTokenizer.from_pretrained(base), AutoTokenizer.from_pretrained(output)
    assert one.get_vocab() == two.get_vocab()
    assert one.chat_template == two.chat_template
    assert two.pad_token is None
    assert AutoModelForCausalLM.from_pretrained(output).generation_config.temperature == 0.3
    assert "2 (copy of 1), 5 (copy of 3)" in (output / "README.md").read_text()


@pytest.mark.parametrize(("select", "layers"), [("uniform", [1, 3]), ("last", [2, 3])])
def test_selections_by_depth(select: str, layers: list[int], base: Path, tmp_path: Path) -> None:
    code, _, error = invoke("--model", str(base), "--output", str(tmp_path / "o"), "--select", select, "--k", "2")
    assert (code, error) == (0, None)
    assert json.loads((tmp_path / "o" / "expansion.json").read_text())["layers"] == layers


def test_random_selection_follows_the_seed(base: Path, tmp_path: Path) -> None:
    chosen = []
    for i, seed in enumerate(("0", "0", "1", "2", "3")):
        command = ("--model", str(base), "--output", str(tmp_path / str(i)), "--select", "random", "--k", "2")
        assert invoke(*command, "--seed", seed)[0] == 0
        chosen.append(json.loads((tmp_path / str(i) / "expansion.json").read_text())["layers"])
    assert chosen[0] == chosen[1]
    assert len({tuple(layers) for layers in chosen}) > 1


def test_importance_selection_copies_the_least_important(base: Path, tmp_path: Path) -> None:
    probing = pytest.importorskip("adept_bench.probing.layers")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(" ".join(f"w{(3 * i + j) % 60 + 2}" for j in range(12)) for i in range(4)))
    output = tmp_path / "o"
    code, _, error = invoke(
        "--model", str(base), "--output", str(output), "--select", "importance", "--k", "1", "--corpus", str(corpus)
    )
    assert (code, error) == (0, None)
    record = json.loads((output / "expansion.json").read_text())
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base, dtype="auto"), AutoTokenizer.from_pretrained(base)
    documents = [tokenizer(text)["input_ids"] for text in corpus.read_text().split("\n\n")]
    importance = probing.probe_layers(model.eval(), documents).importance
    assert record["selection"]["importance"] == pytest.approx(importance, abs=1e-3)
    assert record["layers"] == [min(range(4), key=lambda i: record["selection"]["importance"][i])]


def test_a_large_checkpoint_goes_layer_by_layer(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large is a matter of one number; the folder is the same but for the certificate."""
    from adept_bench.models import exporting

    monkeypatch.setattr(exporting, "SMALL", 1000)
    arguments = ["--model", str(base), "--output", str(tmp_path / "o"), "--layers", "1,3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "certificate: every tensor of the base is unchanged" in result.stdout
    assert "certificate: tensors, weights of 0 MiB are expanded layer by layer" in result.stderr
    record = json.loads((tmp_path / "o" / "expansion.json").read_text())
    assert (record["layers"], record["copies"], record["base_layers"]) == ([1, 3], [2, 5], 4)
    assert record["certificate"]["kind"] == "tensors"
    assert record["selection"] == {"select": "given"}
    one, two = (AutoModelForCausalLM.from_pretrained(path, dtype="auto") for path in (base, tmp_path / "o"))
    assert two.dtype == torch.bfloat16
    assert torch.equal(one(torch.arange(2, 20)[None]).logits, two(torch.arange(2, 20)[None]).logits)
    assert two.generation_config.temperature == 0.3
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (tmp_path / "o" / name).read_bytes() == (base / name).read_bytes()

    # a choice by depth alone needs no model; one by importance does, and so gets the stronger proof
    command = ("--model", str(base), "--output", str(tmp_path / "last"), "--select", "last", "--k", "1")
    assert invoke(*command)[0] == 0
    record = json.loads((tmp_path / "last" / "expansion.json").read_text())
    assert (record["layers"], record["certificate"]["kind"]) == ([3], "tensors")
    (tmp_path / "f.txt").write_text(" ".join(f"w{i}" for i in range(2, 30)))
    selected = ("--select", "importance", "--k", "1", "--corpus", str(tmp_path / "f.txt"))
    for kind in ("auto", "tensors"):
        command = ("--model", str(base), "--output", str(tmp_path / kind), *selected, "--certify", kind)
        assert invoke(*command)[0] == 0
        record = json.loads((tmp_path / kind / "expansion.json").read_text())
        assert record["certificate"]["kind"] == {"auto": "logits", "tensors": "tensors"}[kind]


def test_what_cannot_be_streamed_is_loaded_where_it_fits(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adept_bench.models import exporting, sharded

    monkeypatch.setattr(exporting, "SMALL", 1000)
    monkeypatch.setattr(sharded, "layer_name_candidates", lambda *_: [])
    command = ("--model", str(base), "--layers", "1", "--output")
    assert invoke(*command, str(tmp_path / "o"))[0] == 0
    certificate = json.loads((tmp_path / "o" / "expansion.json").read_text())["certificate"]
    assert certificate["kind"] == "logits"
    assert "do not number 4 decoder layers" in certificate["chosen"]
    monkeypatch.setattr(exporting, "HELD", 10**12)
    _, _, error = invoke(*command, str(tmp_path / "p"))
    assert isinstance(error, InputError)
    assert "cannot be expanded layer by layer" in str(error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o"]


REFUSED = {
    "neither": ([], "exactly one"),
    "both": (["--layers", "1", "--select", "last", "--k", "1"], "exactly one"),
    "no k": (["--select", "last"], "--k: missing"),
    "k with layers": (["--layers", "1", "--k", "1"], "expected no --k"),
    "not numbers": (["--layers", "1;2"], "--layers: '1;2' is not a whole number from 0"),
    "no such layer": (["--layers", "4"], "--layers: 4 is out of range; expected 0 to 3"),
    "no such device": (["--layers", "1", "--device", "gpu"], "--device: 'gpu' is not a device"),
    "k too large": (["--select", "uniform", "--k", "5"], "--k: 5; expected 1 to 4"),
    "other dtype": (
        ["--layers", "1", "--certify", "tensors", "--dtype", "float32"],
        "--dtype: float32; expected auto with --certify tensors",
    ),
    "no such layer, by tensors": (
        ["--layers", "4", "--certify", "tensors"],
        "--layers: 4 is out of range; expected 0 to 3",
    ),
    "no corpus": (["--select", "importance", "--k", "1"], "--corpus: missing"),
    "corpus unused": (["--select", "last", "--k", "1", "--corpus", "f.txt"], "--corpus: f.txt"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_leave_nothing_behind(case: str, base: Path, tmp_path: Path) -> None:
    arguments, message = REFUSED[case]
    code, said, error = invoke("--model", str(base), "--output", str(tmp_path / "out" / "o"), *arguments)
    assert code != 0
    assert isinstance(error, InputError)
    assert message in str(error)
    assert said == ""
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--layers", "1,5"], "--layers: 5 is out of range; expected 0 to 3"),
        (["--layers", "1,1"], "--layers: 1 is given twice"),
        (["--layers", "0-2,2"], "--layers: 2 is given twice"),
        (["--layers", ","], "--layers: no number in ','"),
        (["--layers", "99999999999999999999999"], "--layers: 99999999999999999999999 is too large"),
    ],
)
def test_layers_are_checked_before_any_weight_is_read(
    asked: list[str], message: str, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_bytes((base / "config.json").read_bytes())
    (tmp_path / "m" / "model.safetensors").write_bytes(b"nothing that could be read")
    _, _, error = invoke("--model", str(tmp_path / "m"), "--output", str(tmp_path / "o"), *asked)
    assert isinstance(error, InputError)
    assert message in str(error)


def test_a_tokenizer_that_importance_needs_is_asked_for_before_the_model(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "m", ignore=shutil.ignore_patterns("tokenizer*"))
    (tmp_path / "f.txt").write_text("w3 w4")
    for kind in ("logits", "tensors"):
        command = ("--select", "importance", "--k", "1", "--corpus", str(tmp_path / "f.txt"), "--certify", kind)
        _, _, error = invoke("--model", str(tmp_path / "m"), "--output", str(tmp_path / "o"), *command)
        assert isinstance(error, InputError)
        assert "has no tokenizer (expected tokenizer.json)" in str(error)


def test_an_output_that_is_not_empty_is_left_alone(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    _, _, error = invoke("--model", str(base), "--output", str(tmp_path), "--layers", "1")
    assert isinstance(error, InputError)
    assert "is not empty" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("kind", ["logits", "tensors"])
def test_a_weight_that_is_not_finite_is_named(kind: str, base: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(tmp_path / "broken")
    _, _, error = invoke(
        "--model", str(tmp_path / "broken"), "--output", str(tmp_path / "out" / "o"), "--layers", "1", "--certify", kind
    )
    assert isinstance(error, InputError)
    assert "model.norm.weight holds a value that is not finite" in str(error)
    assert list((tmp_path / "out").iterdir()) == []


def test_documents_are_cut_to_the_context_of_the_model(base: Path, tmp_path: Path) -> None:
    """A model with a learned table of positions cannot read beyond it; by default it is not made to."""
    from transformers import GPT2Config, GPT2LMHeadModel

    small = tmp_path / "small"
    GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=8, n_layer=2, n_head=2, n_positions=16)).save_pretrained(small)
    AutoTokenizer.from_pretrained(base).save_pretrained(small)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(" ".join(f"w{i % 60 + 2}" for i in range(40)))
    command = ("--model", str(small), "--select", "importance", "--k", "1", "--corpus", str(corpus))
    code, _, error = invoke(*command, "--output", str(tmp_path / "o"))
    assert (code, error) == (0, None)
    _, _, error = invoke(*command, "--output", str(tmp_path / "long"), "--max-length", "32")
    assert isinstance(error, InputError)
    assert "--max-length: 32 tokens; this model has positions for 16" in str(error)
