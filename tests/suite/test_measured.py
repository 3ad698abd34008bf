"""Several held-out corpora, further measured ones, limits of single tasks and a preset's variants, in real runs."""

from pathlib import Path

import pytest
import yaml

from adept_bench.__main__ import main
from adept_bench.config.experiments import experiments_dir, load_both, load_preset, load_suite
from adept_bench.config.loading import resolve
from adept_bench.errors import InputError
from adept_bench.results.store import Store


def results(arguments):
    return Path(arguments[arguments.index("--results") + 1])


def test_general_text_of_several_corpora_is_measured_apart_and_together(arguments, texts, tmp_path):
    _, general = texts
    paragraphs = Path(general).read_text(encoding="utf-8").split("\n\n")
    for name, part in (("even", paragraphs[0::2]), ("odd", paragraphs[1::2])):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(part), encoding="utf-8")
    asked = [
        *("--set", f"data.general_heldout={{even: {tmp_path}/even.txt, odd: {tmp_path}/odd.txt}}"),
        *("--set", f"data.measured.again={{source: {tmp_path}/even.txt}}"),
        *("--set", f"data.measured.asked={{source: {tmp_path}/even.txt, form: chat}}"),  # no template: left out
    ]
    assert main([*arguments, *asked, "--methods", "vanilla,full", "--quiet"]) == 0
    cells = {cell.method: cell for cell in Store(results(arguments)).load_all()}
    losses = cells["full"].losses
    assert set(losses) == {"general", "domain", "general/even", "general/odd", "again"}
    even, odd = losses["general/even"].documents, losses["general/odd"].documents
    assert len(even) == len(odd) == 4  # of 8 held-out documents
    assert losses["general"].documents == [*even, *odd]
    assert losses["general"].after == pytest.approx(sum([*even, *odd]) / 8, abs=1e-5)
    assert losses["again"].after != losses["again"].before
    assert set(cells["full"].validation.losses) == {"general", "domain", "general/even", "general/odd"}


def test_a_limit_of_one_task_leaves_the_others_whole(tmp_path):
    sets = ["tasks.groups.domain_known=[]", "tasks.groups.general_statement=[]", "tasks.limits.lab_general=5"]
    arguments = ["run", "--suite", "medical", "--methods", "vanilla", "--results", str(tmp_path), "--quiet"]
    assert main([*arguments, *(part for one in sets for part in ("--set", one))]) == 0
    tasks = Store(tmp_path).load_all()[0].tasks
    assert tasks["lab_general"].n == 5
    assert tasks["lab_medical_new"].n > 100


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "mine.yaml"
    variants = {
        "adept-last": {"of": "adept", "about": "selection", "options": {"select": "first"}},
        "frozen-first": {"of": "frozen", "about": "selection", "options": {"frozen_which": "first"}},
    }
    path.write_text(yaml.safe_dump({"extends": "lab", "description": "mine", "variants": variants}))
    return str(path)


def test_a_presets_variants_stand_over_the_suites(preset):
    suite, _ = load_both("medical", preset)
    assert resolve(suite, preset, variant="adept-last").options.select == "first"
    assert resolve(suite, preset, variant="frozen-first").options.frozen_which == "first"
    assert "adept-one-range" in suite.variants
    assert load_suite("medical").variants["adept-last"].options == {"select": "last"}


def test_a_mistake_in_a_presets_variant_names_file_and_line(preset):
    text = Path(preset).read_text().replace("select: first", "select: frist")
    Path(preset).write_text(text)
    line = 1 + text.splitlines().index("      select: frist")
    with pytest.raises(InputError, match=rf"mine.yaml:{line}: options.select: 'frist'"):
        load_preset(preset)


def test_the_small_real_model_is_measured_on_what_it_never_trains_on():
    preset = yaml.safe_load((experiments_dir() / "presets" / "smollm2-135m.yaml").read_text(encoding="utf-8"))
    data = preset["data"]
    trained = {data["general"], *(domain["train"] for domain in data["domains"].values())}
    measured = {*data["general_heldout"].values(), *(what["source"] for what in data["measured"].values())}
    assert not trained & (measured | {domain["heldout"] for domain in data["domains"].values()})
