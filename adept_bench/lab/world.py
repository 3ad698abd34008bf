"""The lab world: invented entities and the facts about them, from one fixed seed.

Four populations: `general` (people, places, animals; in the base's pretraining), `known` (drugs and diseases that are
in the base's pretraining), `new` (drugs and diseases that only `lab:medical` states) and `once` (as `new`, stated by
`lab:medical-once` alone, so many that a budget reads each document once). Each population is split by entity: `asked`
entities also occur in question form in training, `validation` entities are asked about when a learning rate is chosen,
`test` entities when a cell is evaluated; `told` ones are stated and never asked about. No question about a validation
or test entity occurs in any corpus; an answer needs a fact read as a statement and a question form learnt from other
entities.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from adept_bench.lab.words import CODAS, GENERAL, MEDICAL, ONSETS, Kind

WORLD_SEED = 20251010

ONCE_ENTITIES = 500  # of the one-pass world; how they were chosen: docs/lab.md

# entities a kind in each split: asked, validation, test, told
SPLITS: dict[tuple[str, str], tuple[int, ...]] = {
    ("general", "person"): (40, 20, 72),
    ("general", "place"): (40, 20, 72),
    ("general", "animal"): (40, 20, 72),
    ("known", "drug"): (40, 0, 84),
    ("known", "disease"): (40, 0, 100),
    ("new", "drug"): (24, 24, 100),
    ("new", "disease"): (24, 24, 80),
}


def _once(kind: str) -> tuple[int, ...]:
    """Splits of the one-pass world: as many items as `new` has, and its shares of kinds and of asked entities."""
    asked, validation, test = SPLITS["new", kind]
    share = ONCE_ENTITIES / sum(sum(counts) for (population, _), counts in SPLITS.items() if population == "new")
    rest = round(share * (asked + validation + test)) - validation - test
    told = max(0, rest - round(share * asked))
    return rest - told, validation, test, told


# last, since names and facts are drawn in this order: those of the others are what they were without it
SPLITS |= {("once", kind): counts for kind, counts in [(kind, _once(kind)) for kind in ("drug", "disease")]}


@dataclass(frozen=True)
class Entity:
    """A named entity; `facts` holds one value an attribute of its kind, in the kind's order."""

    name: str
    kind: Kind
    population: str
    split: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """All entities. `of("new", "test")` selects by population and split."""

    entities: tuple[Entity, ...]

    def of(self, population: str, *splits: str) -> list[Entity]:
        """The entities of a population, in a fixed order; all splits when none is named."""
        return [e for e in self.entities if e.population == population and (not splits or e.split in splits)]


@cache
def world() -> World:
    """The world; the same on every machine."""
    rng = random.Random(WORLD_SEED)
    names = [onset + coda for onset in ONSETS for coda in CODAS]
    rng.shuffle(names)
    kinds = {kind.name: kind for kind in (*GENERAL, *MEDICAL)}
    entities = []
    for (population, kind_name), counts in SPLITS.items():
        kind = kinds[kind_name]
        for split, count in zip(("asked", "validation", "test", "told"), counts):
            for _ in range(count):
                facts = tuple(rng.choice(attribute.values) for attribute in kind.attributes)
                entities.append(Entity(names.pop(), kind, population, split, facts))
    return World(tuple(entities))
