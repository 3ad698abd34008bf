"""Multiple choice made from MedQuAD by rule: which of four beginnings of answers belongs to this question?"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from adept_bench.corpora.reading import held_out_rank, spread
from adept_bench.corpora.sets.rules import asked
from adept_bench.corpora.sets.source import part_of

TASKS = {"medquad_train": "train", "medquad_heldout": "heldout"}
"""Task to the part of set:medquad that its questions, right and wrong answers are all of."""
ITEMS, CHOICES, WORDS, NAMED_BY = 200, 4, 20, 3
"""Items at most, choices of each, words of every choice, and diseases that a word which tells them apart may name."""

_SPACES = re.compile(r"\s+")


def items(task: str) -> list[dict[str, Any]]:
    """The items of `task`: {"id", "question", "choices", "answer": index}, the same for the same documents.

    The wrong answers are those of three other diseases to questions of the same type, of the same part, so that having
    been trained on tells nothing. Every choice is the first 20 words of an answer, behind "Key Points" where it opens
    so, in which its own question's subject is written "it": the name alone would give the right one away.
    """
    return make(part_of("medquad", TASKS[task]), ITEMS)


def make(documents: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Items of MedQuAD documents (`items`), at most so many, at even distances."""
    by_kind: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    common = _common_words(asked(text)[1] for text in documents)
    for text in documents:
        kind, subject = asked(text)
        question, _, answer = text.partition("\n")
        if kind != "other" and (cut := beginning(answer, subject, common)):
            by_kind[kind].append((subject, " ".join(question.replace("?", " ").split()) + "?", cut))
    found = [item for rows in by_kind.values() for item in _of_kind(rows)]
    return spread(found, most)


def _common_words(subjects: Iterable[str]) -> set[str]:
    """Words in the subjects of several diseases, such as cancer or syndrome: they do not tell which one is meant."""
    diseases = Counter(word for subject in set(subjects) for word in set(subject.split()))
    return {word for word, count in diseases.items() if count > NAMED_BY or len(word) < 4}


def beginning(answer: str, subject: str, common: Collection[str] = ()) -> str:
    """The first 20 words of an answer without its subject, nor the words of it that are not `common`; "" where it has
    fewer."""
    names = sorted({subject, *(word for word in subject.split() if word not in common)}, key=len, reverse=True)
    pattern = r"\b(?:" + "|".join(re.escape(name) for name in names) + r")\b"
    plain = answer.strip().removeprefix("Key Points - ")
    hidden = re.sub(rf"{pattern}(?:\W*{pattern})*", "it", plain, flags=re.IGNORECASE)
    words = _SPACES.sub(" ", hidden).strip().split(" ")
    return " ".join(words[:WORDS]) if len(words) >= WORDS else ""


def _of_kind(rows: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Items of the questions of one type: none where fewer than four diseases have it."""
    found = []
    for subject, question, right in rows:
        others: Mapping[str, str] = {other: cut for other, _, cut in rows if other != subject and cut != right}
        wrong = sorted(set(others.values()), key=lambda cut: held_out_rank(f"{question}|{cut}".encode()))[: CHOICES - 1]
        if len(wrong) < CHOICES - 1:
            continue
        choices = sorted([right, *wrong], key=lambda cut: held_out_rank(cut.encode()))
        found.append({"id": question, "question": question, "choices": choices, "answer": choices.index(right)})
    return found
