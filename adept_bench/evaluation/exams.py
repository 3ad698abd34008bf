"""CMB-Exam and MMCU-Medical as their authors ship them, made into the rows of our tasks.

Formats: CMB as in its README (github.com/FreedomIntelligence/CMB): JSON lists; the test questions and their answers are
two files, joined by `id`, options may be blank. MMCU as its scripts read it (github.com/Felixgithub2017/MMCU):
dev/医疗.xlsx and test/医疗.xlsx, a sheet a subject, columns by position: question, four options, answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from adept_bench.errors import InputError
from adept_bench.evaluation.answers import chance
from adept_bench.files import cache_root, locked, write_whole
from adept_bench.guarded import MODEL, parse_json, read_text
from adept_bench.hub import reason

Row = dict[str, Any]  # id, question, options [{letter, text}], answer (sorted letters), kind, chance, and CMB's exam_*
Rows = dict[str, list[Row]]  # "test": what is asked; "dev": examples, which may be none

HUB = {  # data set, revision (that of MMCU could not be looked up), files
    "cmb": (
        "FreedomIntelligence/CMB",
        "935fbc09edf1303d89872b21265ff597f426ac0d",
        ["CMB-Exam/CMB-test/*.json", "CMB-Exam/CMB-val/*.json"],
    ),
    "mmcu_medical": ("Besteasy/MMCU", None, ["*医疗*"]),
}
CMB_FILES = {"test": "CMB-test-choice-question-merge.json", "dev": "CMB-val-merge.json"}
CMB_ANSWERS = "CMB-test-choice-answer.json"
# the Hub has the test questions without answers; these came later, and were corrected once
CMB_ANSWERS_URL = (
    "https://raw.githubusercontent.com/FreedomIntelligence/CMB/6c8ece46097dae736c6805dd3b831e1a38c08971/data/"
    + CMB_ANSWERS
)
LABEL = re.compile(r"^[A-HＡ-Ｈ]\s*[、.．:：]\s*")


def exam_rows(name: str, source: str | None) -> Rows:
    """The rows of task `name` ("cmb" or "mmcu_medical") from a file or folder; without one, from the Hub.

    A file: JSON Lines or a JSON list of test rows with their answers, or (MMCU) a workbook. A folder: the authors' own,
    with examples. Raises InputError naming file, row and value for what cannot be used.
    """
    return READERS[name](_place(name, source))


def _place(name: str, source: str | None) -> Path:
    if source is None:
        return _fetch(name)
    return Path(source).expanduser()


def _fetch(name: str) -> Path:
    """The folder of the data set's files, downloaded once: its Hub files and, for CMB, the answers to its test."""
    from huggingface_hub import snapshot_download

    hub, revision, patterns = HUB[name]
    folder = cache_root() / "exams" / f"{name}-{(revision or 'main')[:8]}"
    with locked(folder):
        try:
            snapshot_download(hub, repo_type="dataset", revision=revision, allow_patterns=patterns, local_dir=folder)
            answers = folder / CMB_ANSWERS
            if name == "cmb" and not answers.is_file():
                with urlopen(CMB_ANSWERS_URL, timeout=60) as page:
                    write_whole(answers, page.read())
        except Exception as error:  # the Hub's client raises errors of its own, of its HTTP library and of the system
            raise InputError(
                f"tasks.data.{name}: not set, and {hub} cannot be downloaded ({reason(error)}); expected a local copy"
            ) from None
    return folder


def _cmb(path: Path) -> Rows:
    if path.is_file():
        return {"test": list(_cmb_rows(path, _records(path), {})), "dev": []}
    test = _one_file(path, CMB_FILES["test"], "cmb")
    answers_file = next(iter(sorted(path.rglob(CMB_ANSWERS))), None)
    answers = {}
    if answers_file is not None:
        for number, record in enumerate(_records(answers_file), 1):
            try:
                answers[record["id"]] = record["answer"]
            except KeyError as missing:
                raise InputError(f"{answers_file}: item {number}: no field {missing}; expected id and answer") from None
    dev = next(iter(sorted(path.rglob(CMB_FILES["dev"]))), None)
    rows = {
        "test": list(_cmb_rows(test, _records(test), answers)),
        "dev": list(_cmb_rows(dev, _records(dev), {})) if dev else [],
    }
    return rows | {"dev": _in_turn(rows["dev"])}


