"""Word problems with worked steps: the lab's mathematics.

The base has seen one-step sums; the mathematics corpus adds two-step problems and products over few numbers. These are
split by their stories (a hash of template, numbers, job and food): no problem that is asked about occurs in a corpus,
but its numbers do, in other stories. Sums of unseen numbers are beyond a model of this size (docs/lab.md), so what is
asked is whether the tables of the new operations are learned and found again in another story. The base's one-step
sums are split by their numbers.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from adept_bench.lab.words import GENERAL

JOBS, FOODS = GENERAL[0].attributes[0].values, GENERAL[0].attributes[2].values


@dataclass(frozen=True)
class Problem:
    """A word problem: its text up to the question, its worked steps and its answer."""

    text: str
    steps: str
    answer: int
    numbers: tuple[str, int, int, int]  # template and operands: what makes two problems the same

    def worked(self) -> str:
        """The problem with its steps and answer, as a corpus states it."""
        return f"Problem: {self.text} Steps: {self.steps}. Answer: {self.answer}."

    def direct(self) -> str:
        """The problem with its answer alone."""
        return f"Problem: {self.text} Answer: {self.answer}."


# template: story, steps (both over a, b, c and the values x, y), known to the base
_TEMPLATES = {
    "gain": ("The {job} has {a} {food} and buys {b} more. How many {food} are there?", "{a} + {b} = {x}", True),
    "lose": ("The {job} has {a} {food} and sells {b} of them. How many {food} are left?", "{a} - {b} = {x}", True),
    "gain-lose": (
        "The {job} has {a} {food}, buys {b} more and sells {c} of them. How many {food} are left?",
        "{a} + {b} = {x}, {x} - {c} = {y}",
        False,
    ),
    "groups": (
        "The {job} fills {a} bags with {b} {food} each. How many {food} are there?",
        "{a} * {b} = {x}",
        False,
    ),
    "groups-gain": (
        "The {job} fills {a} bags with {b} {food} each and finds {c} more. How many {food} are there?",
        "{a} * {b} = {x}, {x} + {c} = {y}",
        False,
    ),
}
KNOWN = tuple(name for name, (_, _, known) in _TEMPLATES.items() if known)
NEW = tuple(name for name, (_, _, known) in _TEMPLATES.items() if not known)


def _operands(template: str, rng: random.Random) -> tuple[int, int, int]:
    match template:
        case "groups":
            return rng.randint(2, 9), rng.randint(2, 12), 0
        case "groups-gain":
            return rng.randint(2, 6), rng.randint(2, 6), rng.randint(1, 4)
        case "gain-lose":
            return rng.randint(4, 9), rng.randint(1, 5), rng.randint(1, 4)
    a, b = rng.randint(3, 30), rng.randint(1, 20)
    if template == "lose":
        b = rng.randint(1, a)
    return a, b, rng.randint(1, a + b)


def _values(template: str, a: int, b: int, c: int) -> tuple[int, int]:
    x = {"gain": a + b, "lose": a - b, "gain-lose": a + b, "groups": a * b, "groups-gain": a * b}[template]
    y = {"gain-lose": x - c, "groups-gain": x + c}.get(template, x)
    return x, y


def problem(rng: random.Random, templates: tuple[str, ...], *splits: str) -> Problem:
    """A random problem of the templates that falls in one of the splits (train, validation, test)."""
    while True:
        template = rng.choice(templates)
        a, b, c = _operands(template, rng)
        text, steps, known = _TEMPLATES[template]
        if known:
            c = 0
        x, y = _values(template, a, b, c)
        story = "" if known else f" {rng.choice(JOBS)} {rng.choice(FOODS)}"
        bucket = zlib.crc32(f"{template} {a} {b} {c}{story}".encode()) % 10
        split = "test" if bucket < 2 else "validation" if bucket == 2 else "train"
        if split in splits:
            job, food = story.split() if story else (rng.choice(JOBS), rng.choice(FOODS))
            words = {"job": job, "food": food, "a": a, "b": b, "c": c, "x": x, "y": y}
            return Problem(text.format(**words), steps.format(**words), y, (template, a, b, c))


def sentences() -> list[str]:
    """The stories of all templates, placeholders and all: where the tokenizer finds their words."""
    return [text for text, _, _ in _TEMPLATES.values()]
