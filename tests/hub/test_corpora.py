"""Corpora of a Hub: which commit is read, how much of it, and what is said where there is none."""

import json

import pytest
from hub.files import arc, archive, card, documents, jsonl, jsonl_gz, parquet, rows

from adept_bench.results.store import Store

PRESET = """
description: "Everything from the Hub"
needs: {{network: true}}
model: {{source: org/tiny, revision: {model}}}
data:
  domains:
    medical:
      train:
        - {{source: "org/web@{pinned}", share: 0.5}}
        - {{source: "org/pairs/en:test#problem,answer", share: 0.25}}
        - {{source: "zip://en/*.txt::hf://datasets/org/zipped/English.zip", share: 0.25}}
  general: org/general
  probe: "tasks:arc_easy"
  probe_documents: 4
  heldout_documents: 4
  decontaminate: 8
  deduplicate: true
tasks: {{general: [arc_easy], domains: {{medical: {{domain: []}}}}, num_fewshot: 0, batch_size: 4}}
training: {{tokens: 128, length: 32, batch_size: 2, save_every: 100}}
probe: {{max_length: 32, batch_size: 4, unit_batch_size: 4}}
options: {{k: 1}}
selection: {{grid: [1e-3]}}
"""


@pytest.fixture(scope="module")
def items(hub):
    return arc(hub)


@pytest.fixture(scope="module")
def commits(hub, items):
    """Commits of the preset's datasets; of org/web an older one, whose texts begin with `old`."""
    older = hub.commit(
        "datasets", "org/web", {f"data/part-{n}.jsonl.gz": jsonl_gz(rows(f"old{n}", 10)) for n in range(4)}
    )
    newer = hub.commit(
        "datasets", "org/web", {f"data/part-{n}.jsonl.gz": jsonl_gz(rows(f"new{n}", 10)) for n in range(4)}
    )
    pairs = {
        f"{name}/{split}-00000.parquet": parquet(
            [{"problem": text, "answer": "so"} for text in documents(f"{name}-{split}", 60)]
        )
        for name, split in (("en", "train"), ("en", "test"), ("zh", "train"))
    }
    test_item = items["test"][3]["question"]
    return {
        "older": older,
        "web": newer,
        "pairs": hub.commit(
            "datasets", "org/pairs", pairs | {"README.md": card({"en": ["train", "test"], "zh": ["train"]})}
        ),
        "zipped": hub.commit(
            "datasets",
            "org/zipped",
            {
                "English.zip": archive(
                    {f"en/{n}.txt": text for n, text in enumerate(documents("zip", 60))} | {"fr/1.txt": "non"}
                )
            },
        ),
        "general": hub.commit(
            "datasets",
            "org/general",
            {"train.json": json.dumps([*rows("gen", 60), {"text": f"See {test_item}"}]).encode()},
        ),
    }


def _run(results):
    return "run", "--suite", "medical", "--preset", "preset.yaml", "--methods", "vanilla,adept", "--results", results


def test_a_preset_of_the_hub(hub, adept, adept_offline, tiny_on_hub, commits, tmp_path):
    preset = PRESET.format(model=tiny_on_hub.older, pinned=commits["older"])
    (tmp_path / "preset.yaml").write_text(preset)
    assert adept(*_run("first"), "--jobs", 1).code == 0
    cells = {cell.method: cell for cell in Store(tmp_path / "first").load_all()}
    assert set(cells) == {"vanilla", "adept"}
    found = cells["adept"].extra["corpora"]
    parts = [part["identity"] for part in found["domain"]["parts"]]
    assert parts == [
        f"hub:org/web/:train#text@{commits['older']}",
        f"hub:org/pairs/en:test#problem,answer@{commits['pairs']}",
        f"zip:en/*.txt::hf://datasets/org/zipped@{commits['zipped']}/English.zip#text",
    ]
    assert [part["share_of_bytes"] for part in found["domain"]["parts"]] == pytest.approx([0.5, 0.25, 0.25], abs=0.02)
    assert found["general"]["parts"][0]["contaminated"] == {"arc_easy": 1}
    assert found["general"]["parts"][0]["documents"] == 60
    assert cells["adept"].tasks["arc_easy"].n == 12
    # what is named without a commit is known by the one that was read
    identity = cells["adept"].config["identity"]
    assert identity["general"] == f"org/general at {commits['general']}"
    assert f"org/pairs/en:test#problem,answer at {commits['pairs']}" in identity["domain"]
    assert not hub.sent(commits["web"])
    assert not hub.sent("zh/")

    # the same from the caches alone
    hub.stop()
    assert "2 of 2 cells have a valid result" in adept_offline(*_run("first"), "--jobs", 1).err
    assert adept_offline(*_run("second"), "--jobs", 1).code == 0
    for cell in Store(tmp_path / "second").load_all():
        assert cell.extra == cells[cell.method].extra
        assert cell.losses == cells[cell.method].losses
        assert cell.config == cells[cell.method].config

    # main has moved: results of two texts are not mixed
    hub.start()
    hub.commit("datasets", "org/general", {"train.json": json.dumps(rows("other", 60)).encode()})
    error = adept(*_run("first"), "--jobs", 1, "--quiet").error
    assert f"identity.general org/general at {commits['general']}" in error


def _probe(corpus, *more):
    return "probe", "layers", "--model", "org/tiny", "--corpus", corpus, "--max-length", 8, "--quiet", *more


def _hash(adept, corpus, *more):
    found = json.loads(adept(*_probe(corpus, *more)).out)["corpus"]
    return found["documents"], found["hash"]