def _cmb_rows(path: Path, records: list[Mapping[str, Any]], answers: Mapping[Any, str]) -> Iterator[Row]:
    for number, record in enumerate(records, 1):
        where = f"{path}: item {number}"
        try:
            exam = {key: str(record[key]) for key in ("exam_type", "exam_class", "question_type")}
            options = [(str(letter), str(text or "")) for letter, text in sorted(record["option"].items())]
            question = str(record["question"])
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{where}: {error}; expected exam_type, exam_class, question_type, question, option {{A: text, ...}}"
            ) from None
        answer = record.get("answer") or answers.get(record.get("id"))
        if answer is None:
            raise InputError(
                f"{where}: no answer; expected a field answer, or {CMB_ANSWERS} in the folder (of {CMB_ANSWERS_URL})"
            )
        kind = "several" if exam["question_type"] == "多项选择题" else "single"
        yield exam | _row(where, str(record.get("id", number)), question, options, answer, kind)


def _in_turn(rows: list[Row]) -> list[Row]:
    """One row an examination, in order of first appearance, then the second of each, and so on."""
    exams: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        exams.setdefault((row["exam_type"], row["exam_class"]), []).append(row)
    return [row for turn in zip_longest(*exams.values()) for row in turn if row is not None]


def _mmcu(path: Path) -> Rows:
    if path.is_file():
        return {"test": list(_mmcu_rows(path)), "dev": []}
    files = {split: _one_file(path, f"{split}/医疗.xlsx", "mmcu_medical") for split in ("test", "dev")}
    return {split: list(_mmcu_rows(file)) for split, file in files.items()}


def _mmcu_rows(path: Path) -> Iterator[Row]:
    if path.suffix != ".xlsx":
        tables = {"": [list(record.values()) for record in _records(path)]}
    else:
        tables = _sheets(path)
    for sheet, table in tables.items():
        for number, cells in enumerate(table, 1):
            where = f"{path}: {sheet + ' ' if sheet else ''}question {number}"
            if len(cells) != 6:
                raise InputError(f"{where}: {len(cells)} fields; expected 6: question, four options, answer")
            question, *texts, answer = ["" if cell is None or cell != cell else str(cell) for cell in cells]
            options = [(letter, LABEL.sub("", text.strip())) for letter, text in zip("ABCD", texts)]
            yield _row(where, f"{sheet}{number}", question, options, answer, "unsaid")


def _sheets(path: Path) -> dict[str, list[list[Any]]]:
    import pandas

    try:
        sheets = pandas.read_excel(path, sheet_name=None, header=0)
    except ImportError:
        raise InputError(f"{path}: reading a workbook needs the openpyxl package; pip install openpyxl") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a workbook: {error}") from None
    return {str(name): sheet.dropna(how="all").values.tolist() for name, sheet in sheets.items()}


def _row(where: str, identity: str, question: str, options: list[tuple[str, str]], answer: str, kind: str) -> Row:
    given = [(letter, text.strip()) for letter, text in options if text.strip()]
    plain = unicodedata.normalize("NFKC", str(answer))
    right = "".join(sorted(set(re.sub(r"[\s、,;.]", "", plain))))
    if not re.fullmatch("[A-H]+", right):
        raise InputError(f"{where}: answer {answer!r} is not valid; expected letters such as B or ABD")
    if len(given) < 2 or not question.strip():
        raise InputError(f"{where}: expected a question and two options or more, found {question!r}, {len(given)}")
    return {
        "id": identity,
        "question": question.strip(),
        "options": [{"letter": letter, "text": text} for letter, text in given],
        "answer": right,
        "kind": kind,
        "chance": chance(len(given), right, kind),
    }


def _one_file(folder: Path, name: str, task: str) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        raise InputError(
            f"tasks.data.{task}: no {name} in {folder}; expected the data set's folder as its authors ship it"
        )
    return found[0]


def _records(path: Path) -> list[Mapping[str, Any]]:
    """The objects of a JSON list or of JSON Lines."""
    expected = "a list of JSON objects, or one a line"
    text = read_text(path, MODEL, expected).removeprefix("\ufeff")
    if text.lstrip().startswith("["):
        records = parse_json(text, str(path), expected)
    else:
        lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
        records = [parse_json(line, f"{path}:{number}", expected) for number, line in lines]
    if not records or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path}: expected {expected}")
    return records


READERS: dict[str, Callable[[Path], Rows]] = {"cmb": _cmb, "mmcu_medical": _mmcu}
