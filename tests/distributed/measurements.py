"""What the tests compare between one process and two: importances and trainings of a tiny model.

`python measurements.py OUT MODEL` in one process, or under torchrun; every process writes OUT-<rank>.json. MODEL is a
folder with a model and the lab's tokenizer; "resumed" in its place does one training under DDP, unbroken and resumed.
"""

import gc
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from adept_bench.config.schema import TrainingConfig
from adept_bench.distributed.group import gathered, group, start, stop
from adept_bench.models.expansion import expand
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.loss import NotFiniteError, document_losses
from adept_bench.probing.units import UnitImportance, probe_units
from adept_bench.training.trainer import train
from adept_bench.training.units import BoundRates, units_of

LENGTH, STEPS = 16, 6
ZERO = ("zero1", "zero2", "zero3") if find_spec("deepspeed") else ()


class Sequences(torch.utils.data.Dataset):
    """`count` sequences of random tokens that notes which were read. `apart`: of one to five documents each."""

    def __init__(self, count, apart=False):
        self.apart = apart
        self.tokens = torch.from_numpy(np.random.default_rng(1).integers(0, 64, (count, LENGTH)))
        self.read = []

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        self.read.append(index)
        item = {"input_ids": self.tokens[index], "labels": self.tokens[index].clone()}
        if self.apart:
            item["position_ids"] = torch.arange(LENGTH) % (3 + index % 14)
            item["labels"][item["position_ids"] == 0] = -100
        return item


def documents():
    """13 documents of 3 to 19 tokens: no batch size divides them evenly over two processes."""
    source = np.random.default_rng(2)
    return [source.integers(0, 64, int(length)).tolist() for length in source.integers(3, 20, 13)]


def tiny_model(dtype=torch.float32):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).to(dtype).eval()


def probes():
    model = tiny_model()
    found = {"losses": document_losses(model, documents(), batch_size=4)}
    for metric in ("masking", "gradient", "fisher"):
        layers = probe_layers(model, documents(), metric=metric, batch_size=3)
        found[metric] = layers.importance
        found[f"{metric} by document"] = layers.per_document
    found["units"] = [unit.importance for unit in probe_units(model, documents(), batch_size=3)]
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    for name, probe in (("losses refused", document_losses), ("units refused", probe_units)):
        try:
            probe(model, documents())
        except NotFiniteError:
            found[name] = True
    return found


def adapted(method, dtype):
    """(model, names that train, rates): copies after two layers with unit rates, adapters, or everything."""
    model = tiny_model(dtype)
    if method == "copies":
        expansion = expand(model, [1, 2])
        names = [name for i in expansion.copies for name, _ in model.named_parameters() if f"layers.{i}." in name]
        first = [UnitImportance(n, 0, False, 1.0 + i % 5, 1) for i, n in enumerate(names)]
        rates = BoundRates(
            units_of(model, names),
            first=first,
            probe=lambda live: probe_units(live, documents(), parameters=names, batch_size=3),
            every=2,
        )
    elif method == "adapters":
        from peft import LoraConfig, inject_adapter_in_model

        torch.manual_seed(1)
        inject_adapter_in_model(LoraConfig(r=2, target_modules=["q_proj", "down_proj"]), model)
        names, rates = [name for name, _ in model.named_parameters() if "lora_" in name], None
    else:
        names, rates = [name for name, _ in model.named_parameters()], None
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in set(names))
    return model, names, rates


