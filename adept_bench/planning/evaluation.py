"""What asking the tasks costs, roughly: requests and tokens a request, from a table of well-known sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A test set. tokens: of a forward pass, the examples before the question not counted. example: of one of those.

    passes: forward passes an item takes; 1 where the choices are single letters after one prompt, of which lm-eval
    scores all in one pass. generated: tokens written an item.
    """

    items: int
    tokens: int
    example: int
    shots: int
    passes: int = 1
    generated: int = 0


GENERATED = 32  # tokens of an answer to one of the lab's sums

# items: the sets' published sizes. tokens: rounded means with tokenizers of about 150,000 words (ours)
TASKS = {
    "mmlu": Asked(14042, 120, 110, 5),
    "cmmlu": Asked(11582, 80, 75, 5),
    "gsm8k": Asked(1319, 75, 190, 5, generated=150),
    "arc_easy": Asked(2376, 40, 40, 0, passes=4),
    "arc_challenge": Asked(1172, 45, 45, 0, passes=4),
    "medqa_4options": Asked(1273, 210, 210, 0),
    "mmcu_medical": Asked(2819, 90, 90, 0),
    "cmb": Asked(11200, 90, 90, 0),
    "medmcqa": Asked(4183, 60, 60, 0),
    "piqa": Asked(1838, 40, 40, 0, passes=2),
    "openbookqa": Asked(500, 25, 25, 0, passes=4),
    "medquad_train": Asked(200, 55, 55, 0, passes=4),
    "medquad_heldout": Asked(200, 55, 55, 0, passes=4),
}


@dataclass(frozen=True)
class Evaluation:
    """Tokens read in forward passes and tokens generated, over all tasks; `unknown`: tasks that no size is known of."""

    tokens: int
    generated: int
    unknown: list[str]


def evaluation_of(
    groups: dict[str, list[str]],
    num_fewshot: int | None,
    limit: int | None,
    heldout: int,
    fewshot: Mapping[str, int] | None = None,
    limits: Mapping[str, int] | None = None,
) -> Evaluation:
    """What one evaluation of a model reads. `heldout`: tokens of the held-out documents. Others: as in `TaskConfig`."""
    tokens, generated, unknown = heldout, 0, []
    for name in dict.fromkeys(task for names in groups.values() for task in names):
        asked = _asked(name)
        if asked is None:
            unknown.append(name)
            continue
        most = (limits or {}).get(name) or limit
        items = min(asked.items, most) if most else asked.items
        shots = (fewshot or {}).get(name, asked.shots if num_fewshot is None else num_fewshot)
        tokens += items * asked.passes * (asked.tokens + shots * asked.example)
        generated += items * asked.generated
    return Evaluation(tokens, generated, unknown)


def _asked(name: str) -> Asked | None:
    from adept_bench.lab.items import TASKS as LAB

    if name in LAB:
        return _of_lab(name)
    return TASKS.get(name)


def _of_lab(name: str) -> Asked:
    """The lab's own items, counted; a word is a token of its tokenizer. One-word choices share a pass."""
    from adept_bench.lab.items import items

    found: Sequence[dict[str, Any]] = items(name)
    question = sum(len(item["question"].split()) for item in found) // len(found)
    choices = [choice for item in found for choice in item.get("choices", ())]
    longer = sum(len(choice.split()) > 1 for choice in choices)
    passes = max(1, -(-longer // len(found)))
    return Asked(len(found), question + 2, 0, 0, passes=passes, generated=0 if choices else GENERATED)
