"""Special tokens around a text and in it: counted, never doubled, and read as text where that is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizer_kinds import FRAMES, KINDS, build
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from adept_bench.corpora.large import LargeText, SmallText, open_corpus
from adept_bench.corpora.specials import Frame, as_text, frame_of, literal
from adept_bench.corpora.tokens import tokenize_documents
from adept_bench.errors import InputError

AROUND = {"none": ((), ()), "bos": ((1,), ()), "eos": ((), (2,)), "both": ((1,), (2,))}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_tokenizer_puts_around_a_text(kind: str, frame: str) -> None:
    assert frame_of(build(kind, frame)) == Frame(*AROUND[frame])


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_document_that_has_its_special_tokens_does_not_get_them_twice(kind: str, frame: str) -> None:
    tokenizer = build(kind, frame)
    plain = tokenizer("the heart", add_special_tokens=False)["input_ids"]
    before, after = map(list, AROUND[frame])
    texts = ["the heart", "<s>the heart</s>", "<s><s>the heart</s></s>", "the heart</s>"]
    read = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert [ids[0] for ids in read[1:3]] == [1, 1]
    expected = [[*before, *plain, *after], read[1], read[2], [*before, *read[3]]]
    assert tokenize_documents(tokenizer, texts, max_length=None) == expected
    ended = [[*before, *plain, 2], *expected[1:]]
    assert tokenize_documents(tokenizer, texts, max_length=None, append_eos=True) == ended


def test_special_tokens_in_the_text_are_counted() -> None:
    tokenizer = build("byte-level", "bos")
    texts = ["<s>one</s>", "two", "a </s></s> b <pad>", "<S> < s >"]
    assert literal(tokenizer, texts) == {"texts": 2, "found": {"</s>": 3, "<pad>": 1, "<s>": 1}}
    assert literal(tokenizer, ["none", ""]) == {}
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    assert literal(tokenizer, ["<|im_start|>user"])["found"] == {"<|im_start|>": 1}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_read_as_text_they_are_characters(kind: str, frame: str) -> None:
    tokenizer = build(kind, frame)
    reader = as_text(tokenizer)
    assert (reader.bos_token_id, reader.eos_token_id, frame_of(reader)) == (1, 2, Frame(*AROUND[frame]))
    before, after = map(list, AROUND[frame])
    for text in ("the heart", "blood, water"):  # nothing special: nothing changes
        assert reader(text)["input_ids"] == tokenizer(text)["input_ids"]
    (found,) = tokenize_documents(reader, ["<s>the heart</s> the blood"], max_length=None)
    inner = found[len(before) : len(found) - len(after)]
    assert found == [*before, *inner, *after]
    assert not {1, 2} & set(inner)
    if kind == "byte-level":  # the one that can write every character
        assert reader.decode(inner) == "<s>the heart</s> the blood"
    assert tokenizer("<s>", add_special_tokens=False)["input_ids"] == [1]  # it is as before itself


def test_a_vocabulary_that_has_them_as_words_is_refused() -> None:
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    with pytest.raises(InputError, match=r"data\.special_tokens: text: the tokenizer reads '</s>' as that token"):
        as_text(tokenizer)


def test_large_text_counts_them_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "text.jsonl"
    texts = [f"<s>the heart {number}</s>" for number in range(9)] + ["blood"]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    tokenizer = build("byte-level", "both")
    small, big = open_corpus(str(file)), open_corpus(str(file), in_memory=0, load_tokenizer=lambda: tokenizer)
    assert isinstance(small, SmallText)
    assert isinstance(big, LargeText)
    expected = {"texts": 9, "found": {"</s>": 9, "<s>": 9}}
    assert small.literal(tokenizer) == big.literal(tokenizer) == expected
    reader = as_text(tokenizer)
    for read_by in (tokenizer, reader):  # each has its own tokens in the cache
        documents = [document.tolist() for document in big.tokens(read_by)]
        assert documents == tokenize_documents(read_by, texts, max_length=None, append_eos=True)
    assert big.tokens(reader).total > big.tokens(tokenizer).total
