"""The lab's tokenizer encodes any text, and every answer in one token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.lab import corpora, items
from adept_bench.lab.tokenizer import END, PAD, build_tokenizer

TOKENIZER = build_tokenizer()


@pytest.fixture
def tokenizer():
    return TOKENIZER


@settings(max_examples=200, deadline=None)
@given(text=st.text(min_size=1))
def test_any_text_comes_back(text):
    tokenizer = TOKENIZER
    # one leading space is the price of a space before the first word; the piece sign stands for a space
    text = text.lstrip(" ").replace("\u2581", "_").replace(PAD, "").replace(END, "")
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("name", corpora.NAMES)
def test_lab_text_needs_no_bytes_and_comes_back(tokenizer, name):
    texts = corpora.texts(name)
    for text, ids in zip(texts, tokenizer(texts)["input_ids"]):
        assert not any(piece.startswith("<0x") for piece in tokenizer.convert_ids_to_tokens(ids))
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("task", [t for t in items.TASKS if not t.endswith("generate")])
def test_every_choice_is_one_token_after_the_question(tokenizer, task):
    for item in items.items(task)[::5]:
        question = tokenizer(item["question"])["input_ids"]
        endings = []
        for choice in item["choices"]:
            whole = tokenizer(f"{item['question']} {choice}")["input_ids"]
            assert whole[:-1] == question
            endings.append(whole[-1])
        assert len(set(endings)) == len(endings)


def test_names_are_two_tokens(tokenizer):
    from adept_bench.lab.world import world

    assert {len(tokenizer(entity.name)["input_ids"]) for entity in world().entities} == {2}


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = corpora.texts("medical")[0] + " Zürich\n\t🙂"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert (loaded.pad_token, loaded.eos_token) == (PAD, END)
