"""`training.packing` reaches a run and its result; without it nothing stored changes."""

from builders import from_sizes

from adept_bench.__main__ import main
from adept_bench.config.loading import resolve
from adept_bench.lab.tokenizer import build_tokenizer
from adept_bench.models.checkpoints import load_model
from adept_bench.results.store import Store
from adept_bench.training.cost import train_flops


def test_what_is_not_set_is_not_written():
    plain, named = (resolve("medical", overrides=sets) for sets in ([], ["training.packing=blocks"]))
    assert plain == named
    assert "packing" not in plain.model_dump(mode="json")["training"]
    apart = resolve("medical", overrides=["training.packing=documents"])
    assert apart.model_dump(mode="json")["training"]["packing"] == "documents"


def test_a_run_with_documents_kept_apart(arguments, tmp_path, tiny_model, capsys):
    changed = [*arguments, "--set", "training.packing=documents"]
    assert main([*changed, "--methods", "full", "--jobs", "1", "--quiet"]) == 0
    capsys.readouterr()
    (cell,) = Store(tmp_path / "results").load_all()
    assert cell.config["training"]["packing"] == "documents"
    assert cell.training.mix["packing"] == "documents"
    assert 0 < cell.training.mix["predictions"] < 8 * 2 * 31
    # the budget counts all tokens, and operations are those of a dense attention
    assert cell.training.tokens == 8 * 2 * 32
    assert cell.cost.train_flops == train_flops(load_model(str(tiny_model)), tokens=8 * 2 * 32, length=32)
    # without the setting it is another configuration, and the same folder refuses it
    assert main([*arguments, "--methods", "full", "--jobs", "1", "--quiet"]) == 2
    assert "training.packing" in capsys.readouterr().err


def test_a_base_that_cannot_is_refused_before_any_work(arguments, tmp_path, capsys):
    tokenizer = build_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}
    from_sizes("mamba", vocab_size=len(tokenizer), **sizes).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    capsys.readouterr()
    model = ["--model", str(tmp_path / "mamba"), "--results", str(tmp_path / "results")]
    assert main([*arguments, *model, "--set", "training.packing=documents", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "training.packing: documents is not possible with mamba (MambaForCausalLM)" in error
    assert len(error.splitlines()) == 1
    assert not list((tmp_path / "results").rglob("*.json"))


def test_random_tokens_are_no_documents(tmp_path, capsys):
    options = ["--set", "training.packing=documents", "--results", str(tmp_path)]
    assert main(["bench", *options]) == 2
    assert "training.packing: documents cannot be timed" in capsys.readouterr().err
