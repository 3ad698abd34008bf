"""The command line: exit codes, where output goes, and errors that are one line."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from adept_bench.__main__ import main
from adept_bench.cli.options import check_output, split_integers, write_json_result
from adept_bench.errors import InputError
from adept_bench.outputs import UNITS, FileOutput

HEAVY = ("torch", "transformers", "lm_eval", "datasets", "matplotlib", "numpy", "scipy", "yaml", "rich")
HELPS = [
    [],
    ["run"],
    ["eval"],
    ["expand"],
    ["show"],
    ["list"],
    ["doctor"],
    ["probe"],
    ["probe", "layers"],
    ["probe", "units"],
    ["lab"],
    ["lab", "build"],
    ["figures"],
    ["claims"],
    ["report"],
    ["adapt"],
    ["merge"],
]


def one_line(capsys) -> str:
    """The only line on stderr, with nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err.rstrip("\n")


def test_no_help_page_imports_anything_heavy():
    code = f"""
import sys
from adept_bench.__main__ import main
for arguments in {HELPS!r}:
    assert main([*arguments, "--help"]) == 0, arguments
    found = [name for name in {HEAVY!r} if name in sys.modules]
    assert not found, (arguments, found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(HELPS)


def test_the_package_itself_imports_nothing_heavy_and_offers_its_functions():
    code = f"""
import sys, adept_bench
assert not [name for name in {HEAVY!r} if name in sys.modules]
assert all(callable(getattr(adept_bench, name)) for name in adept_bench.__all__ if name != "__version__")
try:
    adept_bench.nonsense
except AttributeError as error:
    assert "nonsense" in str(error)
