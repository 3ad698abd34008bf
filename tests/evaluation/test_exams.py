"""CMB and MMCU-Medical: rows in their authors' format, prompts, the rule for several right answers, and its chance."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from adept_bench.errors import InputError
from adept_bench.evaluation.answers import chance, letters, score
from adept_bench.evaluation.exams import exam_rows
from adept_bench.evaluation.harness import evaluate

SINGLE, SEVERAL = "单项选择题", "多项选择题"


def question(
    number: int, kind: str = SINGLE, exam: str = "执业医师", blank: str = "", **further: Any
) -> dict[str, Any]:
    texts = [f"选项{number}{letter}" for letter in "甲乙丙丁戊"]
    option = dict(zip("ABCDE", texts)) | dict.fromkeys(blank, " ")
    given = {"exam_type": "医师考试", "exam_class": exam, "exam_subject": "内科", "question_type": kind}
    return given | {"question": f"第{number}题，下列哪项正确？", "option": option} | further


@pytest.fixture
def cmb(tmp_path: Path) -> Path:
    """The authors' folder: test questions and answers apart, validation questions with their answers."""
    folder = tmp_path / "CMB"
    (folder / "CMB-Exam" / "CMB-test").mkdir(parents=True)
    (folder / "CMB-Exam" / "CMB-val").mkdir()
    test = [question(number, SEVERAL if number % 3 == 0 else SINGLE, id=number) for number in range(1, 13)]
    test[1] = question(2, blank="DE", id=2)
    answers = [{"id": item["id"], "answer": "ABD" if item["question_type"] == SEVERAL else "B"} for item in test]
    val = [question(90 + n, exam="护士" if n > 1 else "执业医师", answer="AC", explanation="略") for n in range(4)]
    for place, rows in (
        ("CMB-Exam/CMB-test/CMB-test-choice-question-merge.json", test),
        ("CMB-Exam/CMB-val/CMB-val-merge.json", [item | {"question_type": SEVERAL} for item in val]),
        ("CMB-test-choice-answer.json", answers[::-1]),
    ):
        (folder / place).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "found", "single"),
    [
        ("B", "B", "B"),
        (" ABD", "ABD", "A"),
        ("DBA。", "ABD", "D"),
        ("A、C、D", "ACD", "A"),
        ("A，C和E", "ACE", "A"),
        ("ＡＢ", "AB", "A"),
        ("答案是B.", "B", "B"),
        ("C. 肺炎 D. 肝炎", "C", "C"),
        ("AAB", "AB", "A"),
        ("CT检查后选D", "D", "D"),
        ("A CT", "A", "A"),
        ("IgA", "", ""),
        ("不知道", "", ""),
        ("", "", ""),
    ],
)
def test_letters_of_an_answer(text: str, found: str, single: str) -> None:
    assert letters(text) == found
    assert letters(text, single=True) == single


def test_a_part_of_the_answer_earns_nothing() -> None:
    several = {"answer": "ABD", "kind": "several"}
    for text, right in (("ABD", 1), ("DAB", 1), ("AB", 0), ("ABCD", 0), ("A", 0), ("", 0)):
        assert score(several, [text]) == {"exact_match": right}
    assert score({"answer": "A", "kind": "single"}, ["ABD"]) == {"exact_match": 1}  # CMB's match_choice
    assert score({"answer": "A", "kind": "unsaid"}, ["ABD"]) == {"exact_match": 0}


@pytest.mark.parametrize("options", [3, 4, 5])
def test_chance_is_the_share_of_right_guesses_among_all_that_the_rule_allows(options: int) -> None:
    names = "ABCDE"[:options]
    sets = ["".join(one) for size in range(2, options + 1) for one in itertools.combinations(names, size)]
    assert chance(options, "AC", "several") == pytest.approx(sum(one == "AC" for one in sets) / len(sets))
    assert chance(options, "B", "single") == pytest.approx(sum(one == "B" for one in names) / options)
    assert (chance(options, "B", "unsaid"), chance(options, "AB", "unsaid")) == (pytest.approx(1 / options), 0.0)


def test_rows_of_the_authors_folder(cmb: Path) -> None:
    rows = exam_rows("cmb", str(cmb))
    assert [row["answer"] for row in rows["test"]] == ["B", "B", "ABD"] * 4
    assert [row["kind"] for row in rows["test"]] == ["single", "single", "several"] * 4
    assert [option["letter"] for option in rows["test"][1]["options"]] == ["A", "B", "C"]  # blank ones are left out
    assert rows["test"][1]["chance"] == pytest.approx(1 / 3)
    # one of each examination in turn, so that a few examples are of several
    assert [row["question"][1:3] for row in rows["dev"]] == ["90", "92", "91", "93"]


