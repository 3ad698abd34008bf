"""Parts of public data sets, on rows of our own in their forms."""

import json

import pytest

from adept_bench.corpora.copies import copies_of_tasks, shown
from adept_bench.corpora.reading import read_corpus
from adept_bench.corpora.sets import rules
from adept_bench.corpora.sets.chat import pairs
from adept_bench.errors import InputError
from adept_bench.suite.texts import corpus_identity

LINES = [
    " = First = ",
    "",
    "one two",
    " = = Section = = ",
    "three",
    " = Second = ",
    "four five",
    " = Third = ",
    "six",
]


@pytest.mark.parametrize("documents", [LINES, ["\n".join(LINES[:5]), "\n".join(LINES[5:7]), "\n".join(LINES[7:])]])
def test_articles_go_whole_to_one_half(documents):
    parts = rules.wikitext(documents)
    assert parts["probe"] == ["= First =\none two\n= = Section = =\nthree", "= Third =\nsix"]
    assert parts["heldout"] == ["= Second =\nfour five"]


def test_pieces_hold_every_line_once():
    lines = [f"line {number} " + "x" * (number * 37 % 400) for number in range(60)]
    cut = list(rules.pieces("\n".join(lines), size=500))
    assert [line for piece in cut for line in piece.split("\n")] == [line.strip() for line in lines]
    assert min(map(len, cut)) >= 250


def test_a_book_is_never_read_in_both_parts():
    chapters = [
        "Produced by volunteers\nA TALE\nBy Ann Author\nIt began.",
        "By the door of the old house he stood and did not know what to say to them all.",
        "ANOTHER\nBy B. Writer\nIt rained.",
        "And it ended.",
    ]
    parts = rules.books([*chapters, "long " * 30_000])
    assert parts["heldout"][:2] == [chapters[0], chapters[1]]
    assert parts["replay"] == [chapters[2], chapters[3]]
    assert len(parts["heldout"]) > 2  # the long document is a book of its own, the third


def answer(disease, number):
    return f"{disease} " + " ".join(f"{disease.replace(' ', '')}word{number}{at}" for at in range(40))


def rows(diseases=40):
    names = [f"strange illness {number}" for number in range(diseases)]
    return [
        f"{question.format(name)}\n{answer(name, at)}"
        for name in names
        for at, question in enumerate(("What is (are) {} ?", "What are the symptoms of Childhood {} (X) ?"))
    ]


def test_a_disease_is_in_one_part_alone():
    parts = rules.medquad(rows())
    of = {part: {rules.asked(text)[1] for text in texts} for part, texts in parts.items()}
    assert sum(map(len, parts.values())) == 80
    assert len(parts["heldout"]) == 32  # two fifths of so small a set
    assert not of["heldout"] & of["train"]
    assert sum(map(len, of.values())) == 40


def test_templates_lists_copies_and_stubs_are_left_out():
    plain = rows(8)
    sentence = " ".join(f"template{at}" for at in range(60))
    templates = [f"What causes disease {number} ?\n{sentence} ending {number}" for number in range(4)]
    copy = plain[0].replace("What is (are) strange illness 0 ?", "What causes oddness ?") + " and a little more"
    short = "What causes brevity ?\nNothing much."
    ontology = "What are the symptoms of lists ?\nThe Human Phenotype Ontology lists " + " ".join(map(str, range(50)))
    parts = rules.medquad([*plain, *templates, copy, short, ontology])
    assert sorted(text for texts in parts.values() for text in texts) == sorted(plain)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is (are) Breast Cancer ?", ("information", "breast cancer")),
        ("Who is at risk for Childhood Liver Cancer? ?", ("risk", "liver cancer")),
        ("Is Noonan syndrome inherited ?", ("inheritance", "noonan syndrome")),
        ("What are the symptoms of Long QT syndrome (LQTS) ?", ("symptoms", "long qt syndrome")),
        ("How are you?", ("other", "how are you?")),
    ],
)
def test_questions_are_read_by_type_and_disease(question, expected):
    assert rules.asked(f"{question}\nAn answer.") == expected


def test_problems_are_split_once_without_copies():
    texts = [f"problem {number}" for number in range(500)]
    parts = rules.problems([*texts, *texts[:50]])
    assert len(parts["heldout"]) == 225
    assert sorted(parts["train"] + parts["heldout"]) == sorted(texts)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    folder = tmp_path / "copies"
    (folder / "tasks" / "arc_easy").mkdir(parents=True)
    (folder / "tasks" / "piqa.jsonl").write_text("{}\n")
    (folder / "gsm8k.jsonl").write_text("".join(json.dumps({"text": f"problem {n}"}) + "\n" for n in range(500)))
    monkeypatch.setenv("ADEPT_BENCH_DATA", str(folder))
    return folder


def test_a_local_copy_is_read_and_known_by_its_content(copies, tmp_path, monkeypatch):
    corpus = read_corpus("set:gsm8k/heldout")
    assert len(corpus.texts) == 225
    first = corpus_identity("set:gsm8k/heldout")
    elsewhere = copies.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("ADEPT_BENCH_DATA", str(elsewhere))
    assert corpus_identity("set:gsm8k/heldout") == first
    assert str(tmp_path) not in first


def test_copies_of_tasks_are_found_and_shown_without_their_place(copies):
    found = copies_of_tasks(["arc_easy", "piqa", "mmlu"])
    assert found == {"arc_easy": str(copies / "tasks/arc_easy"), "piqa": str(copies / "tasks/piqa.jsonl")}
    assert shown(found["piqa"]) == "$ADEPT_BENCH_DATA/tasks/piqa.jsonl"
    assert shown("/another/place") == "/another/place"


def test_pairs_of_ours_are_questions_and_answers():
    assert len(set(pairs())) == 60
    assert all(text.count("\n") == 1 for text in pairs())
    assert read_corpus("set:chat/pairs").texts == pairs()


@pytest.mark.parametrize("source", ["set:medquad/test", "set:medqad/train", "set:medquad"])
def test_an_unknown_part_names_the_nearest(source):
    with pytest.raises(InputError, match="did you mean 'set:medquad/"):
        read_corpus(source, option="data.domain")


def test_a_folder_of_copies_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("ADEPT_BENCH_DATA", "/nowhere/at/all")
    with pytest.raises(InputError, match="ADEPT_BENCH_DATA: no folder '/nowhere/at/all'"):
        read_corpus("set:gsm8k/train")
