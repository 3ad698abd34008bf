"""The lab's evaluation items: multiple choice among 16 values of the same attribute, and generated sums."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from adept_bench.errors import unknown_name
from adept_bench.lab import arithmetic, render
from adept_bench.lab.world import WORLD_SEED, Entity, world

CHOICES = 16
MATH_ITEMS = {"test": 640, "validation": 160}

# task: population and split of the entities it asks about
_QUESTIONS = {
    "lab_general": ("general", "test"),
    "lab_general_validation": ("general", "validation"),
    "lab_medical_new": ("new", "test"),
    "lab_medical_validation": ("new", "validation"),
    "lab_medical_known": ("known", "test"),
    "lab_medical_once": ("once", "test"),
    "lab_medical_once_validation": ("once", "validation"),
}
_STATEMENTS = {"lab_general_statement": "lab_general"}  # the same facts, choices and order, begun as a statement
_SUMS = {
    "lab_math_choice": "test",
    "lab_math_generate": "test",
    "lab_math_validation": "validation",
}
TASKS = (*_QUESTIONS, *_STATEMENTS, *_SUMS)


def _with_distractors(answer: str, others: Sequence[str], rng: random.Random) -> tuple[list[str], int]:
    """The answer among CHOICES - 1 of the others, shuffled, and its index."""
    choices = [answer, *rng.sample([o for o in others if o != answer], CHOICES - 1)]
    rng.shuffle(choices)
    return choices, choices.index(answer)


def _questions(entities: Sequence[Entity], rng: random.Random) -> list[dict[str, Any]]:
    items = []
    for entity in entities:
        for index, (attribute, value) in enumerate(zip(entity.kind.attributes, entity.facts)):
            choices, answer = _with_distractors(value, attribute.values, rng)
            items.append(
                {
                    "id": f"{entity.name}/{attribute.name}",
                    "question": render.question(entity, index),
                    "choices": choices,
                    "answer": answer,
                }
            )
    return items


def _statements(
    entities: Sequence[Entity], asked: Sequence[dict[str, Any]], rng: random.Random
) -> list[dict[str, Any]]:
    """The facts of `asked` as sentences of the corpora, up to the value: no question form is needed to recall them."""
    facts = [(entity, index) for entity in entities for index in range(len(entity.facts))]
    return [
        {**item, "question": render.begun(entity, index, rng)}
        for (entity, index), item in zip(facts, asked, strict=True)
    ]


def _sums(split: str, generated: bool, rng: random.Random) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    seen: set[str] = set()
    while len(items) < MATH_ITEMS[split]:
        problem = arithmetic.problem(rng, arithmetic.NEW, split)
        if problem.text in seen:
            continue
        seen.add(problem.text)
        item: dict[str, Any] = {"id": f"sum/{len(items)}"}
        if generated:
            item |= {"question": f"Problem: {problem.text} Steps:", "answer": str(problem.answer)}
        else:
            lowest = max(0, problem.answer - 12)
            near = [str(number) for number in range(lowest, lowest + 25)]
            choices, answer = _with_distractors(str(problem.answer), near, rng)
            item |= {"question": f"Problem: {problem.text} Answer:", "choices": choices, "answer": answer}
        items.append(item)
    return items


@cache
def _items(task: str) -> tuple[dict[str, Any], ...]:
    rng = random.Random(f"{WORLD_SEED} {task}")
    if task in _SUMS:
        return tuple(_sums(_SUMS[task], task.endswith("generate"), rng))
    if task in _STATEMENTS:
        asked = _STATEMENTS[task]
        return tuple(_statements(world().of(*_QUESTIONS[asked]), _items(asked), rng))
    return tuple(_questions(world().of(*_QUESTIONS[task]), rng))


def items(task: str) -> list[dict[str, Any]]:
    """The items of a lab task, in a fixed order; raises InputError for a task that is none of `TASKS`.

    Multiple choice: id, question, choices (16 words), answer (index). Generated: id, question, answer (text).
    """
    if task not in TASKS:
        raise unknown_name("lab task", "task", task, TASKS)
    return [dict(item) for item in _items(task)]
