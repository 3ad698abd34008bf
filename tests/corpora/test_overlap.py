"""Overlap with test items, against sets of n-grams in plain Python; copies; Chinese; real items where they are."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adept_bench.corpora import overlap
from adept_bench.corpora.overlap import COMMON, ItemNgrams, screened, units

SHARED = Path(__file__).parents[3] / "shared" / "data"


def plain_units(text: str) -> list[str]:
    """What `units` promises, one character at a time."""
    found, word = [], ""
    for character in unicodedata.normalize("NFKC", text).casefold() + " ":
        spaceless = any(
            low <= ord(character) <= high
            for low, high in (
                (0x3040, 0x30FF),
                (0x3400, 0x4DBF),
                (0x4E00, 0x9FFF),
                (0xF900, 0xFAFF),
                (0x20000, 0x3FFFF),
            )
        )
        joins = (character.isalnum()) and not spaceless
        if joins:
            word += character
            continue
        if word:
            found.append(word)
            word = ""
        if spaceless and character.isalnum():
            found.append(character)
    return found


def plain_grams(text: str, n: int) -> set[tuple[str, ...]]:
    words = units(text)
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}


def plain_hits(items: dict[str, list[list[str]]], documents: list[str], n: int) -> list[bool]:
    per_item = [set().union(*(plain_grams(text, n) for text in item)) for each in items.values() for item in each]
    counts: dict[tuple[str, ...], int] = {}
    for grams in per_item:
        for gram in grams:
            counts[gram] = counts.get(gram, 0) + 1
    rare = {gram for gram, count in counts.items() if count <= COMMON}
    return [bool(plain_grams(document, n) & rare) for document in documents]


def found(items: dict[str, list[list[str]]], documents: list[str], n: int) -> list[str | None]:
    return [document.task for document in screened(documents, ItemNgrams(items, n))]


words = st.lists(st.sampled_from(["a", "b", "c", "水", "银", "d-e", "F."]), max_size=14).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(
    items=st.dictionaries(st.sampled_from("xyz"), st.lists(st.lists(words, min_size=1, max_size=3), max_size=14)),
    documents=st.lists(words, max_size=12),
    n=st.integers(2, 6),
    batch=st.sampled_from([1, 20, 1 << 20]),
)
def test_hits_are_those_of_sets_of_ngrams(
    items: dict[str, list[list[str]]], documents: list[str], n: int, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "BATCH", batch)
        tasks = found(items, documents, n)
    assert [task is not None for task in tasks] == plain_hits(items, documents, n)
    for task, document in zip(tasks, documents, strict=True):
        if task is not None:  # the task named does hold an n-gram of the document
            assert any(plain_grams(text, n) & plain_grams(document, n) for item in items[task] for text in item)


@settings(deadline=None)
@given(st.text(st.sampled_from("aB1_ .,ßİé水銀カｶ한ﬁ①𠀀\u0301-"), max_size=30))
def test_units_are_words_and_single_characters(text: str) -> None:
    assert units(text) == plain_units(text)


def test_normalised_text_is_what_is_compared() -> None:
    item = "A 45-year-old man has had fever for three days; which of the following is the cause?"
    items = {"medqa": [[item, "malaria influenza"]]}
    same = "“a 45 YEAR old man has had\n\nfever, for three days: which of the following is the cause”"
    other = item.replace("fever", "a cough")
    assert found(items, [same, other, ""], 13) == ["medqa", None, None]
    chinese = "下列关于慢性支气管炎的说法中，错误的一项是哪一个？"
    assert found({"cmb": [[chinese]]}, ["题目:下列关于 慢性支气管炎 的说法中错误的一项是", "慢性支气管炎"], 13) == [
        "cmb",
        None,
    ]


def test_a_phrase_of_many_items_is_no_item() -> None:
    phrase = "one two three four five six seven eight nine ten eleven twelve thirteen"
    items = [
        [f"{phrase} item{number} with an end of its own that makes thirteen words more of it {number}"]
        for number in range(COMMON + 1)
    ]
    few = ItemNgrams({"t": items[:COMMON]}, 13)
    many = ItemNgrams({"t": [*items, [phrase], ["too short"]]}, 13)
    assert few.first_hits([units(phrase)]) == ["t"]
    assert many.first_hits([units(phrase)]) == [None]
    assert (few.skipped, many.skipped) == ({"t": 0}, {"t": 2})
    assert many.counts == {"t": COMMON + 3}


def test_ngrams_do_not_cross_documents_nor_texts_of_an_item() -> None:
    items = {"t": [["a b c d", "e f g h"]]}
    assert found(items, ["a b", "c d", "c d e f", "x a b c d y"], 4) == [None, None, None, "t"]


def test_digests_tell_texts_apart_by_their_units() -> None:
    same, again, other, symbols, more = screened(["A  b, c!", "a B c", "a bc", "?!", "!?"], None)
    assert same.digest == again.digest
    assert len({same.digest, other.digest, symbols.digest, more.digest}) == 4


def test_identity_is_of_items_and_length() -> None:
    identities = {
        ItemNgrams(items, n).identity for n in (5, 6) for items in ({"t": [["a"]]}, {"t": [["b"]]}, {"u": [["a"]]})
    }
    assert len(identities) == 6


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data beside the checkout")
def test_real_items_are_found_in_real_text_and_only_where_they_are() -> None:
    gsm8k = [json.loads(line) for line in (SHARED / "eval/gsm8k_test.jsonl").read_text(encoding="utf-8").splitlines()]
    medqa = [
        json.loads(line) for line in (SHARED / "eval/medqa_test_300.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    with open(SHARED / "eval/cmmlu/anatomy_test.csv", encoding="utf-8") as handle:
        cmmlu = [row["Question"] for row in csv.DictReader(handle)]
    items = {
        "gsm8k": [[row["question"], row["answer"]] for row in gsm8k],
        "medqa": [[row["question"]] for row in medqa],
        "cmmlu": [[question] for question in cmmlu],
    }
    lines = (SHARED / "text/math_gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:1500]
    documents = [json.loads(line)["text"] for line in lines]
    documents += [f"Some page.\n{row['question'].upper()}\nmore" for row in medqa[:50]]
    assert [task is not None for task in found(items, documents, 13)] == plain_hits(items, documents, 13)
    index = ItemNgrams(items, 13)
    for task, texts in (("medqa", [row["question"] for row in medqa]), ("gsm8k", [row["question"] for row in gsm8k])):
        hits = index.first_hits([units(text) for text in texts])
        assert sum(hit is not None for hit in hits) >= len(texts) - index.skipped[task]
