"""Expansion from file to file: the same checkpoint as through the whole model, bytes untouched, damage refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from builders import from_sizes
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from adept_bench.errors import InputError
from adept_bench.models.certificate import holds
from adept_bench.models.expansion import Expansion
from adept_bench.models.exporting import expand_checkpoint
from adept_bench.models.layerproof import compare_tensors
from adept_bench.models.renumbering import LayerNames, layer_name_candidates
from adept_bench.models.tensorfiles import read_checkpoint

SHARED = (
    "llama",
    "llama-tied-biased",
    "qwen2",
    "qwen3",
    "mixtral",
    "gemma2",
    "gpt2",
    "gpt-neox",
    "deepseek-v3",
    "gpt-oss",
)
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: families.FAMILIES[name] for name in SHARED},
    "qwen3-moe": (
        "qwen3_moe",
        {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "mlp_only_layers": [3]},
    ),
    "gemma3": ("gemma3_text", {**families.FAMILIES["gemma3"][1], "dtype": "bfloat16"}),
}


def save(folder: Path, name: str = "llama", shard: str = "20KB", **more: Any) -> Any:
    kind, options = FAMILIES[name]
    model = from_sizes(kind, **(families.COMMON | options | more))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder, max_shard_size=shard)
    return model


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def raw(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_output_is_the_whole_models(name: str, tmp_path: Path) -> None:
    base = save(tmp_path / "base", name)
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 1
    for kind in ("tensors", "logits"):
        done = expand_checkpoint(str(tmp_path / "base"), tmp_path / kind, [3, 1], certify=kind)
        assert done.kind == kind
    one, two = (AutoModelForCausalLM.from_pretrained(tmp_path / kind).eval() for kind in ("tensors", "logits"))
    ours, theirs = one.state_dict(), two.state_dict()
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    tokens = torch.arange(3, 19)[None]
    assert one.dtype == base.dtype
    assert torch.equal(one(tokens).logits, base(tokens).logits)
    fields = [{k: v for k, v in model.config.to_dict().items() if k != "_name_or_path"} for model in (one, two)]
    assert fields[0] == fields[1]
    certificate = json.loads((tmp_path / "tensors" / "expansion.json").read_text())["certificate"]
    for verdict in ("base_tensors_identical", "copied_tensors_right", "weights_all_found", "layers_equal"):
        assert certificate[verdict] is True
    for verdict in ("copies_add_nothing", "pair_logits_equal", "pair_decoding_equal"):
        assert certificate[verdict] is True
    # files of similar sizes, none larger than the base's largest
    sizes = [sum(raw(t).numel() for t in load_file(f).values()) for f in (tmp_path / "tensors").glob("*.safetensors")]
    largest = max(sum(raw(t).numel() for t in load_file(f).values()) for f in (tmp_path / "base").glob("*.safetensors"))
    assert max(sizes) <= largest


def resave(folder: Path, change: Any) -> dict[str, torch.Tensor]:
    """Rewrite the checkpoint in `folder` as one file, after `change` (of the dictionary of its tensors)."""
    tensors = change(stored(folder))
    for file in [*folder.glob("*.safetensors"), *folder.glob("*.index.json")]:
        file.unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt", "note": "kept"})
    return tensors


def test_names_without_the_models_prefix_stay_as_they_are(tmp_path: Path) -> None:
    """GPT-2 on the Hub says h.0.attn..., not transformer.h.0.attn..., and stores buffers that nobody reads."""
    base = save(tmp_path / "base", "gpt2")
    mask = torch.ones(1, 1, 64, 64)
    before = resave(
        tmp_path / "base",
        lambda held: (
            {k.removeprefix("transformer."): v for k, v in held.items()}
            | {f"h.{i}.attn.bias": mask.clone() for i in range(4)}
        ),
    )
    expand_checkpoint(str(tmp_path / "base"), tmp_path / "o", [0, 2], certify="tensors")
    after = stored(tmp_path / "o")
    origin = [0, 0, 1, 2, 2, 3]
    assert len(after) == len(before) + 2 * 13
    for new, old in enumerate(origin):
        assert torch.equal(after[f"h.{new}.attn.c_attn.weight"], before[f"h.{old}.attn.c_attn.weight"])
        assert torch.equal(after[f"h.{new}.attn.bias"], mask)
    assert after["h.1.mlp.c_proj.weight"].abs().max() == 0
    config = json.loads((tmp_path / "o" / "config.json").read_text())
    assert config["n_layer"] == 6
    assert "num_hidden_layers" not in config
    tokens = torch.arange(3, 19)[None]
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "o").eval()
    assert torch.equal(again(tokens).logits, base(tokens).logits)


def test_dtypes_scales_and_further_heads_are_untouched(tmp_path: Path) -> None:
    """fp8 weights with their scales, float32 norms, and a prediction head numbered as one more layer."""
    save(tmp_path / "base", "llama", dtype="bfloat16")

    def quantised(held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        out: dict[str, torch.Tensor] = {}
        for name, tensor in held.items():
            if name.endswith(("up_proj.weight", "o_proj.weight", "down_proj.weight")):
                out[name] = tensor.to(torch.float8_e4m3fn)
                out[name + "_scale_inv"] = torch.full((1, 1), 0.37)
            else:
                out[name] = tensor.float() if "norm" in name else tensor.bfloat16()
        odd = torch.ones(3).to(torch.float8_e4m3fn)  # what follows would start at an odd place
        return out | {"model.layers.4.eh_proj.weight": torch.randn(3, 5).bfloat16(), "model.layers.4.odd": odd}

    before = resave(tmp_path / "base", quantised)
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    config["num_nextn_predict_layers"] = 1
    config["quantization_config"] = {
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
        "modules_to_not_convert": ["lm_head", "model.layers.1.self_attn.q_proj", "model.layers.3.mlp.gate_proj"],
    }
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    assert expand_checkpoint(str(tmp_path / "base"), tmp_path / "o", [1]).kind == "tensors"
    for loads in ({"certify": "logits"}, {"dtype": "bfloat16"}):
        with pytest.raises(InputError, match=r"is quantised \(quant_method: fp8\).*FineGrainedFP8Config"):
            expand_checkpoint(str(tmp_path / "base"), tmp_path / "p", [1], **loads)
    after = stored(tmp_path / "o")
    silent = {f"model.layers.2.{name}.weight" for name in ("self_attn.o_proj", "mlp.down_proj")}
    origin = {0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 5: 4}
    for name, tensor in after.items():
        number = name.split(".")[2] if "layers" in name else None
        source = before[name if number is None else name.replace(number, str(origin[int(number)]), 1)]
        assert (tensor.dtype, tensor.shape) == (source.dtype, source.shape)
        expected = torch.zeros_like(raw(source)) if name in silent else raw(source)
        assert torch.equal(raw(tensor), expected), name
    assert len(after) == len(before) + 12
    written = json.loads((tmp_path / "o" / "config.json").read_text())
    assert written["quantization_config"]["modules_to_not_convert"] == [
        "lm_head",
        "model.layers.1.self_attn.q_proj",
        "model.layers.2.self_attn.q_proj",
        "model.layers.4.mlp.gate_proj",
    ]
    changed = {key for key in written.keys() | config.keys() if written.get(key) != config.get(key)}
    assert changed <= {"num_hidden_layers", "quantization_config"}


def test_everything_beside_the_weights_is_copied_byte_by_byte(tmp_path: Path) -> None:
    save(tmp_path / "base")
    beside = {"tokenizer.json": b'{"odd":  1}', "chat_template.jinja": b"{{ x }}\r\n", "LICENSE": b"free\n"}
    for name, content in (beside | {"modeling.py": b"1/0", "pytorch_model.bin": b"no", "README.md": b"its"}).items():
        (tmp_path / "base" / name).write_bytes(content)
    (tmp_path / "base" / "generation_config.json").write_bytes(b'{"temperature":0.3 }')
    expand_checkpoint(str(tmp_path / "base"), tmp_path / "o", [1], certify="tensors")
    for name in [*beside, "generation_config.json"]:
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "base" / name).read_bytes()
    names = {path.name for path in (tmp_path / "o").iterdir() if path.suffix != ".safetensors"}
    extra = {"config.json", "README.md", "expansion.json", "generation_config.json", "model.safetensors.index.json"}
    assert names == {*beside} | extra
    assert "expanded by 1 layers" in (tmp_path / "o" / "README.md").read_text()


def cut(folder: Path) -> None:
    file = sorted(folder.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:-100])


def overlap(folder: Path) -> None:
    file = sorted(folder.glob("*.safetensors"))[1]
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    next(one for name, one in header.items() if name != "__metadata__")["data_offsets"][0] += 4
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def misfile(folder: Path) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    names = sorted(set(index["weight_map"].values()))
    index["weight_map"]["model.norm.weight"] = next(n for n in names if n != index["weight_map"]["model.norm.weight"])
    path.write_text(json.dumps(index))


DAMAGES = {
    "truncated": (cut, "is damaged or truncated"),
    "no shard": (lambda f: sorted(f.glob("*.safetensors"))[1].unlink(), "lacks 1 of"),
    "no header": (lambda f: sorted(f.glob("*.safetensors"))[0].write_bytes(b"\xff" * 64), "is damaged or truncated"),
    "gap": (overlap, "is damaged or truncated"),
    "index": (lambda f: (f / "model.safetensors.index.json").write_text("{"), "expected JSON with a weight_map"),
    "misfiled": (misfile, "says that model.norm.weight is in"),
    "pickled": (
        lambda f: (
            [p.rename(p.with_suffix(".bin")) for p in f.glob("*.safetensors")]
            + [(f / "model.safetensors.index.json").unlink()]
        ),
        "pickled weights",
    ),
    "no layer": (
        lambda f: resave(f, lambda h: {k: v for k, v in h.items() if ".layers.2." not in k}),
        "9 weights are missing from the checkpoint, first model.layers.2",
    ),
    "no weight": (
        lambda f: resave(f, lambda h: {k: v for k, v in h.items() if k != "model.layers.1.mlp.up_proj.weight"}),
        "1 weight is missing from the checkpoint, first model.layers.1.mlp.up_proj.weight",
    ),
    "no other weight": (
        lambda f: resave(f, lambda h: {k: v for k, v in h.items() if k != "model.norm.weight"}),
        "1 weight is missing from the checkpoint, first model.norm.weight",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_and_leaves_nothing(damage: str, tmp_path: Path) -> None:
    save(tmp_path / "base")
    change, message = DAMAGES[damage]
    change(tmp_path / "base")
    with pytest.raises(InputError, match=message):
        expand_checkpoint(str(tmp_path / "base"), tmp_path / "out" / "o", [1], certify="tensors")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_family_that_depends_on_layer_numbers_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "base", "gpt2", scale_attn_by_inverse_layer_idx=True)
    with pytest.raises(InputError, match="fails at layers_equal"):
        expand_checkpoint(str(tmp_path / "base"), tmp_path / "o", [1], certify="tensors")
    # behind the last layer no number changes, and the copy is silent whatever its number
    expand_checkpoint(str(tmp_path / "base"), tmp_path / "o", [3], certify="tensors")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("model.layers.0.mlp.up_proj.weight", "base_tensors_identical"),
        ("model.norm.weight", "base_tensors_identical"),
        ("model.layers.2.mlp.up_proj.weight", "copied_tensors_right"),
        ("model.layers.2.mlp.down_proj.weight", "copied_tensors_right"),
    ],
)
def test_one_changed_bit_fails_the_certificate(name: str, verdict: str, tmp_path: Path) -> None:
    save(tmp_path / "base")
    expand_checkpoint(str(tmp_path / "base"), tmp_path / "o", [1], certify="tensors")
    silent = {1: dict.fromkeys(("self_attn.o_proj.weight", "mlp.down_proj.weight"), b"\0" * 4)}

    def compared() -> dict[str, Any]:
        base, output = read_checkpoint(tmp_path / "base"), read_checkpoint(tmp_path / "o")
        return compare_tensors(base, output, LayerNames("model.layers."), Expansion(4, (1,), (2,)), silent)

    assert holds(compared())
    where = read_checkpoint(tmp_path / "o").tensors[name]
    with open(where.file, "r+b") as handle:
        handle.seek(where.end - 1)
        last = handle.read(1)[0]
        handle.seek(where.end - 1)
        handle.write(bytes([last ^ 1]))
    found = compared()
    assert found[verdict] is False
    assert found["changed_tensors"] == [name]


def test_layer_numbers_are_read_where_they_are() -> None:
    experts = [f"model.layers.{i}.mlp.experts.{j}.w" for i in range(3) for j in range(3)]
    tower = [f"vision.encoder.layers.{i}.w" for i in range(3)]
    found = layer_name_candidates(experts + tower, 3, "model.language_model.layers")
    assert {one.prefix for one in found} == {"model.layers.", "vision.encoder.layers."}
    names = layer_name_candidates(experts + tower, 3, "model.layers")[0]
    assert names.split("model.layers.2.mlp.experts.1.w") == (2, "mlp.experts.1.w")
    assert names.at(11, "mlp.experts.1.w") == "model.layers.11.mlp.experts.1.w"
    assert names.split("vision.encoder.layers.1.w") is None


GROWTH = """
import json, pathlib, sys
from adept_bench.models.exporting import expand_checkpoint
def peak(base):
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    expand_checkpoint(base, base + "-o", [1], certify="tensors")
    return 1024 * next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
peak(sys.argv[1])  # imports
print(json.dumps([peak(base) for base in sys.argv[2:]]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_does_not_grow_with_depth(tmp_path: Path) -> None:
    for name, depth in (("tiny", 2), ("short", 2), ("long", 12)):
        wide = {} if name == "tiny" else {"hidden_size": 512, "intermediate_size": 1024}
        save(tmp_path / name, "llama", "8MB", num_hidden_layers=depth, **wide)
    sizes = [sum(file.stat().st_size for file in (tmp_path / n).glob("*.safetensors")) for n in ("short", "long")]
    assert sizes[1] - sizes[0] > 80e6
    folders = [str(tmp_path / name) for name in ("tiny", "short", "long")]
    done = subprocess.run([sys.executable, "-c", GROWTH, *folders], check=True, capture_output=True, text=True)
    short, long = json.loads(done.stdout.splitlines()[-1])
    assert long - short < 0.25 * (sizes[1] - sizes[0])
