"""Sentences and documents about the world. Every function draws from the generator it is given and nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence

from adept_bench.lab.words import GENERAL, QUESTION, STORY_ENDINGS, STORY_MIDDLES, STORY_OPENINGS
from adept_bench.lab.world import Entity


def statements(entity: Entity, rng: random.Random) -> str:
    """All facts of an entity in random order, each by a random pattern of its attribute."""
    order = list(zip(entity.kind.attributes, entity.facts))
    rng.shuffle(order)
    return " ".join(rng.choice(attribute.patterns).format(name=entity.name, value=value) for attribute, value in order)


def begun(entity: Entity, index: int, rng: random.Random) -> str:
    """A sentence that states the entity's attribute `index`, up to its value, by one of the patterns that end so."""
    ending = [pattern for pattern in entity.kind.attributes[index].patterns if "{name}" in pattern.split("{value}")[0]]
    return rng.choice(ending).split("{value}")[0].strip().format(name=entity.name)


def question(entity: Entity, index: int) -> str:
    """The question about the entity's attribute `index`, without its answer."""
    return QUESTION.format(attribute=entity.kind.attributes[index].name, name=entity.name)


def answered(entities: Sequence[Entity], rng: random.Random, count: int = 3) -> str:
    """`count` answered questions about random ones of the entities, one after the other."""
    lines = []
    for _ in range(count):
        entity = rng.choice(entities)
        index = rng.randrange(len(entity.facts))
        lines.append(f"{question(entity, index)} {entity.facts[index]}.")
    return " ".join(lines)


def story(rng: random.Random) -> str:
    """A short story without named entities."""
    words = {a.name: rng.choice(a.values) for kind in GENERAL for a in kind.attributes}
    words["job2"] = rng.choice([job for job in GENERAL[0].attributes[0].values if job != words["job"]])
    middle = rng.sample(STORY_MIDDLES, 2)
    return " ".join(s.format(**words) for s in (rng.choice(STORY_OPENINGS), *middle, rng.choice(STORY_ENDINGS)))


def counting(rng: random.Random) -> str:
    """A run of numbers, upwards or downwards."""
    step = rng.choice((1, 1, 1, 2, 5, -1))
    start = rng.randint(0, 40) if step > 0 else rng.randint(12, 60)
    return "Count: " + " ".join(str(start + step * i) for i in range(9)) + "."


def word_list(rng: random.Random) -> str:
    """Values of one general attribute, named as what they are."""
    attribute = rng.choice([a for kind in GENERAL for a in kind.attributes])
    return f"Words for {attribute.name}: " + ", ".join(rng.sample(attribute.values, 6)) + "."
