"""Tokenizers that do not fit their model, or are broken: one line of ours before any work, whatever the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import families
import pytest
from builders import from_sizes
from transformers import AutoTokenizer

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.models.checkpoints import load_tokenizer, stored_tokenizer
from adept_bench.models.declared import check_special_ids


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "m"))


def add(folder: Path, *tokens: str, **special: str) -> int:
    """The tokenizer with more tokens, saved; the embedding's rows."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(tokens))
    tokenizer.add_special_tokens(special)
    tokenizer.save_pretrained(folder)
    return int(json.loads((folder / "config.json").read_text())["vocab_size"])


def test_ids_beyond_the_embedding_are_named(folder: Path) -> None:
    rows = add(folder, "<one>", "<two>", pad_token="<pad!>")
    named = rf"\(vocab_size {rows}\): {rows} \('<one>'\), {rows + 1} \('<two>'\), {rows + 2} \('<pad!>'\); "
    for load in (load_tokenizer, stored_tokenizer):
        with pytest.raises(InputError, match=rf"^--model: the tokenizer of {folder} .*{named}.*ings\({rows + 3}\)$"):
            load(str(folder))
    add(folder, *(f"<t{i}>" for i in range(20)))
    with pytest.raises(InputError, match=r"'<t2>'\) and 17 more; expected"):
        load_tokenizer(str(folder))


def test_a_smaller_tokenizer_is_fine(folder: Path) -> None:
    """Embeddings are often padded to a round number of rows."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + 100}))
    assert len(load_tokenizer(str(folder))) < config["vocab_size"] + 100


BROKEN: dict[str, tuple[str, str]] = {
    "cut off": ('{"version": "1.0", "model": {"type":', "tokenizer.json:1: broken JSON"),
    "another format": ('{"model": {"type": "Nothing", "vocab": {}}}', "cannot load a tokenizer"),
    "not an object": ("[]", "tokenizer.json: is no JSON object"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("command", ["probe", "adapt", "merge", "expand"])
def test_a_broken_or_larger_tokenizer_is_one_line(
    case: str, command: str, folder: Path, texts: Any, tmp_path: Path, capsys: Any
) -> None:
    content, words = BROKEN[case]
    (folder / "tokenizer.json").write_text(content)
    (folder / "expansion.json").write_text('{"base_hash": "x", "base_layers": 4, "layers": []}')
    own, corpus, output = ["--model", str(folder)], ["--corpus", str(texts[0])], ["--output", str(tmp_path / "o")]
    call = {
        "probe": ["probe", "layers", *own, *corpus],
        "adapt": ["adapt", *own, *corpus, "--method", "full", *output],
        "merge": ["merge", "--models", f"{folder},{folder}", *output],
        "expand": ["expand", *own, *output, "--select", "importance", "--k", "1", *corpus],
    }[command]
    capsys.readouterr()
    assert main([*call, "--quiet"]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert "\n" not in error
    for theirs in ("line ", "Exception", "huggingface.co", "json_schema", "untagged enum", "object has no attribute"):
        assert theirs not in error
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("file", "ids", "named"),
    [
        ("config.json", {"eos_token_id": 5000}, "eos_token_id 5000"),
        ("config.json", {"pad_token_id": 1130, "bos_token_id": 0}, "pad_token_id 1130"),
        (
            "generation_config.json",
            {"eos_token_id": [1, 7000], "bos_token_id": 6000},
            "bos_token_id 6000, eos_token_id 7000",
        ),
    ],
)
def test_special_ids_beyond_the_embedding_are_named(
    file: str, ids: dict[str, Any], named: str, folder: Path, texts: Any, tmp_path: Path, capsys: Any
) -> None:
    stored = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(stored | ids))
    own, corpus, output = ["--model", str(folder)], ["--corpus", str(texts[0])], ["--output", str(tmp_path / "o")]
    for call in (
        ["probe", "layers", *own, *corpus],
        ["expand", *own, *output, "--layers", "1"],
        ["adapt", *own, *corpus, "--method", "full", *output],
    ):
        assert main([*call, "--quiet"]) == 2
        error = capsys.readouterr().err
        assert error == (
            f"--model: {file} of {folder} names special tokens that the model has no embedding for (vocab_size 1130): "
            f"{named}; expected ids below 1130\n"
        )
    assert not (tmp_path / "o").exists()


def test_what_a_family_has_by_default_is_not_held_against_a_model_with_a_vocabulary_of_its_own(tmp_path: Path) -> None:
    kind, options = families.FAMILIES["gpt2"]
    from_sizes(kind, **(families.COMMON | options)).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == 50256
    check_special_ids(str(tmp_path))
    change = json.loads((tmp_path / "config.json").read_text()) | {"eos_token_id": 96}
    (tmp_path / "config.json").write_text(json.dumps(change))
    with pytest.raises(InputError, match="eos_token_id 96; expected ids below 96"):
        check_special_ids(str(tmp_path))


def test_expand_copies_no_damaged_tokenizer(folder: Path, tmp_path: Path, capsys: Any) -> None:
    (folder / "tokenizer.json").write_text('{"version":')
    assert main(["expand", "--model", str(folder), "--layers", "1", "--output", str(tmp_path / "o"), "--quiet"]) == 2
    assert "tokenizer.json:1: broken JSON" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
