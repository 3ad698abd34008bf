"""Pretraining of a lab base model from nothing: architecture, data stream, optimisation, stochastic depth."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from adept_bench.progress import reporter

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Recipe:
    """How a lab base is made. `last_layer_drop`: stochastic depth, the probability that the last layer is skipped
    in a training step; it rises linearly from none in the lower half of the layers."""

    steps: int = 4000
    batch_size: int = 8
    length: int = 128
    learning_rate: float = 2.5e-3
    warmup_steps: int = 100
    hidden_size: int = 96
    intermediate_size: int = 288
    layers: int = 12
    heads: int = 4
    key_value_heads: int = 2
    head_dim: int = 24
    last_layer_drop: float = 0.0


LOOP_VERSION = 1  # raised when the training loop itself changes, so that cached bases of the old one are not taken
# `lab:base` and `lab:redundant` differ in stochastic depth and in nothing else
RECIPES = {"base": Recipe(), "redundant": Recipe(last_layer_drop=0.7)}


def _new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        head_dim=recipe.head_dim,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return Qwen3ForCausalLM(config)


def _packed_stream(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int) -> torch.Tensor:
    """All training sequences, int64 [steps * batch_size, length]: the documents of the stream, end tokens between."""
    import torch

    from adept_bench.lab.corpora import pretraining

    needed = recipe.steps * recipe.batch_size * recipe.length
    tokens: list[int] = []
    documents = pretraining(seed)
    while len(tokens) < needed:
        for ids in tokenizer(list(itertools.islice(documents, 2000)))["input_ids"]:
            tokens += [*ids, tokenizer.eos_token_id]
    return torch.tensor(tokens[:needed]).view(-1, recipe.length)


def _drop_layers(model: PreTrainedModel, last: float, seed: int) -> None:
    """In training, skip layer l of L for a whole batch: probability last * (l - L/2 + 1) / (L/2), none below L/2."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    layers = model.model.layers
    half = len(layers) // 2
    for index, layer in enumerate(layers):
        probability = last * max(0, index - half + 1) / (len(layers) - half)
        stay = layer.forward

        def forward(
            hidden_states: torch.Tensor, *args: Any, _stay: Any = stay, _probability: float = probability, **kwargs: Any
        ) -> torch.Tensor:
            if torch.rand((), generator=generator).item() < _probability:
                return hidden_states
            return _stay(hidden_states, *args, **kwargs)

        layer.forward = forward


def pretrain(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A base model and the record of its training: recipe, seed, loss curve (nats a token) and seconds.

    `seed` sets the initialisation, the document stream and the dropped layers.
    """
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the sums of a seeded base must not depend on the machine's cores
    torch.manual_seed(seed)
    model = _new_model(recipe, tokenizer)
    sequences = _packed_stream(recipe, tokenizer, seed)
    if recipe.last_layer_drop:
        _drop_layers(model, recipe.last_layer_drop, seed)
    curve: list[dict[str, float]] = []

    class Curve(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if logs and "loss" in logs:
                curve.append({"step": state.global_step, "loss": round(float(logs["loss"]), 4)})
                task.update(args.logging_steps, loss=float(logs["loss"]), rate=float(logs["learning_rate"]))

    with tempfile.TemporaryDirectory() as folder, reporter().task(f"base {seed}", recipe.steps, "step") as task:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.05},
            warmup_steps=recipe.warmup_steps,
            adam_beta2=0.98,
            weight_decay=0.0,
            train_sampling_strategy="sequential",
            logging_steps=50,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            use_cpu=True,
        )
        dataset: Any = [{"input_ids": row, "labels": row} for row in sequences]
        trainer = Trainer(model=model, args=arguments, train_dataset=dataset, callbacks=[Curve()])
        trainer.pop_callback(next(type(c) for c in trainer.callback_handler.callbacks if "Printer" in type(c).__name__))
        seconds = trainer.train().metrics["train_runtime"]
    torch.set_num_threads(threads)
    for layer in model.model.layers:
        layer.__dict__.pop("forward", None)
    record = {"recipe": asdict(recipe), "seed": seed, "curve": curve, "seconds": round(seconds, 1)}
    return model.eval(), record