def _held():
    """Bytes of all tensors that are alive."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
    return sum(storages.values())


def training(method, folder=None, *, batch_size=4, accumulation=1, dtype=torch.float32, **changes):
    """What a training leaves: curve, ledger, trained weights, whether the frozen ones are as before, what was read."""
    model, names, rates = adapted(method, dtype)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if name not in set(names)}
    sequences = Sequences(STEPS * batch_size * accumulation, apart=changes.get("packing") == "documents")
    settings = {"length": LENGTH, "batch_size": batch_size, "accumulation": accumulation, "log_every": 1, **changes}
    tokens = STEPS * LENGTH * batch_size * accumulation
    config = TrainingConfig(tokens=tokens, warmup=0.2, weight_decay=0.1, **settings)
    before = _held()
    record = train(model, sequences, training=config, learning_rate=0.01, rates=rates, output_dir=folder)
    after = dict(model.named_parameters())
    return {
        "left": _held() - before,
        "curve": [point["loss"] for point in record.curve],
        "steps": [point["step"] for point in record.curve],
        "ledger": record.refreshes,
        "weights": {name: after[name].detach().double().flatten()[:50].tolist() for name in names},
        "norms": {name: float(after[name].detach().double().norm()) for name in names},
        "dtypes": sorted({str(p.dtype) for p in after.values()}),
        "frozen": all(torch.equal(after[name], value) for name, value in frozen.items()),
        "read": sorted(set(sequences.read[: STEPS * batch_size * accumulation // group().size])),
        "resumed_from": record.resumed_from,
        "seconds": record.seconds,
    }


class _Killed(Exception):
    pass


def resumed(method, folder, *, after=3, damage=None, **settings):
    """The same training killed after its third step, and gone on with from the checkpoint of the second.

    damage: a file of the newest checkpoint that is cut short before.
    """
    from adept_bench.training import trainer

    whole = trainer._Run.end_step

    def ends_early(self, step):
        whole(self, step)
        if step == after:
            raise _Killed

    trainer._Run.end_step = ends_early
    try:
        training(method, folder, save_every=2, **settings)
    except _Killed:
        pass
    finally:
        trainer._Run.end_step = whole
    gathered(None)
    if damage and group().main:
        (folder / damage).write_bytes((folder / damage).read_bytes()[:-100])
    gathered(None)
    return training(method, folder, save_every=2, **settings)


def evaluated(folder):
    """Entries of tasks that choose and that write; numbers of items that two processes cannot share evenly."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from adept_bench.evaluation.harness import evaluate

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    return {
        task: evaluate(model, tokenizer, {"general": [task]}, batch_size=3, limit=limit, max_length=40)
        for task, limit in (("lab_math_choice", 31), ("lab_math_generate", 5))
    }


def trainings(folder, strategy):
    spread = {"distributed": strategy}
    wide = {"dtype": torch.bfloat16, "precision": "bf16", **spread}
    found = {
        "copies": training("copies", **spread),
        "adapters": training("adapters", **spread),
        "accumulated": training("copies", batch_size=2, accumulation=4, **spread),
        "resumed": resumed("copies", folder / strategy, **spread),
        "bf16 copies": training("copies", **wide),
    }
    if strategy not in ZERO:
        found |= {"full": training("full", **spread), "bf16 adapters": training("adapters", **wide)}
        found["documents"] = training("copies", batch_size=2, accumulation=4, packing="documents", **spread)
    return found


def everything(folder, model):
    """By strategy; one process has no use for one, so its trainings are done once."""
    strategies = ("ddp", "fsdp2", *ZERO) if group().size > 1 else ("ddp",)
    return {"probes": probes(), "evaluated": evaluated(model)} | {each: trainings(folder, each) for each in strategies}


def resumption(folder):
    """Of a batch that two and three processes can share."""
    settings = {"batch_size": 6, "distributed": "ddp"}
    return {
        "copies": training("copies", **settings),
        "resumed": resumed("copies", folder / "whole", **settings),
        # found by the main process alone, and told to the others
        "damaged": resumed("copies", folder / "damaged", after=5, damage="checkpoint-4/rng_state_1.pth", **settings),
        "folders": {path.name: sorted(file.name for file in path.iterdir()) for path in (folder / "damaged").iterdir()},
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    start()
    folder = out.parent / "checkpoints"
    found = resumption(folder) if sys.argv[2] == "resumed" else everything(folder, sys.argv[2])
    out.with_name(f"{out.name}-{group().rank}.json").write_text(json.dumps(found))
    stop()
