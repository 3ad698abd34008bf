"""Whatever the checkpoint and the corpus: plain transformers' number, or exit 2 with one line and nothing written."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fuzzed_inputs import DAMAGES, HARMLESS, Checkpoint, Corpus, build_once, checkpoints, corpora, fresh
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from adept_bench.__main__ import main

LENGTH = 24
EXAMPLES = int(os.environ.get("ADEPT_BENCH_FUZZ", "12"))
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="ADEPT_BENCH_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # an example takes a second: what fails is small as it is drawn
)
WHOLE = Corpus(("the heart filters blood, fever: 7.5", "Kidneys filter zucker"), "jsonl", "utf-8", "\n", "none")
PLAIN = Checkpoint("qwen3", "byte-level", "bos", "float32", False, 5, "none")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@contextmanager
def descriptors() -> Iterator[list[str]]:
    """What is written to stdout and stderr meanwhile, by whichever library."""
    said: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            with open(1, "w", closefd=False) as stdout, open(2, "w", closefd=False) as stderr:
                before = sys.stdout, sys.stderr
                sys.stdout, sys.stderr = stdout, stderr
                try:
                    yield said
                finally:
                    sys.stdout, sys.stderr = before
        finally:
            for place, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, place)
                os.close(descriptor)
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode())


def run(*arguments: object) -> str:
    """What was said where the command refused its input, just one line then; empty where it did its work."""
    with descriptors() as said:
        code = main([str(one) for one in [*arguments, "--quiet"]])
    out, err = said
    if code == 2:
        assert out == ""
        assert err.count("\n") == 1, err
        assert len(err) > 20
        assert "Traceback" not in err
        assert "\x1b" not in err
    assert code in (0, 2), err
    return err if code else ""


def plain_ids(checkpoint: Checkpoint, text: str) -> list[int]:
    """The text's tokens in the tokenizer's frame, of which the text may bring a part along."""
    tokenizer = build_once(checkpoint.tokenizer, checkpoint.frame)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if checkpoint.frame in ("bos", "both") and ids[:1] != [1]:
        ids = [1, *ids]
    if checkpoint.frame in ("eos", "both") and ids[-1:] != [2]:
        ids = [*ids, 2]
    return list(ids)


def plain_loss(folder: Path, documents: Sequence[Sequence[int]]) -> float:
    """Mean over documents of their mean loss, one by one, by plain transformers."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    losses = []
    for ids in documents:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([list(ids)])).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(list(ids)[1:])).item())
    return sum(losses) / len(losses)


def documents_of(checkpoint: Checkpoint, corpus: Corpus) -> list[list[int]]:
    """As docs/corpora.md has it: what is only white space is no document, what is one token predicts nothing."""
    found = (plain_ids(checkpoint, text)[:LENGTH] for text in corpus.texts if text.strip())
    return [ids for ids in found if len(ids) > 1]


def probe(place: Path, checkpoint: Checkpoint, corpus: Corpus) -> None:
    """Probe the layers, and hold what comes of it against plain transformers."""
    work = fresh(place / "probe")
    folder, file, output = checkpoint.write(work / "model"), corpus.write(work), work / "layers.json"
    before = sorted(path.name for path in folder.iterdir())
    refusal = run("probe", "layers", "--model", folder, "--corpus", file, "--max-length", LENGTH, "--output", output)
    assert sorted(path.name for path in folder.iterdir()) == before
    documents = documents_of(checkpoint, corpus)
    if refusal:
        assert not output.exists()
        whole = checkpoint.damage == "none" and corpus.readable and documents
        assert not whole or checkpoint.family == "mamba", refusal
        return
    assert checkpoint.damage in HARMLESS
    assert corpus.readable
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["base_loss"] == pytest.approx(plain_loss(folder, documents), abs=1e-4)
    assert len(report["layers"]) == 4


def expand(place: Path, checkpoint: Checkpoint) -> None:
    """Expand it, and hold the folder against its base, both by plain transformers."""
    work = fresh(place / "expand")
    folder, output = checkpoint.write(work / "model"), work / "expanded"
    refusal = run("expand", "--model", folder, "--layers", "1,2", "--output", output)
    if refusal:
        assert [path.name for path in work.iterdir()] == ["model"]
        assert checkpoint.damage != "none" or checkpoint.family == "mamba", refusal
        return
    # layers are named, so no text is read: a tokenizer goes along as it is
    assert checkpoint.damage in (*HARMLESS, "no tokenizer", "larger tokenizer")
    documents = [plain_ids(checkpoint, text) for text in WHOLE.texts]
    assert plain_loss(output, documents) == pytest.approx(plain_loss(folder, documents), abs=1e-6)
    assert json.loads((output / "config.json").read_text(encoding="utf-8"))["vocab_size"] > 0
    if checkpoint.damage != "no tokenizer":
        again = AutoTokenizer.from_pretrained(output)
        assert again(WHOLE.texts[0])["input_ids"] == AutoTokenizer.from_pretrained(folder)(WHOLE.texts[0])["input_ids"]


@FUZZED
@given(corpus=corpora(), checkpoint=checkpoints(["none"]))
def test_any_corpus_on_any_whole_checkpoint(place: Path, corpus: Corpus, checkpoint: Checkpoint) -> None:
    probe(place, checkpoint, corpus)


@FUZZED
@given(checkpoint=checkpoints(["none"]))
def test_any_whole_checkpoint_is_expanded_as_it_is(place: Path, checkpoint: Checkpoint) -> None:
    expand(place, checkpoint)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "none"])
@settings(FUZZED, max_examples=max(1, EXAMPLES // 12))
@given(data=st.data())
def test_damaged_checkpoints_are_refused_or_right(place: Path, damage: str, data: st.DataObject) -> None:
    checkpoint = data.draw(checkpoints([damage]))
    for one in (checkpoint, replace(PLAIN, damage=damage)):
        probe(place, one, WHOLE)
        expand(place, one)