def test_a_file_of_rows_with_answers(tmp_path: Path) -> None:
    file = tmp_path / "cmb.jsonl"
    rows = [question(1, answer="C"), question(2, SEVERAL, answer="Ｄ、A")]
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    found = exam_rows("cmb", str(file))
    assert ([row["answer"] for row in found["test"]], found["dev"]) == (["C", "AD"], [])


def test_mmcu_by_position(tmp_path: Path) -> None:
    file = tmp_path / "mmcu.jsonl"
    cells = ["问题", "A、甲A1", "B．乙", "丙", "D.丁", " ＢＤ "]
    file.write_text(json.dumps(dict(zip("uvwxyz", cells)), ensure_ascii=False), encoding="utf-8")
    (row,) = exam_rows("mmcu_medical", str(file))["test"]
    assert [option["text"] for option in row["options"]] == ["甲A1", "乙", "丙", "丁"]
    assert (row["answer"], row["kind"], row["chance"]) == ("BD", "unsaid", 0.0)


def test_mmcu_workbooks(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    import pandas

    def sheet(count: int) -> pandas.DataFrame:
        rows = [[f"问{n}", "A.甲", "B.乙", 3, "D.丁", "ABC" if n == 1 else "D"] for n in range(count)]
        return pandas.DataFrame(rows, columns=["题目", "选项A", "选项B", "选项C", "选项D", "正确答案"])

    for split, sheets in (("test", {"药理学2题": 2, "护理学1题": 1}), ("dev", {"Sheet1": 5})):
        (tmp_path / split).mkdir()
        with pandas.ExcelWriter(tmp_path / split / "医疗.xlsx") as book:
            for name, count in sheets.items():
                sheet(count).to_excel(book, sheet_name=name, index=False)
    rows = exam_rows("mmcu_medical", str(tmp_path))
    assert [row["id"] for row in rows["test"]] == ["药理学2题1", "药理学2题2", "护理学1题1"]
    assert [row["answer"] for row in rows["test"]] == ["D", "ABC", "D"]
    assert (rows["test"][0]["options"][2]["text"], len(rows["dev"])) == ("3", 5)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("cmb", question(1), r"item 1: no answer; expected a field answer, or CMB-test-choice-answer\.json"),
        ("cmb", question(1, answer="X?"), r"item 1: answer 'X\?' is not valid; expected letters such as B or ABD"),
        ("cmb", {"question": "?"}, r"item 1: 'exam_type'; expected exam_type"),
        ("cmb", question(1, blank="ABCD", answer="E"), r"item 1: expected a question and two options"),
        ("mmcu_medical", {"a": 1, "b": 2}, r"question 1: 2 fields; expected 6"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, name: str, row: dict, message: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        exam_rows(name, str(file))


def test_a_folder_without_the_test(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tasks\.data\.cmb: no CMB-test-choice-question-merge\.json in"):
        exam_rows("cmb", str(tmp_path))


def cmb_prompt(item: dict[str, Any]) -> str:
    head = f"以下是中国{item['exam_type']}中{item['exam_class']}考试的一道{item['question_type']}，"
    options = "".join(f"{letter}. {text}\n" for letter, text in item["option"].items() if text.strip())
    return f"{head}不需要做任何分析和解释，直接输出答案选项。\n{item['question']}\n{options}答案："


def test_cmb_against_greedy_decoding_by_hand(cmb: Path, make_model: Any, plain_writing: Any) -> None:
    """Prompts with three examples, what is generated, the rule, accuracy and chance, with nothing of ours or lm-eval's.

    The model writes letters and line ends; half of the answers are set to what it writes.
    """
    test_file = cmb / "CMB-Exam" / "CMB-test" / "CMB-test-choice-question-merge.json"
    test, val = json.loads(test_file.read_text()), json.loads(next(cmb.rglob("CMB-val-merge.json")).read_text())
    shown = "".join(f"{cmb_prompt(val[number])}AC\n\n" for number in (0, 2, 1))
    model, tokenizer = make_model([shown, *map(cmb_prompt, test)], likely="ABCDE\n、")
    answers, expected, guesses = [], [], []
    for number, item in enumerate(test):
        text = plain_writing(model, tokenizer, shown + cmb_prompt(item), 32, ["\n"])
        run = re.match(r"[^A-E]*([A-E、 ]*)", text)
        named = sorted(set(run[1]) & set("ABCDE")) if run else []
        several = item["question_type"] == SEVERAL
        if not several and named:
            named = [next(sign for sign in run[1] if sign in "ABCDE")]
        right = bool(named) and (len(named) > 1 or not several) and number % 2 == 0
        answer = "".join(named) if right else ("BCE" if several else "E" if named != ["E"] else "D")
        answers.append({"id": item["id"], "answer": answer})
        expected.append(int("".join(named) == answer))
        count = sum(bool(text.strip()) for text in item["option"].values())
        guesses.append((1 / (2**count - count - 1)) if several and len(answer) > 1 else (not several) / count)
    (cmb / "CMB-test-choice-answer.json").write_text(json.dumps(answers))
    assert 0 < sum(expected) < len(test)
    result = evaluate(model, tokenizer, {"domain": ["cmb"]}, batch_size=5, data={"cmb": str(cmb)})
    entry = result["tasks"]["cmb"]
    assert entry["items"] == expected
    assert entry["chance"] == pytest.approx(sum(guesses) / len(guesses))
    assert (entry["metric"], entry["num_fewshot"], entry["version"], entry["n"]) == ("exact_match", 3, "1.0", 12)
    assert "exact match of the set of option letters" in entry["details"]["rule"]
    assert entry["details"]["several_answers"] == sum(len(one["answer"]) > 1 for one in answers)
    accuracy = sum(expected) / 12
    assert entry["value_chance_corrected"] == pytest.approx((accuracy - entry["chance"]) / (1 - entry["chance"]))


def test_mmcu_prompt(tmp_path: Path) -> None:
    from adept_bench.evaluation.tasks import load

    for split in ("test", "dev"):
        (tmp_path / split).mkdir()
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    import pandas

    rows = [[f"问{n}", "A.甲", "B.乙", "C.丙", "D.丁", "ABC" if n == 1 else "D"] for n in range(3)]
    for split in ("test", "dev"):
        pandas.DataFrame(rows).to_excel(tmp_path / split / "医疗.xlsx", index=False)
    place = tmp_path / "files"
    place.mkdir()
    task = load("mmcu_medical", place, source=str(tmp_path))["tasks"]["mmcu_medical"]
    asked = "问{}\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n正确答案的序号是："
    shown = f"{asked.format(0)} D\n\n{asked.format(1)} ABC\n\n{asked.format(2)}"
    line = "请阅读以下选择题并给出正确选项，不要解释原因。请只给出答案的序号。\n"
    assert task.fewshot_context(task.eval_docs[2], 2) == line + shown


def test_cmb_prompts_are_the_authors(cmb: Path, tmp_path: Path) -> None:
    from adept_bench.evaluation.tasks import load

    place = tmp_path / "files"
    place.mkdir()
    task = load("cmb", place, source=str(cmb))["tasks"]["cmb"]
    test = json.loads(next(cmb.rglob("CMB-test-choice-question-merge.json")).read_text())
    val = json.loads(next(cmb.rglob("CMB-val-merge.json")).read_text())
    for document, item in zip(task.eval_docs, test):
        assert task.fewshot_context(document, 0) == cmb_prompt(item)
        assert task.fewshot_context(document, 1) == f"{cmb_prompt(val[0])}AC\n\n{cmb_prompt(item)}"
    assert [task.doc_to_target(document) for document in task.eval_docs] == ["B", "B", "ABD"] * 4


def test_mmcu_against_greedy_decoding_by_hand(tmp_path: Path, make_model: Any, plain_writing: Any) -> None:
    """Zero-shot: the whole run of letters counts, whether one answer is right or several."""
    texts = [f"问{n}" for n in range(8)]
    line = "请阅读以下选择题并给出正确选项，不要解释原因。请只给出答案的序号。\n"
    contexts = [f"{line}{text}\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n正确答案的序号是：" for text in texts]
    model, tokenizer = make_model(contexts, likely="ABCD\n")
    rows, expected = [], []
    for number, (text, context) in enumerate(zip(texts, contexts)):
        named = "".join(sorted(set(plain_writing(model, tokenizer, context, 32, ["\n"])) & set("ABCD")))
        answer = named if named and number % 2 else "ABD" if named != "ABD" else "C"
        rows.append(dict(zip("uvwxyz", [text, "A、甲", "B、乙", "C、丙", "D、丁", answer])))
        expected.append(int(named == answer))
    file = tmp_path / "mmcu.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    options = {"data": {"mmcu_medical": str(file)}, "fewshot": {"mmcu_medical": 0}}
    entry = evaluate(model, tokenizer, {"domain": ["mmcu_medical"]}, batch_size=3, **options)["tasks"]["mmcu_medical"]
    assert entry["items"] == expected
    assert 0 < sum(expected) < 8
    single = sum(len(row["z"]) == 1 for row in rows)
    assert entry["chance"] == pytest.approx(single / 4 / 8)


def test_examples_that_are_not_there(cmb: Path, make_model: Any) -> None:
    model, tokenizer = make_model(["甲"])
    next(cmb.rglob("CMB-val-merge.json")).unlink()
    with pytest.raises(InputError, match=r"tasks\.fewshot\.cmb: 3 examples are asked of cmb, whose data have 0"):
        evaluate(model, tokenizer, {"domain": ["cmb"]}, batch_size=4, data={"cmb": str(cmb)})
    result = evaluate(model, tokenizer, {"domain": ["cmb"]}, batch_size=4, data={"cmb": str(cmb)}, fewshot={"cmb": 0})
    assert result["tasks"]["cmb"]["num_fewshot"] == 0
