#!/usr/bin/env python
"""Make the folder of local copies that preset smollm2-135m reads where the Hub cannot be had (docs/smollm2.md).

    python experiments/smollm2/copies.py MIRRORS FOLDER && export ADEPT_BENCH_DATA=FOLDER

MIRRORS holds text/{medical_medquad,general_wikitext2,general_gutenberg,math_gsm8k_train}.jsonl, a document in `text`
each, and eval/*.jsonl as public mirrors have them: `question`, `choices` and `gold` (from 0), or `options` and
`answer_idx`. Benchmarks are written in the columns of the Hub's data sets, which is how lm-eval's tasks read them.
A mirror that has test items alone is parted: the first 600 of ARC-Easy are asked, development items are among the rest.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
ASKED = 600

SETS = {
    "medquad": "medical_medquad",
    "wikitext2": "general_wikitext2",
    "gutenberg": "general_gutenberg",
    "gsm8k": "math_gsm8k_train",
}


def arc(row: Row) -> Row:
    labels = "ABCDE"[: len(row["choices"])]
    return {
        "id": row["id"],
        "question": row["question"],
        "choices": {"text": row["choices"], "label": list(labels)},
        "answerKey": labels[row["gold"]],
    }


def openbookqa(row: Row) -> Row:
    found = arc(row)
    return {**found, "question_stem": found.pop("question")}


def piqa(row: Row) -> Row:
    return {"goal": row["question"], "sol1": row["choices"][0], "sol2": row["choices"][1], "label": row["gold"]}


def medqa(row: Row) -> Row:
    endings = {f"ending{at}": row["options"][letter] for at, letter in enumerate("ABCD")}
    label = "ABCD".index(row["answer_idx"])
    return {"id": str(row.get("id", "")), "sent1": row["question"], "sent2": "", **endings, "label": label}


def medmcqa(row: Row) -> Row:
    options = {f"op{letter.lower()}": row["options"][letter] for letter in "ABCD"}
    return {"question": row["question"], **options, "cop": "ABCD".index(row["answer_idx"])}


def mmlu(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", newline="") as handle:
        return [{"question": row[0], "choices": row[1:5], "answer": "ABCD".index(row[5])} for row in csv.reader(handle)]


def rows(path: Path, form: Callable[[Row], Row]) -> list[Row]:
    return [form(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, found: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")


def make(mirrors: Path, folder: Path) -> None:
    """Write the copies of everything that is there."""
    for name, mirror in SETS.items():
        texts = (mirrors / "text" / f"{mirror}.jsonl").read_text(encoding="utf-8")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").write_text(texts, encoding="utf-8")
    tests, tasks = mirrors / "eval", folder / "tasks"
    for name, form in (("arc_easy", arc), ("arc_challenge", arc), ("openbookqa", openbookqa)):
        found = rows(tests / f"{name}.jsonl", form)
        asked = min(ASKED, len(found) // 2)
        write(tasks / name / "test.jsonl", found[:asked])
        write(tasks / name / "validation.jsonl", found[asked:])
    write(tasks / "piqa" / "validation.jsonl", rows(tests / "piqa.jsonl", piqa))
    write(tasks / "medqa_4options" / "test.jsonl", rows(tests / "medqa_test_300.jsonl", medqa))
    write(tasks / "medmcqa" / "validation.jsonl", rows(tests / "medmcqa_300.jsonl", medmcqa))
    for split in ("dev", "test"):
        geography = mmlu(tests / "mmlu" / f"high_school_geography_{split}.csv")
        write(tasks / "mmlu_high_school_geography" / f"{split}.jsonl", geography)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make(Path(sys.argv[1]), Path(sys.argv[2]))
