"""The backends: what is refused at once, what vLLM is given, and how few forward passes transformers needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from adept_bench.errors import InputError
from adept_bench.evaluation.backends import check_backend, vllm_arguments, write_plain
from adept_bench.evaluation.harness import evaluate

without_vllm = pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
MISSING = "--backend vllm: the vllm package is not installed; pip install vllm"


@without_vllm
def test_vllm_that_is_not_installed_is_one_line_at_once(tmp_path: Path) -> None:
    """Before the model is even looked for, and with nothing heavy imported."""
    for command in (["eval", "--model", "nowhere"], ["run", "--results", str(tmp_path / "results")]):
        code = (
            "import sys; from adept_bench.__main__ import main;"
            f"code = main({[*command, '--suite', 'medical', '--backend', 'vllm']!r});"
            "sys.exit(code if 'torch' not in sys.modules else 99)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert MISSING in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@without_vllm
def test_vllm_in_a_configuration_is_refused_before_the_work(make_model: Any) -> None:
    from adept_bench.config.loading import resolve
    from adept_bench.suite.evaluate import check_tasks

    with pytest.raises(InputError, match=MISSING):
        check_tasks(resolve("medical", overrides=["tasks.backend=vllm"]))
    with pytest.raises(InputError, match=MISSING):
        evaluate(*make_model(["x"]), {"g": ["arc_easy"]}, batch_size=4, backend="vllm")


def test_a_backend_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"--backend: unknown backend 'vlm'.*did you mean 'vllm'"):
        check_backend("vlm")


def vllm_class() -> ast.ClassDef:
    """lm-eval's VLLM as it stands in its source, which cannot be imported without vllm."""
    import lm_eval.models

    source = Path(lm_eval.models.__path__[0]) / "vllm_causallms.py"
    body = ast.parse(source.read_text(encoding="utf-8")).body
    return next(node for node in body if isinstance(node, ast.ClassDef) and node.name == "VLLM")


def test_vllm_takes_the_arguments_it_is_given(make_model: Any) -> None:
    model, _ = make_model(["x"])
    methods = {node.name: node for node in vllm_class().body if isinstance(node, ast.FunctionDef)}
    known = {argument.arg for argument in methods["__init__"].args.args}
    given = vllm_arguments("/tmp/x", model, 512, {"tensor_parallel_size": 2})
    assert set(given) <= known
    assert (given["dtype"], given["max_length"], given["tensor_parallel_size"]) == ("float32", 512, 2)
    # what scorer.Counting stands before, and calls with these names
    names = {name: {argument.arg for argument in methods[name].args.args} for name in methods}
    for name in ("loglikelihood", "loglikelihood_rolling", "generate_until", "_loglikelihood_tokens"):
        assert {"requests", "disable_tqdm"} <= names[name]
    assert {"max_length", "max_gen_toks", "tok_encode"} <= set(methods)
    assert any("self.model = LLM(" in ast.unparse(node) for node in ast.walk(methods["__init__"]))  # what ends it


def test_the_checkpoint_for_vllm_is_plain(make_model: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = make_model(["heart and bone"])
    write_plain(model, tokenizer, tmp_path)
    again, reader = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = reader("heart", return_tensors="pt")["input_ids"]
    assert ids.tolist() == [tokenizer("heart")["input_ids"]]
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)


def test_choices_of_one_token_share_a_forward_pass(make_model: Any, tmp_path: Path) -> None:
    """mmlu's four letters: a row of a batch for each question, not for each choice, and full batches."""
    import json

    rows = [{"sent1": f"q{n}", "sent2": "", **{f"ending{e}": "x" for e in range(4)}, "label": 0} for n in range(21)]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model, tokenizer = make_model(["Question: Answer: x"])
    tokenizer.backend_tokenizer.pre_tokenizer = _letters_are_one_token()
    batches: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda module, arguments, named: batches.append(len(arguments[0] if arguments else named["input_ids"])),
        with_kwargs=True,
    )
    evaluate(model, tokenizer, {"g": ["medqa_4options"]}, batch_size=8, data={"medqa_4options": str(tmp_path)})
    hook.remove()
    assert batches == [8, 8, 5]


def _letters_are_one_token() -> Any:
    """Splits so that " A" is one (unknown) token, as in the vocabularies of real models."""
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(r" ?[\s\S]"), "isolated")
