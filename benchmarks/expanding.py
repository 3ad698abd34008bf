"""Peak memory of `expand` on a checkpoint that is larger than it: below 1.5 times the largest shard plus 500 MB.

    python benchmarks/expanding.py                               # 1 GB of random bfloat16 in shards of 200 MB
    python benchmarks/expanding.py --total-mb 8000 --shard-mb 2000 --hidden 2048

Writes a random checkpoint of the size asked for without ever holding it, runs the command in a process of its own and
reads that process's VmHWM (the highest resident memory, with the interpreter, torch, transformers and every page of a
mapped file that was touched). Ends with code 1 where the bound does not hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MEGABYTE = 10**6
MEASURED = """
import pathlib, sys
from adept_bench.__main__ import main
measured = sys.argv.pop()
code = main(sys.argv[1:])
pathlib.Path(measured).write_text(pathlib.Path("/proc/self/status").read_text())
sys.exit(code)
"""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="qwen3", choices=("llama", "qwen3"))
    parser.add_argument("--total-mb", type=int, default=1000)
    parser.add_argument("--shard-mb", type=int, default=200)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=65536)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--certify", default="auto")
    parser.add_argument("--folder", type=Path, help="where to work instead of the temporary folder")
    return parser.parse_args()


def write_random(folder: Path, chosen: argparse.Namespace) -> dict[str, int]:
    """A checkpoint of about --total-mb in shards of at most --shard-mb; returns layers, bytes and largest file."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    def model_of(depth: int) -> Any:
        config = AutoConfig.for_model(
            chosen.family,
            vocab_size=chosen.vocabulary,
            hidden_size=chosen.hidden,
            intermediate_size=3 * chosen.hidden,
            num_hidden_layers=depth,
            num_attention_heads=chosen.hidden // 64,
            num_key_value_heads=chosen.hidden // 128,
            head_dim=64,
            dtype=torch.bfloat16,
            tie_word_embeddings=False,
        )
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)

    def size(depth: int) -> int:
        return sum(2 * p.numel() for p in model_of(depth).parameters())

    layer = size(2) - size(1)
    depth = max(4, round((chosen.total_mb * MEGABYTE - size(1)) / layer) + 1)
    model = model_of(depth)
    shards: list[dict[str, Any]] = [{}]
    held = 0
    for name, parameter in model.state_dict().items():
        if shards[-1] and held + 2 * parameter.numel() > chosen.shard_mb * MEGABYTE:
            shards.append({})
            held = 0
        shards[-1][name] = parameter.shape
        held += 2 * parameter.numel()
    where = {}
    generator = torch.Generator().manual_seed(0)
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        # as trained weights, no two tensors are alike; norms near one
        tensors = {
            name: (0.02 * torch.randn(shape, generator=generator) + (len(shape) == 1)).bfloat16()
            for name, shape in shard.items()
        }
        save_file(tensors, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(shard, file)
    total = sum(2 * p.numel() for p in model.parameters())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": where})
    )
    model.config.save_pretrained(folder)
    largest = max(path.stat().st_size for path in folder.glob("*.safetensors"))
    return {"layers": depth, "bytes": total, "layer_bytes": layer, "largest_file": largest, "files": len(shards)}


def main() -> None:
    chosen = options()
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="expanding-") as temporary:
        base, output, measured = (Path(temporary) / name for name in ("base", "expanded", "status"))
        base.mkdir()
        about = write_random(base, chosen)
        step = about["layers"] // chosen.copies
        layers = ",".join(str(i) for i in range(step - 1, about["layers"], step)[: chosen.copies])
        command = ["expand", "--model", str(base), "--output", str(output), "--layers", layers]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", MEASURED, *command, "--certify", chosen.certify, str(measured)], check=True
        )
        seconds = time.perf_counter() - began
        peak = 1024 * next(
            int(line.split()[1]) for line in measured.read_text().splitlines() if line.startswith("VmHWM")
        )
        record = json.loads((output / "expansion.json").read_text())
        size = sum(path.stat().st_size for path in output.glob("*.safetensors"))
    bound = int(1.5 * about["largest_file"] + 500 * MEGABYTE)
    result = about | {
        "certificate": record["certificate"]["kind"],
        "copies": len(record["copies"]),
        "output_bytes": size,
        "seconds": round(seconds, 1),
        "peak_bytes": peak,
        "bound_bytes": bound,
        "holds": peak < bound,
    }
    print(json.dumps(result, indent=1))
    sys.exit(0 if result["holds"] else 1)


if __name__ == "__main__":
    main()
