"""Suites and presets resolve to what their files say, and every mistake is named with its place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from adept_bench.config.experiments import experiments_dir, list_presets, list_suites, load_preset, load_suite
from adept_bench.config.loading import resolve
from adept_bench.config.schema import RunConfig
from adept_bench.errors import InputError
from adept_bench.progress import Silent, reporter, use


@pytest.fixture
def said():
    """The lines logged during a test."""

    class Notebook(Silent):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def log(self, message: str) -> None:
            self.lines.append(message)

    before, notebook = reporter(), Notebook()
    use(notebook)
    yield notebook.lines
    use(before)


def refused(*arguments: object, **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        resolve(*arguments, **options)
    return str(caught.value).splitlines()


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("suite", sorted(path.stem for path in (experiments_dir() / "suites").glob("*.yaml")))
@pytest.mark.parametrize("preset", sorted(path.stem for path in (experiments_dir() / "presets").glob("*.yaml")))
def test_every_shipped_pair_resolves_and_survives_json(suite, preset):
    config = resolve(suite, preset)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert config.training.steps >= 1


def test_every_shipped_file_opens_with_its_command_and_is_listed():
    for kind, listed in (("suites", list_suites()), ("presets", list_presets())):
        paths = list((experiments_dir() / kind).glob("*.yaml"))
        assert sorted(listed) == sorted(path.stem for path in paths)
        assert all(listed.values())
        for path in paths:
            first = path.read_text(encoding="utf-8").splitlines()[0]
            assert first.startswith("# adept-bench run --suite ")
            assert path.stem in first


def test_shipped_grids_rise_by_factors_of_two_or_about_three():
    for name in list_presets():
        selection = load_preset(name).selection
        for grid in (selection.grid, *selection.method_grids.values()):
            factors = [high / low for low, high in pairwise(grid)]
            if name.startswith("smollm2"):
                assert all(3 <= round(factor, 6) < 3.4 for factor in factors)
            else:
                assert factors == pytest.approx([2.0] * (len(grid) - 1))


def test_lab_medical_is_what_its_files_say():
    config = resolve("medical")
    assert config.preset == "lab"
    assert config.model.source == "lab:base"
    assert (config.data.domain, config.data.domain_heldout) == ("lab:medical", "lab:medical-heldout")
    assert config.tasks.groups == {
        "general": ["lab_general"],
        "domain": ["lab_medical_new"],
        "domain_known": ["lab_medical_known"],
        "general_statement": ["lab_general_statement"],
    }
    assert config.tasks.validation == {"general": ["lab_general_validation"], "domain": ["lab_medical_validation"]}
    assert config.training.steps == 400  # 204,800 tokens of 128 x 4
    assert config.selection.grid_for("adept") == [5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2]


def test_redundant_differs_from_lab_in_its_model_alone():
    lab, redundant = (resolve("medical", name).model_dump() for name in ("lab", "lab-redundant"))
    assert [key for key in lab if lab[key] != redundant[key]] == ["preset", "model"]
    assert redundant["model"]["source"] == "lab:redundant"


def test_set_takes_typed_values():
    config = resolve(
        "math",
        overrides=[
            "training.tokens=1e5",
            "training.learning_rate=1e-3",
            "options.layers=[1, 5]",
            "model.revision=1234567",
            "selection.method_grids.full=[1,2,3,4,5,6,7]",
            "tasks.groups.general=[arc_easy]",
            "tasks.groups.domain=[]",
            "tasks.groups.general_statement=[]",
        ],
    )
    assert config.training.tokens == 100_000
    assert config.training.learning_rate == 0.001
    assert config.options.layers == [1, 5]
    assert config.model.revision == "1234567"
    assert config.selection.grid_for("full") == [1, 2, 3, 4, 5, 6, 7]
    assert config.selection.grid_for("adept")[0] == 5e-4
    assert config.tasks.groups == {"general": ["arc_easy"]}


def test_another_model_leaves_the_lab_tasks_out(said):
    config = resolve("medical", model="/some/model")
    assert config.tasks.groups == config.tasks.validation == {}
    assert config.data == resolve("medical").data
    assert len(said) == 1
    assert "lab_medical_known" in said[0]
    assert resolve("medical", model="lab:redundant").tasks == resolve("medical").tasks
    assert resolve("medical", model="/adapted", keep_tasks=True).tasks == resolve("medical").tasks
    kept = resolve("medical", model="/some/model", overrides=["tasks.groups.general=[arc_easy]"])
    assert kept.tasks.groups == {"general": ["arc_easy"]}
    assert "lab_general," not in said[-1]  # replaced by hand, not left out


def test_another_domain_corpus_leaves_the_domain_tasks_out(said):
    config = resolve("medical", overrides=["data.domain=mine.txt"])
    assert list(config.tasks.groups) == ["general", "general_statement"]
    assert list(config.tasks.validation) == ["general"]
    assert config.data.domain_heldout is None
    assert config.data.general_heldout == "lab:general-heldout"
    assert config.data.probe == "lab:probe"
    assert len(said) == 1


def test_several_sources_are_named_and_a_variant_does_not_say_it_again(said):
    override = "data.domain=[{source: one.txt, share: 0.25}, {source: two.txt, share: 0.75}]"
    config = resolve("medical", overrides=[override])
    assert [part.source for part in config.data.domain] == ["one.txt", "two.txt"]
    assert len(said) == 1
    assert said[0].startswith("domain corpus one.txt, two.txt is not of the lab world")
    suite = load_suite("ablation")
    resolve(suite, overrides=[override], variant=next(iter(suite.variants)))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("corpus", "line"),
    [
        (
            "[{source: a.txt, share: 0.5}, {source: b.txt, share: 0.6}]",
            "--set: data.domain: shares [0.5, 0.6] sum to 1.1; expected 1",
        ),
        ("[]", "--set: data.domain: shares [] sum to 0; expected 1"),
        (
            "[{source: a.txt, shar: 1}]",
            "--set: unknown key 'data.domain.0.shar'; keys of data.domain.0: source, share; "
            "did you mean 'data.domain.0.share'?",
        ),
        ("[{source: a.txt, share: 1}, {share: 0.5}]", "--set: data.domain.1.source is missing"),
    ],
)
def test_a_mistake_in_a_list_of_sources_is_one_line_and_nothing_is_said_before(said, corpus, line):
    assert refused("medical", overrides=[f"data.domain={corpus}"]) == [line]
    assert said == []


def test_another_general_corpus_is_probed_and_split(said):
    config = resolve("medical", overrides=["data.general=mine.txt"])
    assert list(config.tasks.groups) == ["domain", "domain_known"]
    assert (config.data.probe, config.data.general_heldout) == (None, None)
    assert config.data.domain_heldout == "lab:medical-heldout"
    kept = resolve("medical", overrides=["data.general=mine.txt", "data.probe=p.txt", "data.general_heldout=h.txt"])
    assert (kept.data.probe, kept.data.general_heldout) == ("p.txt", "h.txt")


def test_a_model_of_ones_own_does_not_inherit_trust_or_revision(tmp_path):
    preset = write(
        tmp_path / "p.yaml",
        "extends: lab\ndescription: x\nworld: null\nmodel: {source: a/b, revision: abc, trust_remote_code: true}\n",
    )
    assert resolve("medical", preset).model.trust_remote_code
    other = resolve("medical", preset, model="c/d")
    assert (other.model.source, other.model.revision, other.model.trust_remote_code) == ("c/d", None, False)
    assert other.tasks.groups  # no written world, so the tasks ask about the real one


def test_a_suite_of_ones_own_needs_no_domain_of_the_preset(tmp_path, said):
    suite = load_suite(
        write(
            tmp_path / "own.yaml",
            "methods: [vanilla, full]\nseeds: [0, 1]\n"
            "data: {domain: d.txt, general: g.txt}\ntraining: {tokens: 5120}\n",
        )
    )
    config = resolve(suite, model="/m")
    assert (config.suite, suite.methods, suite.seeds) == ("own", ["vanilla", "full"], [0, 1])
    assert (config.data.domain, config.data.general, config.training.steps) == ("d.txt", "g.txt", 10)
    assert config.tasks.groups == {}
    assert resolve(suite, overrides=["training.tokens=10240"]).training.steps == 20  # --set over the suite's file


def test_every_problem_of_a_file_is_named_with_its_line(tmp_path):
    path = write(
        tmp_path / "bad.yaml",
        "domain: medical\ntraining:\n  tokenz: 5\n  schedule: cosin\noptions: {k: 0}\nmethds: [full]\n",
    )
    (first,) = refused(path)
    assert first.startswith(f"{path}:6: unknown key 'methds'")
    assert first.endswith("did you mean 'methods'?")
    write(tmp_path / "bad.yaml", Path(path).read_text().replace("methds", "methods"))
    lines = refused(path)
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{number}" for number in (3, 4, 5)]
    assert lines[0].endswith("did you mean 'training.tokens'?")
    assert lines[1].endswith("did you mean 'cosine'?")
    assert "options.k: 0" in lines[2]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("domain: medcal\n", 1, "did you mean 'medical'?"),
        ("# x\ndomain: medical\nmethods: [full, adpt]\n", 3, "did you mean 'adept'?"),
        ("domain: medical\nmethods: [tasl]\n", 2, "not implemented yet"),
        ("domain: medical\nseeds: []\n", 2, "at least one seed"),
        ("domain: medical\nseeds: [0, -1]\n", 2, "-1 is not valid"),
        ("domain: medical\ndomain: math\n", 2, "already set at"),
        ("domain: [medical\n", 2, "not valid YAML"),
        ("- medical\n", 1, "expected keys with values"),
        ("domain: medical\nname: x\n", 2, "unknown key 'name'"),
        ("domain: medical\ntraining: 5\n", 2, "expected keys with values"),
        ("domain: medical\npreset: lab\ntraining:\n  tokens: 5\n", 3, "less than one step"),
        ("domain: medical\ntraining:\n  packing: document\n", 3, "did you mean 'documents'?"),
    ],
)
def test_a_mistake_in_a_suite_names_its_line(tmp_path, text, line, part):
    path = write(tmp_path / "own.yaml", text)
    (message,) = refused(path)
    assert message.startswith(f"{path}:{line}: ")
    assert part in message


def test_text_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_bytes(b"domain: \xff\n")
    assert refused(str(path)) == [f"{path}: not UTF-8 text (byte 8); expected YAML"]


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("training.tokns=5", "did you mean 'training.tokens'?"),
        ("trainin.tokens=5", "did you mean 'training'?"),
        ("training.tokens=abc", "training.tokens: 'abc' is not valid; expected integer"),
        ("training.tokens=5", "less than one step"),
        ("training.tokens", "expected KEY=VALUE"),
        ("training.tokens=[5", "not a YAML value"),
        ("training.betas=[0.9, 1]", "training.betas.1"),
        ("training.learning_rate=.inf", "finite"),
        ("options.select=unifrm", "did you mean 'uniform'?"),
        ("options.layers=[1, 1]", "each once"),
        ("selection.grid=[2, 1]", "rising"),
        ("selection.grid=[1, -2]", "selection.grid.1"),
        ("selection.method_grids.full=[1, 2]", "all methods get 7"),
        ("selection.method_grids.fll=[1,2,3,4,5,6,7]", "did you mean 'full'?"),
        ("model.source=null", "model.source: None"),
    ],
)
def test_a_mistake_in_set_names_the_option(override, part):
    (message,) = refused("medical", overrides=[override])
    assert message.startswith("--set")
    assert part in message


def test_presets_extend_each_other_and_name_the_file_at_fault(tmp_path):
    base = write(tmp_path / "base.yaml", "extends: lab\ndescription: b\noptions: {k: 3, lora_rank: 4}\n")
    top = write(tmp_path / "top.yaml", "extends: base\noptions: {k: 5}\n")
    options = load_preset(top).options
    assert (options.k, options.lora_rank, options.refresh_every) == (5, 4, 100)
    write(tmp_path / "base.yaml", "extends: lab\ndescription: b\noptions: {lora_rnk: 4}\n")
    assert refused("medical", top)[0].startswith(f"{base}:3: unknown key 'options.lora_rnk'")
    write(tmp_path / "base.yaml", "extends: top\n")
    assert "extends itself" in refused("medical", top)[0]


def test_names_and_files_that_do_not_exist(tmp_path):
    assert refused("medcal")[0].endswith("did you mean 'medical'?")
    assert refused("medical", "lab-redundnt")[0].endswith("did you mean 'lab-redundant'?")
    assert refused(str(tmp_path / "none.yaml"))[0].startswith("--suite: no file ")
    assert "letters, digits" in refused(write(tmp_path / "a b.yaml", "domain: medical\n"))[0]
    assert "no domain" in refused(write(tmp_path / "own.yaml", "description: x\n"))[0]
