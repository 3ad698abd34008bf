"""The text of a row from one column, from several, and from a list of messages: the same in every format."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adept_bench.corpora.columns import row_text
from adept_bench.corpora.reading import read_corpus
from adept_bench.corpora.sources import find_source
from adept_bench.errors import InputError

ROWS = [
    {"problem": "What is 2 + 2?", "answer": "4", "n": 1},
    {"problem": "Welche Zahl?", "answer": "  ", "n": 2},
    {"problem": "一加一等于几?", "answer": "2", "n": 3},
]
JOINED = ["What is 2 + 2?\n4", "Welche Zahl?", "一加一等于几?\n2"]


def lines(rows: list) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def forms(tmp_path: Path) -> list[str]:
    (tmp_path / "a.jsonl").write_text(lines(ROWS), encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(ROWS), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("Train/b.jsonl", lines(ROWS[1:]))
        archive.writestr("Train/a.jsonl", lines(ROWS[:1]))
        archive.writestr("Test/a.jsonl", lines([{"problem": "a test item", "answer": "x"}]))
    return [str(tmp_path / f"a.{kind}") for kind in ("jsonl", "json", "parquet")] + [
        f"zip://Train/*.jsonl::{tmp_path / 'a.zip'}"
    ]


def test_columns_are_joined_in_the_order_named(forms: list[str]) -> None:
    for source in forms:
        assert read_corpus(f"{source}#problem,answer").texts == JOINED
        assert read_corpus(f"{source}#answer,problem").texts[0] == "4\nWhat is 2 + 2?"
        assert read_corpus(f"{source}#problem").texts == [row["problem"] for row in ROWS]


def test_a_column_that_is_not_there_or_no_text_is_named(forms: list[str]) -> None:
    for source in forms:
        with pytest.raises(InputError, match=r"'answr'; there are: problem, answer, n .*did you mean 'answer'"):
            read_corpus(f"{source}#problem,answr")
        with pytest.raises(InputError, match="'n' holds a number"):
            read_corpus(f"{source}#problem,n")


def test_a_column_whose_own_name_has_a_comma_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines([{"a,b": "whole", "a": "1", "b": "2"}]))
    assert read_corpus(f"{tmp_path / 'a.jsonl'}#a,b").texts == ["whole"]


def test_messages_are_the_text_of_their_turns(tmp_path: Path) -> None:
    rows = [
        {"c": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]},
        {"c": [{"role": "user", "content": "Hi"}]},
    ]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    assert read_corpus(f"{tmp_path / 'a.jsonl'}#c").texts == ["Why?\nBecause.", "Hi"]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[:1]), tmp_path / "a.parquet")
    assert read_corpus(f"{tmp_path / 'a.parquet'}#c").texts == ["Why?\nBecause."]
    for value in ([], [{"role": "user"}], [{"content": 3}], ["a"]):
        with pytest.raises(InputError, match="holds a list"):
            row_text({"c": value}, "c", "here")


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=5, unique_by=lambda pair: pair[0]))
def test_joining_is_the_lines_that_are_not_blank(row: list[tuple[str, str]]) -> None:
    row = [(f"c{number}", text.encode("utf-8", "ignore").decode()) for number, (_, text) in enumerate(row)]
    found = row_text(dict(row), ",".join(name for name, _ in row), "here")
    texts = [text for _, text in row]
    assert found == (texts[0] if len(texts) == 1 else "\n".join(text for text in texts if text.strip()))


def test_archives_are_known_by_content_and_read_by_name(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, text in (("en/z.txt", "last\n\nof two"), ("en/deep/a.txt", "first"), ("fr/a.txt", "autre")):
                archive.writestr(zipfile.ZipInfo(member), text)
    one, two = (find_source(f"zip://en/**/*.txt::{tmp_path / name}", option="--corpus") for name in ("a.zip", "b.zip"))
    assert list(one.texts()) == ["first", "last\n\nof two"]
    assert one.identity() == two.identity()
    assert one.identity() != find_source(f"zip://**/*.txt::{tmp_path / 'a.zip'}", option="--corpus").identity()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("zip://*.csv::a.zip", r"is not zip://MEMBERS::FILE\.zip.*\.jsonl, \.txt"),
        ("zip://*.txt", r"is not zip://MEMBERS::FILE\.zip"),
        ("zip://*.txt::none.zip", r"data\.domain: no file none\.zip"),
        ("zip://*.txt::a.zip", r"a\.zip has no member '\*\.txt'"),
        ("zip://*.jsonl::broken.zip", r"'zip://\*\.jsonl::broken\.zip' cannot be read: "),
        ("zip://*.jsonl::a.zip", r"bad\.jsonl:2: not JSON"),
    ],
)
def test_what_is_wrong_with_an_archive_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("bad.jsonl", '{"text": "a"}\n{"text": \n')
    Path("broken.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match=message) as caught:
        list(find_source(source, option="data.domain").texts())
    assert "\n" not in str(caught.value)


def test_a_remote_archive_is_named_at_its_commit() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    source = find_source(f"zip://T/*.jsonl::hf://datasets/acme/notes@{commit}/all.zip#q,a", option="--corpus")
    assert source.remote
    assert source.identity() == f"zip:T/*.jsonl::hf://datasets/acme/notes@{commit}/all.zip#q,a"
