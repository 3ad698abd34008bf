"""Recall in statement form, and replay text without the facts that are asked: against the world, by plain means."""

from adept_bench.lab import corpora
from adept_bench.lab.items import items
from adept_bench.lab.tokenizer import pieces
from adept_bench.lab.world import world


def test_statements_ask_for_the_same_facts_in_the_same_order():
    asked, stated = items("lab_general"), items("lab_general_statement")
    assert len(asked) == len(stated) == 648
    for one, other in zip(asked, stated, strict=True):
        assert {key: one[key] for key in ("id", "choices", "answer")} == {
            key: other[key] for key in ("id", "choices", "answer")
        }


def test_a_statement_with_its_value_is_a_sentence_of_the_world():
    """Built here from the world's patterns: the begun sentence and the answer open one of the three."""
    facts = {
        f"{entity.name}/{attribute.name}": [
            pattern.format(name=entity.name, value=value) for pattern in attribute.patterns
        ]
        for entity in world().of("general", "test")
        for attribute, value in zip(entity.kind.attributes, entity.facts, strict=True)
    }
    used = set()
    for item in items("lab_general_statement"):
        sentence = f"{item['question']} {item['choices'][item['answer']]}"
        found = [place for place, whole in enumerate(facts[item["id"]]) if whole.startswith(sentence)]
        assert found, item
        used |= set(found)
        assert "Question" not in item["question"]
    assert used == {0, 1, 2}


def test_values_are_single_pieces():
    """So that the sixteen choices of an item are told apart by one token, as in the questions."""
    words = {piece[1:] for piece in pieces() if not piece[0].isalnum()}
    assert words >= {choice for item in items("lab_general_statement") for choice in item["choices"]}


def test_replay_without_the_tested_facts_names_no_tested_entity():
    text = " ".join(corpora.texts("general-without-tested"))
    words = set(text.replace(".", " ").replace("?", " ").split())
    for split in ("test", "validation"):
        assert not words & {entity.name for entity in world().of("general", split)}
    assert words >= {entity.name for entity in world().of("general", "asked")}
    # the whole corpus, which `replay` draws on, states every one of them: an oracle
    whole = set(" ".join(corpora.texts("general")).replace(".", " ").replace("?", " ").split())
    assert whole >= {entity.name for entity in world().of("general", "test")}


def test_bases_and_older_corpora_are_as_before():
    """Hashes as stored with results that were made before there were statements."""
    import json
    from pathlib import Path

    from adept_bench.lab.bases import corpus_hash

    stored = json.loads((Path(__file__).parents[2] / "results/lab/pilot/full-seed0.json").read_text(encoding="utf-8"))
    for name, known in (("domain", "medical"), ("general", "general"), ("probe", "probe")):
        assert stored["config"]["identity"][name] == f"lab:{known}@{corpus_hash(known)}"
