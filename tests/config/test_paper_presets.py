"""The presets of the paper's scale: what they resolve to, without network, and how local copies take their place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from adept_bench.config.experiments import experiments_dir, load_preset
from adept_bench.config.loading import resolve
from adept_bench.config.names import METHOD_NAMES
from adept_bench.config.schema import Corpus, CorpusPart, RunConfig
from adept_bench.corpora.hub import COMMIT, ArchiveSource, HubSource
from adept_bench.corpora.sources import TasksSource, find_source
from adept_bench.errors import InputError
from adept_bench.evaluation.tasks import check_names
from adept_bench.suite.texts import corpus_identity, source_of

BASES = {
    "qwen3-1.7b": "Qwen/Qwen3-1.7B-Base",
    "qwen3-4b": "Qwen/Qwen3-4B-Base",
    "qwen3-8b": "Qwen/Qwen3-8B-Base",
    "llama3-8b": "meta-llama/Meta-Llama-3-8B",
}
UNPINNED = {"Henrychur/MMedC", "BAAI/IndustryInstruction_Health-Medicine"}  # as docs/presets.md says


def sources(corpus: Corpus | None) -> list[str]:
    return [part.source for part in corpus] if isinstance(corpus, list) else [corpus] if corpus else []


@pytest.mark.parametrize("preset", BASES)
@pytest.mark.parametrize("suite", ["medical", "math"])
def test_what_the_paper_says(preset: str, suite: str) -> None:
    config = resolve(suite, preset)
    assert config.model.source == BASES[preset]
    assert config.model.revision is not None
    assert COMMIT.fullmatch(config.model.revision)
    assert config.options.k == (8 if (preset, suite) == ("llama3-8b", "medical") else 4)
    assert config.options.refresh_every == 500
    assert config.training.precision == "bf16"
    assert config.training.tokens_per_step == 32_768
    assert config.tasks.groups["general"] == ["mmlu", "cmmlu"]
    domain = {"math": ["gsm8k", "arc_easy", "arc_challenge"], "medical": ["medqa_4options", "mmcu_medical", "cmb"]}
    assert config.tasks.groups["domain"] == domain[suite]
    assert config.data.probe == "tasks:mmlu,cmmlu,arc_easy,arc_challenge"
    for method in METHOD_NAMES:
        assert len(config.selection.grid_for(method)) == 3


@pytest.mark.parametrize("suite", ["medical", "math"])
def test_no_task_is_both_for_testing_and_for_choosing(suite: str) -> None:
    tasks = resolve(suite, "qwen3-1.7b").tasks
    tested = {name for names in tasks.groups.values() for name in names}
    chosen = {name for names in tasks.validation.values() for name in names}
    assert set(tasks.validation) == {"general", "domain"}
    assert not tested & chosen


@pytest.mark.parametrize("suite", ["medical", "math"])
def test_every_task_exists_and_says_its_examples(suite: str) -> None:
    tasks = resolve(suite, "qwen3-1.7b").tasks
    tested = [name for names in tasks.groups.values() for name in names]
    check_names(tested)
    check_names([name for names in tasks.validation.values() for name in names])
    assert set(tested) <= set(tasks.fewshot)


@pytest.mark.parametrize("suite", ["medical", "math"])
def test_every_source_is_readable_as_written(suite: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it would say what main is now
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path))
    data = resolve(suite, "qwen3-1.7b").data
    for source in [*sources(data.domain), *sources(data.general), *sources(data.probe)]:
        found = find_source(source, option="data")
        if isinstance(found, TasksSource):
            continue
        assert isinstance(found, HubSource | ArchiveSource)
        name = found.dataset if isinstance(found, HubSource) else found.parts["dataset"]
        assert (found.parts["revision"] is None) == (name in UNPINNED)
        assert found.parts["revision"] is None or COMMIT.fullmatch(found.parts["revision"])
        assert corpus_identity(source) == source
    assert "Test" not in str(data.domain)


def test_presets_differ_in_what_their_files_say() -> None:
    one = resolve("math", "qwen3-1.7b").model_dump()
    for preset in ("qwen3-4b", "qwen3-8b", "llama3-8b"):
        other = resolve("math", preset).model_dump()
        assert [key for key in one if one[key] != other[key]] == ["preset", "model", "training"]


def test_every_setting_says_where_it_comes_from() -> None:
    path = experiments_dir() / "presets" / "qwen3-1.7b.yaml"
    text = path.read_text(encoding="utf-8")
    for source in ("paper", "released code", "our choice"):
        assert re.search(rf"# {source}\b", text)
    root = yaml.compose(text)
    lines = text.splitlines()
    commented = {number for number, line in enumerate(lines) if "#" in re.sub(r'"[^"]*"', "", line)}

    def check(node: yaml.Node, above: bool) -> None:
        """A setting has a comment on its line or the one above it, or something that it is part of has."""
        assert isinstance(node, yaml.MappingNode)
        for key, value in node.value:
            said = above or bool({key.start_mark.line, key.start_mark.line - 1} & commented)
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                check(value, said)
            elif key.value != "description":
                assert said, f"line {key.start_mark.line + 1}: {lines[key.start_mark.line]}"

    check(root, False)


def test_local_copies_take_the_place_of_the_hub(tmp_path: Path) -> None:
    for name in ("web.jsonl", "problems.jsonl", "general.jsonl"):
        (tmp_path / name).write_text('{"text": "a", "q": "b", "a": "c"}\n')
    parts = f"[{{source: {tmp_path}/web.jsonl, share: 0.9}}, {{source: '{tmp_path}/problems.jsonl#q,a', share: 0.1}}]"
    config = resolve(
        "math",
        "qwen3-8b",
        model="/models/qwen",
        overrides=[f"data.domain={parts}", f"data.general={tmp_path}/general.jsonl", "data.decontaminate=null"],
    )
    assert config.data.domain == [
        CorpusPart(source=f"{tmp_path}/web.jsonl", share=0.9),
        CorpusPart(source=f"{tmp_path}/problems.jsonl#q,a", share=0.1),
    ]
    assert config.data.probe == "tasks:mmlu,cmmlu,arc_easy,arc_challenge"  # of benchmarks, whatever is replayed
    assert config.model.revision is None
    assert config.tasks.groups  # they ask about the real world
    prepared = source_of(config, "domain")
    assert list(prepared.texts()) == ["a", "b\nc"]  # then the first part has run out
    identity = corpus_identity(config.data.domain)
    assert identity is not None
    assert identity.startswith("0.9 * file:")
    (tmp_path / "web.jsonl").write_text('{"text": "other"}\n')
    assert corpus_identity(config.data.domain) != identity


def test_benchmark_items_are_read_from_local_copies(tmp_path: Path) -> None:
    for split in ("train", "test"):
        rows = [{"question": f"{split} {word} apples?", "answer": f"{word} #### 1"} for word in ("two", "ten")]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ["data.probe=tasks:gsm8k", f"tasks.data.gsm8k={tmp_path}", "data.domain=[{source: a/b@x, share: 1}]"]
    config = resolve("math", "qwen3-1.7b", overrides=settings)
    source = source_of(config, "probe")
    assert list(source.texts()) == [f"Question: train {word} apples?\nAnswer: {word} #### 1" for word in ("two", "ten")]
    assert source.notes()["identity"] == source.identity()


def test_a_source_may_stand_twice_in_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "b": "b"}\n')
    part = f"{{source: {tmp_path}/a.jsonl, share: 0.5}}"
    config = resolve("math", overrides=[f"data.domain=[{part}, {part}]"])
    assert list(source_of(config, "domain").texts()) == ["a", "a"]


def test_looking_for_items_needs_tasks() -> None:
    config = resolve("medical", model="/some/model", overrides=["data.decontaminate=13"])
    with pytest.raises(InputError, match=r"data\.decontaminate: 13, and no tasks"):
        source_of(config, "domain")
    assert source_of(config, "probe").name == "lab:probe"


def test_a_configuration_with_several_sources_survives_json() -> None:
    config = resolve("medical", "qwen3-1.7b")
    dumped = config.model_dump(mode="json")
    assert dumped["data"]["domain"][0]["share"] == 0.45
    assert dumped["data"]["decontaminate"] == 13
    assert RunConfig.model_validate(dumped) == config
    # what came later is not written at its default, so that stored results stay equal
    lab = resolve("medical").model_dump(mode="json")["data"]
    assert not {"decontaminate", "deduplicate", "bytes_per_token", "general_bytes_per_token"} & set(lab)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.domain=[{source: a.txt, share: 0.4}]", r"--set: data\.domain: shares \[0\.4\] sum to 0\.4; expected 1"),
        ("data.domain=[{sorce: a.txt, share: 1}]", r"unknown key 'data\.domain\.0\.sorce'; .*did you mean .*source'\?"),
        ("data.general=[{source: a.txt, share: 0}]", r"data\.general\.0\.share: 0 is not valid"),
        ("data.domain={a: 1}", r"--set: data\.domain: \{'a': 1\} is not valid; expected string"),
        ("data.decontaminate=2", r"data\.decontaminate: 2 is not valid; expected greater than or equal to 5"),
    ],
)
def test_a_mistake_in_a_corpus_names_the_option(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve("medical", overrides=[override])


def test_settings_of_a_domain_need_the_domain(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: llama3-8b\ndescription: x\ndomains: {medcal: {options: {k: 2}}}\n")
    with pytest.raises(InputError, match=r"'medcal' is none of data\.domains: math, medical"):
        load_preset(str(path))
    path.write_text("extends: llama3-8b\ndescription: x\ndomains: {medical: {options: {kk: 2}}}\n")
    with pytest.raises(InputError, match=r"own\.yaml:3: unknown key 'domains\.medical\.options\.kk'"):
        load_preset(str(path))
    path.write_text("extends: llama3-8b\ndescription: x\ndomains: {math: {options: {lora_rank: 2}}}\n")
    math, medical = (resolve(suite, str(path)).options for suite in ("math", "medical"))
    assert (math.k, math.lora_rank, medical.k, medical.lora_rank) == (4, 2, 8, None)
    assert resolve("medical", str(path), overrides=["options.k=3"]).options.k == 3
