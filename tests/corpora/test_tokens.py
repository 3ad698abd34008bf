"""Tokenising many documents equals tokenising each alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from adept_bench.corpora import tokens
from adept_bench.corpora.tokens import tokenize_documents
from adept_bench.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def word_tokenizer(*, bos: bool, eos: str | None = "<eos>") -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<bos>", "<eos>", "a", "b", "c"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<bos>", eos_token=eos)


def test_hand_computed() -> None:
    texts = ["a b c", "a", "", "c c <eos>", "b b"]
    plain = word_tokenizer(bos=False)
    assert tokenize_documents(plain, texts, max_length=None) == [[3, 4, 5], [5, 5, 2], [4, 4]]
    assert tokenize_documents(plain, texts, max_length=2) == [[3, 4], [5, 5], [4, 4]]
    assert tokenize_documents(plain, texts, max_length=1) == []
    ended = [[3, 4, 5, 2], [3, 2], [5, 5, 2], [4, 4, 2]]
    assert tokenize_documents(plain, texts, max_length=None, append_eos=True) == ended
    assert tokenize_documents(plain, texts, max_length=3, append_eos=True) == [[3, 4, 5], [3, 2], [5, 5, 2], [4, 4, 2]]
    with_bos = word_tokenizer(bos=True)
    assert tokenize_documents(with_bos, texts, max_length=3) == [[1, 3, 4], [1, 3], [1, 5, 5], [1, 4, 4]]


def test_no_end_token() -> None:
    with pytest.raises(InputError, match="no end-of-text token"):
        tokenize_documents(word_tokenizer(bos=False, eos=None), ["a b"], max_length=None, append_eos=True)


def test_equals_one_by_one_on_real_text(monkeypatch: pytest.MonkeyPatch) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    monkeypatch.setattr(tokens, "CHUNK", 3)  # several chunks, the last not full
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "stories260K-hf")
    lines = (SHARED / "text" / "medical_medquad.jsonl").read_text(encoding="utf-8").splitlines()[:10]
    texts = [json.loads(line)["text"] for line in lines]
    alone = [tokenizer(text)["input_ids"][:64] for text in texts]
    assert tokenize_documents(tokenizer, texts, max_length=64) == alone
    assert max(map(len, alone)) == 64
