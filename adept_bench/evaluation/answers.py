"""The rule for examinations with several right answers: the set of option letters, exactly."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

RULE = (
    "exact match of the set of option letters in the first run of letters of the generated line; no credit for a part. "
    "On an item that its data call single-answer only the run's first letter counts (CMB's own match_choice)"
)

# letters side by side or with marks, spaces or "and" between; a word such as CT is no answer
_RUN = re.compile(r"(?<![A-Za-z])[A-H](?:[\s、,;:.和与及]*[A-H])*(?![A-Za-z])")


def letters(text: str, *, single: bool = False) -> str:
    """The letters that `text` answers with, in alphabetical order, each once; "" where it names none.

    Full-width letters and punctuation count as plain ones. `single`: only the first letter.
    """
    found = _RUN.search(unicodedata.normalize("NFKC", text))
    if found is None:
        return ""
    named = re.findall("[A-H]", found[0])
    return named[0] if single else "".join(sorted(set(named)))


def score(document: dict[str, Any], results: list[str]) -> dict[str, int]:
    """lm-eval's `process_results`: {"exact_match": 1 or 0} of what was generated for an item of `exams`."""
    return {"exact_match": int(letters(results[0], single=document["kind"] == "single") == document["answer"])}


def chance(options: int, answer: str, kind: str) -> float:
    """The accuracy of a guess by one who reads only an item's kind and how many options it has.

    kind "single": one letter of `options`. "several": one set of two letters or more, of 2^options - options - 1.
    "unsaid", where the data do not tell: one letter, since most items have one, and so never right on the others.
    """
    if kind == "several":
        return 1 / (2**options - options - 1) if len(answer) > 1 else 0.0
    return 1 / options if len(answer) == 1 else 0.0
