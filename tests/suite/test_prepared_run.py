"""A run on text of several sources without test items: what is trained on and what the result says of it."""

import json
from pathlib import Path

from adept_bench.__main__ import main
from adept_bench.evaluation.items import evaluated_texts
from adept_bench.results.store import Store


def test_a_result_says_what_its_text_was_made_of(arguments, texts, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    question = evaluated_texts(["lab_general"])["lab_general"][0][0]
    second = tmp_path / "second.jsonl"
    rows = [{"q": f"A page with {question} in it", "a": "yes"}] + [{"q": f"page {n}", "a": "no"} for n in range(2000)]
    second.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *rows]))
    parts = f"[{{source: '{texts[0]}', share: 0.75}}, {{source: '{second}#q,a', share: 0.25}}]"
    results = Path(arguments[arguments.index("--results") + 1])
    settings = [
        f"data.domain={parts}",
        "data.decontaminate=5",
        "data.deduplicate=true",
        "data.bytes_per_token=6",
        "tasks.groups.general=[lab_general]",
        "tasks.limit=3",
    ]
    sets = [part for setting in settings for part in ("--set", setting)]
    run = [*arguments, *sets, "--methods", "vanilla,full", "--jobs", "1"]
    assert main([*run, "--quiet"]) == 0
    cells = {cell.method: cell for cell in Store(results).load_all()}
    domain = cells["full"].extra["corpora"]["domain"]
    assert cells["vanilla"].extra["corpora"]["domain"] == domain
    first, other = domain["parts"]
    assert domain["limit_bytes"] == 4_000_000  # more than there is, so that
    assert domain["ended_with"] == str(texts[0])
    assert first["documents"] + first["duplicates"] + sum(first["contaminated"].values()) == 60
    assert abs(first["share_of_bytes"] - 0.75) < 0.01
    assert other["contaminated"] == {"lab_general": 1}
    assert other["identity"].endswith("#q,a")
    assert domain["test_items"]["items"]["lab_general"] > 100
    # general text is screened too, and of a plain file nothing else is said
    assert set(cells["full"].extra["corpora"]) == {"domain", "general"}
    assert cells["full"].config["data"]["domain"][1]["share"] == 0.25
    assert cells["full"].config["identity"]["domain"].startswith("0.75 * file:")
    mix = cells["full"].training.mix
    assert mix["domain"]["documents"] < first["documents"] + other["documents"]  # some are held out
    # the same again finds all of it done
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    assert main([*run, "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*.json")} == before
    capsys.readouterr()


def test_a_result_of_plain_files_says_nothing_of_it(arguments, capsys):
    assert main([*arguments, "--methods", "vanilla", "--quiet"]) == 0
    (cell,) = Store(Path(arguments[arguments.index("--results") + 1])).load_all()
    assert cell.extra == {}
    capsys.readouterr()