else:
    raise SystemExit("no AttributeError")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_python_m_is_the_same_command():
    module = subprocess.run(
        [sys.executable, "-m", "adept_bench", "list", "suites"], capture_output=True, text=True, check=True
    )
    called = subprocess.run(
        [sys.executable, "-c", "import sys; from adept_bench.__main__ import main; sys.exit(main())", "list", "suites"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert module.stdout == called.stdout
    assert re.search(r"^medical  +\S", module.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("run --suite medcal", ["--suite", "'medcal'", "did you mean 'medical'?"]),
        ("run --suite medical --preset labb", ["--preset", "'labb'", "did you mean 'lab'?"]),
        ("run --suite medical --methods full,adpt", ["--methods", "'adpt'", "did you mean 'adept'?"]),
        ("run --suite medical --methods tasl", ["--methods", "'tasl'", "not implemented yet"]),
        ("run --suite medical --methods ,", ["--methods", "no method given"]),
        ("run --suite medical --seeds 0,x", ["--seeds", "'x'", "0,1,2"]),
        ("run --suite medical --jobs 0", ["--jobs", "1"]),
        ("run --suite medical --set training.tokns=5", ["--set", "did you mean 'training.tokens'?"]),
        ("run --suite medical --jbos 2", ["--jbos", "--jobs"]),
        ("run", ["--suite"]),
        ("rnu", ["'rnu'", "'run'"]),
        ("probe layerz", ["'layerz'", "'layers'"]),
        ("list taskz", ["'taskz'", "did you mean 'tasks'?"]),
        ("lab build --kind bse", ["--kind", "'bse'", "'base'"]),
        ("eval --model x", ["--suite"]),
        ("eval --model x --suite medcal", ["--suite", "did you mean 'medical'?"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, parts, capsys):
    assert main(arguments.split()) == 2
    line = one_line(capsys)
    for part in parts:
        assert part in line


@pytest.mark.parametrize("arguments", ["--debug run --suite x", "run --suite x --debug"])
def test_debug_shows_the_traceback_wherever_it_stands(arguments, capsys):
    assert main(arguments.split()) == 2
    assert "Traceback" in capsys.readouterr().err
    assert main(["run", "--suite", "x"]) == 2  # and only for its own command
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["--quiet list suites", "list suites --quiet"])
def test_quiet_silences_the_log_wherever_it_stands(arguments, capsys):
    from adept_bench.progress import reporter

    assert main(arguments.split()) == 0
    reporter().log("a line of the log")
    assert main(["list", "suites"]) == 0
    reporter().log("another line")
    assert capsys.readouterr().err == "another line\n"


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for line in ("suites:", "presets:", "methods:", "tasks:"):
        assert line in out.splitlines()
    for name in ("medical", "lab-redundant", "adept-as-released", "lab_medical_known"):
        assert re.search(rf"^  {name}( |$)", out, re.M)


def test_doctor_judges_every_preset(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    import torch

    assert re.search(rf"^torch +{re.escape(torch.__version__)}$", out, re.M)
    assert re.search(r"^Hub +not asked", out, re.M)
    assert re.search(r"^preset lab: can", out, re.M)
    assert re.search(r"^preset lab-redundant: can", out, re.M)
    assert re.search(r"^preset qwen3-1.7b: .*\n  GPU memory, by plan: adept 13.3 GiB.*, full 34.1 GiB", out, re.M)


def test_doctor_compares_needs_with_what_there_is(monkeypatch):
    from adept_bench import doctor
    from adept_bench.config import experiments
    from adept_bench.config.schema import Needs

    lab = experiments.load_preset("lab")
    needs = Needs(memory=8, gpu=True, network=True)
    monkeypatch.setattr(experiments, "load_preset", lambda name: lab.model_copy(update={"needs": needs}))

    def judged(versions, memory, gpus, hub):
        (found,) = doctor.verdicts(doctor.Machine(versions, 2, memory, 3.0, 100.0, gpus, (), hub), "lab").values()
        return found

    there = {"torch": "2", "transformers": "5"}
    # of a GPU, plan leaves 1 GiB to the driver, so that nothing fits one of 1 GiB
    assert judged(there, 4.0, (("small", 1.0),), False).problems == [
        "needs 8 GiB of memory, has 4.0",
        "adept and full do not fit the GPU, or main memory beside it",
        "needs the Hugging Face Hub, or local copies",
    ]
    enough = judged(there, 8.0, (("large", 80.0),), True)
    assert enough.problems == []
    assert enough.gpu.count("(fits: yes)") == 2
    assert judged(there, 8.0, (), True).problems == ["needs a GPU, there is none"]
    missing = judged({**there, "peft": None, "torch": None}, 8.0, (("large", 80.0),), None)
    assert (missing.problems, missing.gpu) == (["torch is missing", "peft is missing"], "")


@pytest.mark.parametrize(("preset", "gpus"), [("qwen3-8b", 1), ("llama3-8b", 1), ("qwen3-8b", 4)])
def test_doctor_says_of_gpus_what_plan_does(capsys, preset, gpus):
    from adept_bench import doctor

    arguments = ["--preset", preset, "--methods", "adept,full", "--device", "h100", "--devices", str(gpus)]
    assert main(["plan", "--suite", "medical", *arguments, "--format", "json", "--quiet"]) == 0
    planned = {one["name"]: one for one in json.loads(capsys.readouterr().out)["methods"]}
    versions = {"torch": "2", "transformers": "5"}
    machine = doctor.Machine(versions, 8, 512.0, 500.0, 1000.0, (("NVIDIA H100", 80.0),) * gpus, (), None)
    (found,) = doctor.verdicts(machine, preset).values()
    assert found.problems == []
    for name, one in planned.items():
        fits = one["devices"]["h100"]["fits"]
        assert f"{name} {one['memory']['peak'] / 2**30:.1f} GiB (fits: {fits})" in found.gpu
    assert planned["full"]["devices"]["h100"]["fits"].startswith(f"with {2 if gpus == 1 else gpus} devices, FSDP")


def test_doctor_on_one_preset(tmp_path, capsys):
    assert main(["doctor", "--preset", "lab"]) == 0
    assert re.findall(r"^preset (\S+): ", capsys.readouterr().out, re.M) == ["lab"]
    own = tmp_path / "own.yaml"
    own.write_text(f"extends: lab\nneeds: {{gpu: true}}\nmodel: {{source: {tmp_path}}}\n")
    assert main(["doctor", "--preset", str(own)]) == 0
    assert f"GPU memory is not known: model.source: {tmp_path} has no config.json" in capsys.readouterr().out
    assert main(["doctor", "--preset", "qwen38b"]) == 2
    assert one_line(capsys).startswith("--preset: unknown preset 'qwen38b'; expected one of: lab, ")


def test_doctor_shows_the_versions_that_a_result_records(capsys):
    from adept_bench.suite.machine import library_versions

    assert main(["doctor", "--preset", "lab"]) == 0
    out = capsys.readouterr().out
    for name, version in library_versions().items():
        assert re.search(rf"^{name} +{re.escape(version or 'missing')}$", out, re.M), name


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_an_interruption_ends_with_its_exit_code_and_one_line(number, code, name):
    with socket.create_server(("127.0.0.1", 0)) as server:  # a Hub that accepts and never answers
        environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}", "no_proxy": "*"}
        process = subprocess.Popen(
            [sys.executable, "-m", "adept_bench", "doctor", "--online"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell starts background jobs with SIGINT ignored, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        server.settimeout(120)
        connection, _ = server.accept()  # the command is at work now
        with connection:
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == (f"doctor: interrupted by {name}; nothing is left half-written, and the same command begins again\n")


def test_integers():
    assert split_integers("3, 1,3", "--seeds") == [3, 1]
    assert split_integers(None, "--seeds") is None
    assert split_integers("0-4", "--seeds") == [0, 1, 2, 3, 4]
    assert split_integers("7, 2 - 3,2-2,0004294967295", "--seeds") == [7, 2, 3, 4294967295]
    assert split_integers("1,1,0-1", "--layers", repeats=True) == [1, 1, 0, 1]
    bad = {
        "²": "not a whole",
        "1.5": "not a whole",
        "1,-2": "'-2' is not a whole",
        "0-": "not a whole",
        "": "no number",
    }
    bad |= {
        ",": "no number",
        "4-0": "expected a range such as 0-4",
        "1-2-3": "not a whole",
        "0-4294967295": "more than",
    }
    bad |= dict.fromkeys(("4294967296", "9" * 5000), "is too large; expected whole numbers from 0 to 4294967295")
    for text, expected in bad.items():
        with pytest.raises(InputError, match=f"^--seeds: .*{expected}") as raised:
            split_integers(text, "--seeds")
        assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "command", ["run --suite medical --seeds", "plan --suite medical --seeds", "eval --suite medical"]
)
def test_a_seed_that_no_generator_takes_is_refused_at_once(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = command.split()
    words += ["--model", "none", "--seed"] if words[0] == "eval" else []
    assert main([*words, "99999999999999999999999"]) == 2
    error = capsys.readouterr().err
    assert "--seed" in error
    assert "4294967295" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_json_goes_to_stdout_or_whole_to_a_file(tmp_path, capsys):
    write_json_result({"b": 1, "a": "é"}, None)
    assert capsys.readouterr().out == '{\n "a": "é",\n "b": 1\n}\n'
    write_json_result({"b": 1}, FileOutput(tmp_path / "new" / "o.json", UNITS))
    assert json.loads((tmp_path / "new" / "o.json").read_text()) == {"b": 1}
    with pytest.raises(InputError, match="--output"):
        write_json_result({}, FileOutput(tmp_path, UNITS))


# /proc is a folder that nobody can write a file to
@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("{}", "is a folder"),
        ("{}/new/o.json", "does not exist"),
        pytest.param(
            "/proc/o.json",
            "cannot be written to",
            marks=pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc"),
        ),
    ],
)
@pytest.mark.parametrize(
    "command", ["eval --suite no.yaml", "probe layers --corpus no.txt", "probe units --corpus no.txt"]
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(command, output, said, tmp_path, capsys):
    output = output.format(tmp_path)
    assert main([*command.split(), "--model", "/no/model", "--output", output]) == 2
    line = one_line(capsys)
    assert line.startswith("--output: ")
    assert said in line
    assert list(tmp_path.iterdir()) == []


def test_a_checked_output_leaves_no_trace(tmp_path):
    (tmp_path / "o.json").write_text("kept")
    check_output(tmp_path / "o.json", UNITS, force=True)
    check_output(tmp_path / "new.json", UNITS)
    assert check_output(None, UNITS) is None
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("o.json", "kept")]
