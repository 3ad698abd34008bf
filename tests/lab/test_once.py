"""The one-pass corpus: the budget reads it once, no document twice, and only what it must differs from preset lab."""

from adept_bench.config.loading import resolve
from adept_bench.lab import bases, corpora, items
from adept_bench.lab.tokenizer import build_tokenizer
from adept_bench.lab.world import world


def test_the_budget_reads_every_document_at_most_once_and_nearly_all():
    texts = corpora.texts("medical-once")
    assert len(texts) == len(set(texts))
    tokens = sum(len(ids) + 1 for ids in build_tokenizer()(texts)["input_ids"])  # and the token that ends each
    assert 0.99 * tokens < resolve("medical", "lab-once").training.tokens <= tokens


def test_every_entity_is_described_equally_often():
    texts = [text for text in corpora.texts("medical-once") if not text.startswith("Question")]
    told = {entity.name: 0 for entity in world().of("once")}
    for text in texts:
        (name,) = {word for word in text.replace(".", " ").split() if word in told}
        told[name] += 1
    assert set(told.values()) == {corpora.ONCE_RENDERINGS}


def test_questions_have_the_share_that_they_have_in_the_medical_corpus():
    def share(name: str) -> float:
        texts = corpora.texts(name)
        return sum(text.startswith("Question") for text in texts) / len(texts)

    assert abs(share("medical-once") - share("medical")) < 0.002

    def asked(population: str) -> float:
        return len(world().of(population, "asked")) / len(world().of(population))

    assert abs(asked("once") - asked("new")) < 0.002


def test_as_many_items_as_the_medical_corpus_has():
    assert len(items.items("lab_medical_once")) == len(items.items("lab_medical_new"))
    assert len(items.items("lab_medical_once_validation")) == len(items.items("lab_medical_validation"))


def test_the_preset_differs_from_lab_in_the_domain_corpus_and_what_is_asked_of_it():
    lab, once = (resolve("medical", name).model_dump() for name in ("lab", "lab-once"))
    assert [key for key in lab if lab[key] != once[key]] == ["preset", "data", "tasks"]
    assert [key for key in lab["data"] if lab["data"][key] != once["data"][key]] == ["domain", "domain_heldout"]
    for kind in ("groups", "validation"):
        own, other = lab["tasks"].pop(kind), once["tasks"].pop(kind)
        assert [group for group in own if own[group] != other[group]] == ["domain"]
    assert lab["tasks"] == once["tasks"]
    lab, once = (resolve("math", name).model_dump(exclude={"preset"}) for name in ("lab", "lab-once"))
    assert lab == once


def test_what_was_there_before_it_is_what_it_was():
    """Stored results name these hashes: the one-pass world comes last, and nothing else is drawn anew."""
    assert bases.making_hash("base") == "60d3b012d1767c22"
    assert bases.corpus_hash("medical") == "a73eb8d711dcd642"
    assert bases.corpus_hash("general") == "9477f7269b34db61"
    assert bases.items_hash("lab_general") == "2bec65dfeeb275fe"
    assert bases.items_hash("lab_medical_new") == "cdc194cc099a64c9"
    assert bases.items_hash("lab_math_choice") == "6ee767ceca70291f"
