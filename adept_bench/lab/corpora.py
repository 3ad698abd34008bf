"""The lab's corpora as lists of documents: for pretraining, continual pretraining, probing and held-out loss."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

from adept_bench.errors import unknown_name
from adept_bench.lab import arithmetic, render
from adept_bench.lab.world import WORLD_SEED, world

HELD_OUT = 160  # documents of a held-out corpus
PROBE = 64  # documents of the probe corpus
RENDERINGS = 3  # times each entity is described in a finite corpus
ONCE_RENDERINGS = 12  # the same, of the one-pass corpus; how it was chosen: docs/lab.md


def pretraining(seed: int) -> Iterator[str]:
    """The endless stream of documents a base model is pretrained on; `seed` fixes it.

    Shares are of documents: statements 55%, answered questions 31%, stories 4%, sums 5%, counting 2%, word lists 3%.
    """
    rng = random.Random(f"pretraining {seed}")
    stated = world().of("general") + world().of("known")
    asked = world().of("general", "asked") + world().of("known", "asked")
    deck: list = []
    while True:
        draw = rng.random()
        if draw < 0.55:
            if not deck:  # every entity once before any comes again
                deck = rng.sample(stated, len(stated))
            yield render.statements(deck.pop(), rng)
        elif draw < 0.86:
            yield render.answered(asked, rng)
        elif draw < 0.90:
            yield render.story(rng)
        elif draw < 0.95:
            known = arithmetic.problem(rng, arithmetic.KNOWN, "train")
            yield known.worked() if rng.random() < 0.5 else known.direct()
        elif draw < 0.97:
            yield render.counting(rng)
        else:
            yield render.word_list(rng)


def _general(rng: random.Random, *splits: str) -> list[str]:
    """General text as replay draws on it: no medicine, no sums. `splits`: of the entities it tells of; default: all."""
    asked = world().of("general", "asked")
    entities = world().of("general", *splits)
    texts = [render.statements(e, rng) for e in entities for _ in range(RENDERINGS)]
    texts += [render.answered(asked, rng) for _ in range(len(texts) // 4)]
    texts += [render.story(rng) for _ in range(len(entities) // 4)]
    texts += [render.counting(rng) for _ in range(len(entities) // 8)]
    texts += [render.word_list(rng) for _ in range(len(entities) // 8)]
    return rng.sample(texts, len(texts))


def _medical(rng: random.Random) -> list[str]:
    """The new drugs and diseases, with questions about the asked ones. Known ones are not stated again."""
    asked = world().of("new", "asked")
    texts = [render.statements(e, rng) for e in world().of("new") for _ in range(RENDERINGS)]
    texts += [render.answered(asked, rng) for _ in range(len(texts) // 8)]
    return rng.sample(texts, len(texts))


def _medical_once(rng: random.Random) -> list[str]:
    """As `_medical`, of the one-pass world: no two documents are the same."""
    asked = world().of("once", "asked")
    told: set[str] = set()

    def another(draw: Callable[[], str]) -> str:
        while (text := draw()) in told:
            pass
        told.add(text)
        return text

    texts = [
        another(lambda: render.statements(e, rng))  # noqa: B023
        for e in world().of("once")
        for _ in range(ONCE_RENDERINGS)
    ]
    texts += [another(lambda: render.answered(asked, rng)) for _ in range(len(texts) // 8)]
    return rng.sample(texts, len(texts))


def _math(rng: random.Random, split: str = "train", count: int = 5000) -> list[str]:
    problems = [arithmetic.problem(rng, arithmetic.NEW, split) for _ in range(count)]
    return [p.worked() if rng.random() < 0.5 else p.direct() for p in problems]


def _unseen(draw: Callable[[], str], seen: str) -> str:
    """A document that does not stand in the corpus `seen` in the same words."""
    while (text := draw()) in _seen(seen):
        pass
    return text


@cache
def _seen(name: str) -> frozenset[str]:
    return frozenset(_texts(name))


def _general_held_out(rng: random.Random) -> list[str]:
    """Known facts in an order and wording that replay does not hold, and new stories."""
    entities = rng.sample(world().of("general"), HELD_OUT - 40)
    texts = [_unseen(lambda: render.statements(entity, rng), "general") for entity in entities]  # noqa: B023
    texts += [_unseen(lambda: render.story(rng), "general") for _ in range(40)]
    return rng.sample(texts, len(texts))


def _medical_held_out(rng: random.Random, population: str = "new", corpus: str = "medical") -> list[str]:
    """The facts of a medical corpus in an order and wording that it does not hold."""
    entities = rng.sample(world().of(population), HELD_OUT)
    return [_unseen(lambda: render.statements(entity, rng), corpus) for entity in entities]  # noqa: B023


def _probe(rng: random.Random) -> list[str]:
    """Answered general questions of asked entities: what a benchmark's development items are to a real model."""
    asked = world().of("general", "asked")
    return [render.answered(asked, rng, 4) for _ in range(PROBE)]


_MAKERS: dict[str, Callable[[random.Random], list[str]]] = {
    "general": _general,
    "general-heldout": _general_held_out,
    # what a replay corpus is in earnest: text of the same kind that does not hold the facts asked for afterwards
    "general-without-tested": lambda rng: _general(rng, "asked"),
    "probe": _probe,
    "medical": _medical,
    "medical-heldout": _medical_held_out,
    "medical-once": _medical_once,
    "medical-once-heldout": lambda rng: _medical_held_out(rng, "once", "medical-once"),
    "math": _math,
    "math-heldout": lambda rng: _math(rng, "test", HELD_OUT),
}
NAMES = tuple(_MAKERS)


@cache
def _texts(name: str) -> tuple[str, ...]:
    return tuple(_MAKERS[name](random.Random(f"{WORLD_SEED} {name}")))


def texts(name: str) -> list[str]:
    """The documents of a lab corpus; raises InputError for a name that is none of `NAMES`."""
    if name not in _MAKERS:
        raise unknown_name("lab corpus", "corpus", name, NAMES)
    return list(_texts(name))
