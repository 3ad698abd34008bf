"""Tokenizers that do not fit their model, or are broken: one line of ours before any work, whatever the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from adept_bench.__main__ import main
from adept_bench.errors import InputError
from adept_bench.models.checkpoints import load_tokenizer, stored_tokenizer


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
    "cut off": ('{"version": "1.0", "model": {"type":', "tokenizer.json:1: is damaged, no JSON"),
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


def test_expand_copies_no_damaged_tokenizer(folder: Path, tmp_path: Path, capsys: Any) -> None:
    (folder / "tokenizer.json").write_text('{"version":')
    assert main(["expand", "--model", str(folder), "--layers", "1", "--output", str(tmp_path / "o"), "--quiet"]) == 2
    assert "tokenizer.json:1: is damaged, no JSON" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
