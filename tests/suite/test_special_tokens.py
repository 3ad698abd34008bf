"""`data.special_tokens`: what training, held-out and probe text becomes, and what log and result say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import qwen3
from tokenizer_kinds import TEXT, build

from adept_bench import progress
from adept_bench.adapt.merged import merge_checkpoints
from adept_bench.adapt.run import estimated_tokens
from adept_bench.config.loading import resolve
from adept_bench.progress import Silent
from adept_bench.suite.base import BaseMeasurements
from adept_bench.suite.evaluate import document_losses, evaluation_key
from adept_bench.suite.inputs import Inputs


class Heard(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def config(tmp_path: Path) -> Any:
    folder = tmp_path / "model"
    qwen3(vocab_size=360, num_hidden_layers=2, max_position_embeddings=128).save_pretrained(folder)
    build("byte-level", "both").save_pretrained(folder)
    sources = {}
    for name, wrapped in (("domain", "<s>{}</s>"), ("general", "{}")):
        texts = [wrapped.format(f"{text} number {number}") for number in range(40) for text in set(TEXT)]
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        sources[name] = f"data.{name}={file}"
    return lambda *more: resolve("medical", model=str(folder), overrides=[*sources.values(), *more])


def test_by_default_they_are_tokens_and_nothing_is_written_of_the_setting(config: Any) -> None:
    plain, named = config(), config("data.special_tokens=token")
    assert plain == named
    assert "special_tokens" not in plain.model_dump(mode="json")["data"]
    inputs = Inputs(plain, 0)
    assert inputs.reader is inputs.tokenizer
    documents = inputs.training_documents("domain")
    assert {(ids.tolist().count(1), ids.tolist().count(2)) for ids in documents} == {(1, 1)}


@pytest.mark.parametrize(("as_text", "reading"), [(False, "tokens"), (True, "plain text")])
def test_the_estimate_of_adapt_reads_as_it_is_told_and_says_so(config: Any, as_text: bool, reading: str) -> None:
    inputs = Inputs(config("data.special_tokens=text" if as_text else "data.special_tokens=token"), 0)
    source = inputs.config.data.domain
    heard = Heard()
    progress.use(heard)
    try:
        found = estimated_tokens(inputs.tokenizer, source, as_text)
    finally:
        progress.use(Silent())
    texts = [json.loads(line)["text"] for line in Path(source).read_text().splitlines()]
    assert found == sum(len(inputs.reader(text).input_ids) for text in texts)
    (line,) = heard.lines
    assert line.startswith(f"{source}, of {len(texts)} documents whose tokens are counted: special tokens stand in ")
    assert f"('</s>' {len(texts)}, '<s>' {len(texts)}), read as {reading}; data.special_tokens=" in line


def test_merge_says_how_it_reads_them(config: Any, tmp_path: Path) -> None:
    folder, source = config().model.source, config().data.domain
    (Path(folder) / "expansion.json").write_text('{"base_hash": "x", "base_layers": 2, "layers": []}')
    heard = Heard()
    progress.use(heard)
    try:
        merge_checkpoints([folder, folder], tmp_path / "merged", corpora=[source])
    finally:
        progress.use(Silent())
    assert heard.lines[0].startswith(f"{source}: special tokens stand in the text of 100 documents (")
    assert heard.lines[0].endswith("read as tokens")


def test_as_text_they_are_characters_everywhere(config: Any) -> None:
    inputs = Inputs(config("data.special_tokens=text"), 0)
    plain = Inputs(config(), 0)
    for documents in (inputs.training_documents("domain"), inputs.probe_documents("domain", "layers")):
        first = list(documents[0])
        assert inputs.tokenizer.decode(first[1:]).startswith("<s>")
        assert first.count(1) == 1
    model = plain.load_base()
    assert document_losses(model, inputs, "heldout")["domain"] != document_losses(model, plain, "heldout")["domain"]
    # what is measured once is kept apart
    assert evaluation_key(inputs, {}) != evaluation_key(plain, {})
    assert BaseMeasurements(inputs, Path("nowhere"))._reading() == {"special_tokens": "text"}
    assert BaseMeasurements(plain, Path("nowhere"))._reading() == {}


@pytest.mark.parametrize("reading", ["token", "text"])
def test_log_and_result_say_how_many(config: Any, reading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    monkeypatch.setattr(progress, "_current", heard)
    inputs = Inputs(config(f"data.special_tokens={reading}"), 0)
    found = inputs.notes
    assert set(found) == {"domain", "domain_heldout", "domain_validation", "domain_probe"}
    account = found["domain"]["special_tokens"]
    documents = len(inputs.training_documents("domain"))
    assert account == {"texts": documents, "found": {"<s>": documents, "</s>": documents}, "read_as": reading}
    said = [line for line in heard.lines if "special tokens stand in the text" in line]
    assert len(said) == 4
    assert f"'<s>' {documents}" in said[0]
    assert f"data.special_tokens={'text' if reading == 'token' else 'token'} reads them" in said[0]
