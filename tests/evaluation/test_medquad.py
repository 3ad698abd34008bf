"""Items made from MedQuAD: what every one must hold, on documents of our own in its form."""

import pytest

from adept_bench.evaluation.medquad import CHOICES, WORDS, beginning, make

KINDS = {
    "What is (are) {} ?": "Key Points - {} is a disease of the {} tissue",
    "What causes {} ?": "Nobody knows why {} begins in people who have had it for many years",
}


def documents(count=7):
    names = [f"{first} illness" for first in "amber birch cedar dune ember fjord grove".split()[:count]]
    return [
        f"{question.format(name)}\n{opening.format(name, name.split()[0])} "
        + " ".join(f"{name.split()[0][:2]}{at}" for at in range(40))
        for name in names
        for question, opening in KINDS.items()
    ]


@pytest.fixture(scope="module")
def items():
    return make(documents(), 200)


def test_every_document_is_asked_once(items):
    assert len({item["question"] for item in items}) == 14


def test_the_right_choice_is_the_beginning_of_its_own_answer(items):
    for item in items:
        name = item["question"].split()[-2]
        right = item["choices"][item["answer"]]
        assert right.split().count(f"{name[:2]}3") == 1
        assert all(f"{name[:2]}3" not in choice.split() for choice in item["choices"] if choice != right)


def test_choices_are_alike_in_type_and_length_and_name_no_subject(items):
    for item in items:
        assert len(set(item["choices"])) == CHOICES
        assert {len(choice.split()) for choice in item["choices"]} == {WORDS}
        words = {word for choice in item["choices"] for word in choice.lower().split()}
        assert not words & set("amber birch cedar dune ember fjord grove".split())
        assert not any(choice.startswith("Key Points") for choice in item["choices"])
        of_kind = "is a disease" if item["question"].startswith("What is") else "Nobody knows"
        assert all(of_kind in choice for choice in item["choices"])


def test_the_same_documents_give_the_same_items_at_even_distances(items):
    assert make(documents(), 200) == items
    assert [item["id"] for item in make(documents(), 7)] == [item["id"] for item in items[::2]]


def test_too_few_diseases_make_no_item():
    assert make(documents(count=3), 200) == []


def test_a_short_answer_has_no_beginning():
    assert beginning("Three short words", "illness") == ""