def test_the_text_is_that_of_the_commit_streamed_and_downloaded(hub, adept, tiny_on_hub, commits, tmp_path):
    for name, commit in (("old", "@" + commits["older"]), ("new", "")):
        texts = [row for part in range(4) for row in rows(f"{name}{part}", 10)]
        (tmp_path / "all.jsonl").write_bytes(jsonl(texts))
        (tmp_path / "five.jsonl").write_bytes(jsonl(texts[:5]))
        five = _hash(adept, tmp_path / "five.jsonl")
        assert five[0] == 5
        assert _hash(adept, f"org/web{commit}", "--max-documents", 5) == five  # streamed
        assert _hash(adept, f"org/web{commit}:train[:5]") == five  # downloaded
        assert _hash(adept, f"org/web{commit}") == _hash(adept, tmp_path / "all.jsonl")


def test_of_a_stream_only_what_is_needed_is_fetched(hub, adept, tiny_on_hub, tmp_path):
    shards = {f"data/part-{n}.jsonl.gz": jsonl_gz(rows(f"{n}", 400, 500)) for n in range(8)}
    hub.commit("datasets", "org/large", shards)
    adept(*_probe("org/large", "--max-documents", 2))
    assert not any(hub.sent(f"part-{n}") for n in range(1, 8))
    domain = tmp_path / "domain.jsonl"
    domain.write_bytes(jsonl(rows("domain", 40)))
    sets = {
        "data.domain": domain,
        "data.general": "org/large",
        "data.general_bytes_per_token": 1,
        "data.heldout_documents": 4,
        "data.probe_documents": 4,
        "training.tokens": 128,
        "training.length": 32,
        "training.batch_size": 2,
    }
    settings = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    run = ("run", "--suite", "medical", "--model", "org/tiny", "--methods", "vanilla", "--results", "results")
    assert adept(*run, *settings).code == 0
    (cell,) = Store(tmp_path / "results").load_all()
    general = cell.extra["corpora"]["general"]
    assert general["limit_bytes"] == 4_000_000
    assert general["ended_with"] is None
    per_shard = len("".join(row["text"] for row in rows("0", 400, 500)).encode())
    needed = -(-4_000_000 // per_shard)
    assert needed < 7
    assert all(hub.sent(f"part-{n}") for n in range(needed))
    assert not any(hub.sent(f"part-{n}") for n in range(needed + 1, 8))  # one may have been begun


def test_another_commit_of_the_cache_is_not_taken_for_the_one_asked_for(hub, adept, adept_offline, tiny_on_hub):
    first = hub.commit("datasets", "org/moving", {"train.jsonl": jsonl(rows("first", 20))})
    second = hub.commit("datasets", "org/moving", {"train.jsonl": jsonl(rows("second", 20))})
    online = adept(*_probe("org/moving")).out
    assert adept(*_probe("org/tiny-is-no-dataset")).code == 2
    assert adept_offline(*_probe("org/moving")).out == online
    assert adept_offline(*_probe(f"org/moving@{second}")).out.replace(f"@{second}", "") == online
    refused = adept_offline(*_probe(f"org/moving@{first}"))
    assert refused.code == 2
    assert f"the cache of datasets holds commit {second}, not {first}" in refused.err.splitlines()[-1]


def test_a_stream_that_breaks_off_is_taken_up_again(hub, adept, tiny_on_hub, tmp_path):
    hub.commit("datasets", "org/cut", {"data/cut-0.jsonl.gz": jsonl_gz(rows("cut", 30))})
    (tmp_path / "here.jsonl").write_bytes(jsonl(rows("cut", 30)))
    hub.cut["cut-0.jsonl.gz"] = 1
    assert _hash(adept, "org/cut", "--max-documents", 30) == _hash(adept, tmp_path / "here.jsonl")
    assert hub.cut["cut-0.jsonl.gz"] == 0


def test_what_cannot_be_had_is_one_line(hub, adept, adept_offline, tiny_on_hub, commits, tmp_path):
    hub.commit("datasets", "org/gated-text", {"train.jsonl": jsonl(rows("gated", 5))})
    hub.gated.add("org/gated-text")
    archive = "zip://en/*.txt::hf://datasets/org/"
    for corpus, expected in (
        ("org/nothing", "no such repository"),
        ("org/web@nowhere", "no such revision"),
        ("org/web@" + "0" * 40, "0" * 40),
        ("org/gated-text", "gated"),
        ("org/pairs", "['en', 'zh']"),
        ("org/pairs/fr", "['en', 'zh']"),
        ("org/pairs/zh:test", "['train']"),
        ("org/web#body", "there are: text"),
        (f"{archive}nothing/English.zip", "no such repository"),
        (f"{archive}zipped@nowhere/English.zip", "no such revision"),
        (f"{archive}zipped/Chinese.zip", "Chinese.zip"),
        ("zip://de/*.txt::hf://datasets/org/zipped/English.zip", "no member"),
    ):
        error = adept(*_probe(corpus, "--max-documents", 2)).error
        assert error.startswith("--corpus: ")
        assert expected in error
    hub.stop()
    assert f"{hub.url} does not answer" in adept(*_probe(f"{archive}zipped/English.zip")).error
    for corpus in ("org/never", f"{archive}never/English.zip"):
        refused = adept_offline(*_probe(corpus))
        assert refused.code == 2
        assert refused.err.splitlines()[-1].startswith("--corpus: ")
        assert "the cache does not have it" in refused.err
    assert {path.name for path in tmp_path.iterdir()} <= {"stdout", "stderr", "cache"}
