"""`data.special_tokens`: what training, held-out and probe text becomes, and what log and result say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import qwen3
from tokenizer_kinds import TEXT, build

from adept_bench import progress
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
