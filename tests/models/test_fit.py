"""What a checkpoint stores beyond its model: kept and renumbered where it is counted, else refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from builders import SMALL, from_sizes
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForSequenceClassification

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.models.checkpoints import load_model
from adept_bench.models.exporting import expand_checkpoint

TOKENS = torch.arange(3, 19)[None]
WAYS = ("logits", "tensors")


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """What plain transformers' own order of looking finds: one file, or those of the index."""
    if (folder / "model.safetensors").exists():
        return load_file(folder / "model.safetensors")
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    files = {name: load_file(folder / name) for name in set(index.values())}
    assert {name for held in files.values() for name in held} == index.keys()
    return {name: files[place][name] for name, place in index.items()}


def change(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **config: Any) -> None:
    """Add tensors to a checkpoint of one file, and fields to its configuration."""
    save_file(
        {**load_file(folder / "model.safetensors"), **(tensors or {})}, folder / "model.safetensors", {"format": "pt"}
    )
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(written | config))


def add_head(folder: Path, layer: int, path: str = "model.layers") -> dict[str, torch.Tensor]:
    """A prediction layer behind the last: a decoder layer's tensors and a projection of its own."""
    own = {name: value for name, value in load_file(folder / "model.safetensors").items() if f"{path}.1." in name}
    head = {name.replace(f"{path}.1.", f"{path}.{layer}.", 1): torch.randn_like(value) for name, value in own.items()}
    head[f"{path}.{layer}.eh_proj.weight"] = torch.randn(32, 64)
    change(folder, head, num_nextn_predict_layers=1)
    return head


@pytest.mark.parametrize("name", ["deepseek-v3", "llama"])
def test_a_prediction_layer_stays_behind_the_last(name: str, tmp_path: Path) -> None:
    kind, options = families.FAMILIES[name]
    base = from_sizes(kind, **(families.COMMON | options))
    base.save_pretrained(tmp_path / "base")
    head = add_head(tmp_path / "base", 4)
    for way in WAYS:
        expand_checkpoint(str(tmp_path / "base"), tmp_path / way, [1, 3], certify=way)
    one, two = (stored(tmp_path / way) for way in WAYS)
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    for key, value in head.items():
        assert torch.equal(one[key.replace("layers.4.", "layers.6.")], value)
    for way in WAYS:
        config = json.loads((tmp_path / way / "config.json").read_text())
        assert (config["num_hidden_layers"], config["num_nextn_predict_layers"]) == (6, 1)
        assert torch.equal(
            AutoModelForCausalLM.from_pretrained(tmp_path / way).eval()(TOKENS).logits, base(TOKENS).logits
        )
    # expanded once more, from the shards that it now has
    expand_checkpoint(str(tmp_path / "logits"), tmp_path / "again", [0], certify="logits")
    again = stored(tmp_path / "again")
    assert all(torch.equal(again[key.replace("layers.4.", "layers.7.")], value) for key, value in head.items())


def test_heads_under_names_of_their_own_are_kept(tmp_path: Path) -> None:
    """Families of which transformers passes over `mtp...` without a word."""
    sizes = {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 16}
    sizes |= {"moe_layer_start_index": 0, "moe_layer_end_index": 99}
    from_sizes("ernie4_5_moe", **(families.COMMON | sizes)).save_pretrained(tmp_path / "base")
    head = {"mtp.0.proj.weight": torch.randn(3, 5)}
    change(tmp_path / "base", head)
    for way in WAYS:
        expand_checkpoint(str(tmp_path / "base"), tmp_path / way, [2], certify=way)
        assert torch.equal(stored(tmp_path / way)["mtp.0.proj.weight"], head["mtp.0.proj.weight"])


@pytest.mark.parametrize("method", ["full", "adept"])
def test_adapt_and_merge_keep_what_they_do_not_train(method: str, tiny_model: Path, texts: Any, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    head = add_head(base, 4)
    sets = {"training.tokens": 4 * 2 * 32, "training.length": 32, "training.batch_size": 2, "data.probe_documents": 4}
    more = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    call = ["adapt", "--model", str(base), "--corpus", str(texts[0]), "--probe-corpus", str(texts[1]), "--k", "1"]
    for name, seed in (("a", "0"), ("b", "1")):
        assert (
            main([*call, "--method", method, "--seed", seed, "--output", str(tmp_path / name), "--quiet", *more]) == 0
        )
    assert main(["merge", "--models", f"{tmp_path / 'a'},{tmp_path / 'b'}", "--output", str(tmp_path / "m")]) == 0
    for name in ("a", "b", "m"):
        config = json.loads((tmp_path / name / "config.json").read_text())
        depth = config["num_hidden_layers"]
        assert depth == (5 if method == "adept" else 4)
        assert config["num_nextn_predict_layers"] == 1
        held = stored(tmp_path / name)
        assert all(
            torch.equal(held[key.replace("layers.4.", f"layers.{depth}.")], value) for key, value in head.items()
        )


def too_deep(folder: Path) -> None:
    """The configuration was made shallower and the weights were not."""
    from_sizes("llama", **SMALL).save_pretrained(folder)
    change(folder, num_hidden_layers=2)


def more_than_counted(folder: Path) -> None:
    from_sizes("llama", **SMALL).save_pretrained(folder)
    change(folder, {"model.layers.3.eh.weight": torch.ones(2), "model.layers.4.eh.weight": torch.ones(2)})
    change(folder, num_nextn_predict_layers=1)


def task_head(tied: bool) -> Any:
    def save(folder: Path) -> None:
        torch.manual_seed(0)
        LlamaForSequenceClassification(LlamaConfig(**SMALL, num_labels=2, tie_word_embeddings=tied)).save_pretrained(
            folder
        )

    return save


def renamed(folder: Path) -> None:
    from_sizes("llama", **SMALL).save_pretrained(folder)
    change(folder, {"v_head.summary.weight": torch.ones(1, 16)})


REFUSED: dict[str, tuple[Any, str]] = {
    "a layer that is not in the configuration": (
        too_deep,
        r"stores layer 2, which its configuration does not have \(num_hidden_layers is 2\), first model.layers.2.input",
    ),
    "more layers than counted": (
        more_than_counted,
        r"stores layer 4, .* is 3, and counts 1 more\), first model.layers.4.eh",
    ),
    "a task head": (
        task_head(False),
        r"1 weight is missing from the checkpoint, first lm_head.weight; 1 weight is stored that it has no place for, "
        "first score.weight; saved as LlamaForSequenceClassification, and read as LlamaForCausalLM",
    ),
    "a task head beside a tied one": (
        task_head(True),
        r"1 weight is stored that it has no place for, first score.weight",
    ),
    "a value head": (renamed, r"1 weight is stored that it has no place for, first v_head.summary.weight"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_counted_is_refused_by_name_in_every_way(case: str, tmp_path: Path) -> None:
    save, message = REFUSED[case]
    save(tmp_path / "m")
    with pytest.raises(InputError, match=message):
        load_model(str(tmp_path / "m"))
    for way in (*WAYS, "auto"):
        with pytest.raises(InputError, match=message):
            expand_checkpoint(str(tmp_path / "m"), tmp_path / "o", [0], certify=way)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
