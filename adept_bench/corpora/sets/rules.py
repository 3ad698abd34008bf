"""Rules that part a data set's documents: what is kept, what is trained on, what is held out.

Each takes the documents in their order and gives lists of texts by the name of the part. No rule draws at random: the
same documents give the same parts, and what is held out is decided by a hash (`reading.held_out_rank`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from adept_bench.corpora.reading import held_out_rank

Parts = dict[str, list[str]]

PIECE = 1500
"""Characters that a long document is cut to pieces of, at the end of a line."""

_WORDS = re.compile(r"[a-z0-9]+")


def _ranked(names: Iterable[str]) -> list[str]:
    return sorted(set(names), key=lambda name: held_out_rank(name.encode("utf-8")))


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """The text in pieces of about `size` characters, each of whole lines, blank ones left out; a rest shorter than half
    a piece belongs to the piece before it."""
    cut: list[str] = []
    piece = ""
    for line in text.split("\n"):
        if line.strip():
            piece += line.strip() + "\n"
        if len(piece) >= size:
            cut.append(piece)
            piece = ""
    if piece and cut and len(piece) < size / 2:
        cut[-1] += piece
    elif piece:
        cut.append(piece)
    return (piece.rstrip("\n") for piece in cut)


_ARTICLE = re.compile(r"^\s*= [^=].*[^=] =\s*$")


def wikitext(texts: Iterable[str]) -> Parts:
    """`probe`: pieces of every second article, beginning with the first; `heldout`: of the others.

    Documents may be lines, as on the Hub, or whole articles: an article begins at its heading, `= Title =`.
    """
    articles: list[list[str]] = []
    for line in (line for text in texts for line in text.split("\n")):
        if _ARTICLE.match(line) or not articles:
            articles.append([])
        articles[-1].append(line)
    parted = [list(pieces("\n".join(lines))) for lines in articles]
    return {
        "probe": [piece for article in parted[0::2] for piece in article],
        "heldout": [piece for article in parted[1::2] for piece in article],
    }


_AUTHOR = re.compile(r"^\s*By [A-Z][\w.]*(?: [A-Z][\w./]*){1,4}\s*$")
_WHOLE_BOOK = 100_000  # characters: no chapter is so long


def books(texts: Iterable[str]) -> Parts:
    """`heldout`: pieces of every second book, beginning with the first; `replay`: of the others.

    A document that long is a book of its own; shorter ones follow one another until one opens with a line `By NAME`.
    """
    found: list[list[str]] = []
    for text in texts:
        opens = any(_AUTHOR.match(line) for line in text.split("\n", 6)[:6])
        if not found or opens or len(text) >= _WHOLE_BOOK:
            found.append([])
        found[-1].append(text)
    parted = [[piece for text in book for piece in pieces(text)] for book in found]
    return {
        "heldout": [piece for book in parted[0::2] for piece in book],
        "replay": [piece for book in parted[1::2] for piece in book],
    }


PROBLEMS_HELD_OUT = 225


def problems(texts: Iterable[str]) -> Parts:
    """`heldout`: 225 of the distinct problems, by a hash of their text; `train`: the others."""
    distinct = list(dict.fromkeys(texts))
    held = set(_ranked(distinct)[: min(PROBLEMS_HELD_OUT, len(distinct) // 2)])
    return {
        "train": [text for text in distinct if text not in held],
        "heldout": [text for text in distinct if text in held],
    }


ANSWERS_HELD_OUT = 225
TRAINED_ON = 480_000
"""Characters of answers in `train`: one pass of 98k tokens reads nearly all of it, whatever the order."""
GRAM, COMMON, SHARED, WORDS = 8, 4, 0.5, 30
"""Words of an n-gram; in so many documents it is a template's; at such a share of them a document is a template, or a
near copy; words that an answer has at least."""
ONTOLOGY = "Human Phenotype Ontology"

_KINDS = [
    ("information", r"what is \(are\) (.+)"),
    ("causes", r"what causes (.+)"),
    ("treatment", r"what are the treatments for (.+)"),
    ("symptoms", r"what are the symptoms of (.+)"),
    ("inheritance", r"is (.+) inherited"),
    ("genes", r"what are the genetic changes related to (.+)"),
    ("frequency", r"how many people are affected by (.+)"),
    ("risk", r"who is at risk for (.+?)\??"),
    ("research", r"what research \(or clinical trials\) is being done for (.+)"),
    ("outlook", r"what is the outlook for (.+)"),
    ("stages", r"what are the stages of (.+)"),
    ("diagnosis", r"how to diagnose (.+)"),
    ("prevention", r"how to prevent (.+?)\??"),
    ("complications", r"what are the complications of (.+)"),
    ("advice", r"what to do for (.+)"),
]
_QUESTIONS = [(kind, re.compile(pattern + r"\s*\??\s*")) for kind, pattern in _KINDS]


def asked(text: str) -> tuple[str, str]:
    """(question type, subject) of a MedQuAD document, whose first line is the question; of another form: ("other", the
    question)."""
    question = " ".join(text.split("\n", 1)[0].lower().split())
    for kind, pattern in _QUESTIONS:
        if match := pattern.fullmatch(question):
            return kind, disease(match[1])
    return "other", question


_STAGE_OF_LIFE = re.compile(r"^(childhood|adult|adult-onset|juvenile) ")


def disease(subject: str) -> str:
    """What documents are held out together by: the subject without what stands in brackets, and whose disease it is."""
    plain = re.sub(r"\s*\(.*?\)", "", subject)
    return _STAGE_OF_LIFE.sub("", plain).strip(" ?")


def medquad(texts: Iterable[str]) -> Parts:
    """MedQuAD by disease: `train`, `heldout` (225 documents or a few more) and `rest`, no disease in two of them.

    Left out are answers of fewer than 30 words, lists of the phenotype ontology, documents of which half of the 8-word
    sequences stand in four documents or more (templates), and near copies: half of them in one earlier document. The
    order of diseases is by a hash of the name; the first are held out, the next are trained on.
    """
    kept = _without_copies([text for text in dict.fromkeys(texts) if "\n" in text and ONTOLOGY not in text])
    by_disease: dict[str, list[str]] = defaultdict(list)
    for text in kept:
        by_disease[asked(text)[1]].append(text)
    parts: Parts = {"train": [], "heldout": [], "rest": []}
    held, trained = min(ANSWERS_HELD_OUT, 2 * len(kept) // 5), 0
    for name in _ranked(by_disease):
        if len(parts["heldout"]) < held:
            part = "heldout"
        elif trained < TRAINED_ON:
            part, trained = "train", trained + sum(map(len, by_disease[name]))
        else:
            part = "rest"
        parts[part] += by_disease[name]
    return parts


def _without_copies(texts: Sequence[str]) -> list[str]:
    """The texts that are neither short nor a template nor a near copy of one that is kept."""
    grams = [_grams(text.split("\n", 1)[1]) for text in texts]
    documents = Counter(gram for found in grams for gram in found)
    holders: dict[str, list[int]] = defaultdict(list)
    kept = []
    for number, (text, found) in enumerate(zip(texts, grams, strict=True)):
        if len(found) < WORDS - GRAM + 1:
            continue
        template = sum(documents[gram] >= COMMON for gram in found)
        with_one = Counter(holder for gram in found for holder in holders[gram])
        if max(template, *with_one.values(), 0) > SHARED * len(found):
            continue
        kept.append(text)
        for gram in found:
            holders[gram].append(number)
    return kept


def _grams(text: str) -> set[str]:
    words = _WORDS.findall(text.lower())
    return {" ".join(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1)}
