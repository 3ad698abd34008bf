"""The settings of an adaptation: what the user set, and defaults derived from the model and the size of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adept_bench.adapt.layers import k_of_share
from adept_bench.config.schema import (
    DomainText,
    MethodOptions,
    ModelConfig,
    Preset,
    PresetData,
    ProbeConfig,
    RunConfig,
    SelectionConfig,
    Suite,
    TrainingConfig,
)
from adept_bench.errors import InputError
from adept_bench.methods.base import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BUDGET = 0.15  # share of the model's parameters that train (paper, section 4)
# the lab's choices of learning rate at width 96, one a kind of trainable set; rates fall as 1 / width, which gives
# 2.3e-5 for everything and 1.9e-4 for copies at width 4096, where such rates are in common use
RATES = {"everything": 1e-3, "layers": 2e-3, "added": 8e-3}
RATE_WIDTH = 96
LONGEST = 1024  # tokens of a sequence where the model takes as many
SEQUENCES = 16  # most sequences in a step
STEPS = 200  # fewest steps wanted of one pass over the corpus; smaller batches, then more passes, make up for less
PASSES = 4  # most passes over a small corpus
NAME = "adapt"


@dataclass(frozen=True)
class Plan:
    """The resolved settings, and why each derived one is what it is."""

    config: RunConfig
    reasons: dict[str, str] = field(default_factory=dict)


def needs_probe_corpus(method: Method) -> str | None:
    """Why the method needs text of general competence; None where it does not."""
    chosen = method.layers
    if method.mix.replay_share:
        return "it mixes general text in"
    if "general" in method.rates.corpora:
        return "its unit-wise rates rest on importance for general text"
    if chosen is not None and chosen.listed is None and chosen.how in ("importance", "highest"):
        return "it chooses layers by their importance for general text"
    return None


def check_probe_corpus(method: Method, probe_corpus: str | None) -> None:
    """Raise InputError, naming the methods that do without, where `method` needs a probe corpus and there is none."""
    from adept_bench.config.names import METHOD_NAMES
    from adept_bench.methods.registry import get

    reason = needs_probe_corpus(method)
    if probe_corpus is not None or reason is None:
        return
    others = [get(name, MethodOptions()) for name in METHOD_NAMES]
    free = [other.name for other in others if other.trains and needs_probe_corpus(other) is None]
    raise InputError(
        f"--probe-corpus: missing, and --method {method.name} needs one ({reason}); "
        f"expected general text such as the base model was trained on, or one of the methods {', '.join(free)}"
    )


def kind_of(method: Method) -> str:
    """What trains: "everything", original "layers", or something "added"."""
    from adept_bench.methods.trainable import ChosenLayers, Everything

    if isinstance(method.train, Everything):
        return "everything"
    return "layers" if isinstance(method.train, ChosenLayers) else "added"


def sizes(model: PreTrainedModel) -> tuple[float, int, int]:
    """Parameters of a decoder layer (their mean), of the model, and how many layers there are."""
    from adept_bench.probing.decoder import decoder

    layers = [sum(p.numel() for p in layer.parameters()) for layer in decoder(model).layers]
    return sum(layers) / len(layers), sum(p.numel() for p in model.parameters()), len(layers)


def affordable(method: Method, model: PreTrainedModel, budget: float) -> int:
    """The most layers that `method` may train within `budget`, a share of the parameters; at least 1."""
    return k_of_share(budget, *sizes(model), added=kind_of(method) == "added")


def make_plan(
    method: Method,
    model: PreTrainedModel,
    corpus_tokens: int,
    *,
    source: ModelConfig,
    corpus: str,
    probe_corpus: str | None,
    device: str = "cpu",
    k: int | None = None,
    budget: float = BUDGET,
    learning_rate: float | None = None,
    overrides: Sequence[str] = (),
) -> Plan:
    """The settings for `model` and a corpus of about `corpus_tokens` tokens; `overrides` (key=value) win over all.

    Only the model's shape counts: it may be without memory. `device`: where it will train, "cuda" or "cpu". Without a
    probe corpus the domain corpus stands in its place in the configuration, and nothing general is reported.
    Raises InputError for an override that does not fit, and for a corpus of less than one sequence.
    """
    text = model.config.get_text_config()
    length = _length(text, corpus_tokens)
    sequences = max(1, corpus_tokens // length)
    batch = max(1, min(SEQUENCES, sequences // STEPS))
    passes = max(1, min(PASSES, -(-STEPS * batch // sequences)))
    steps = max(1, passes * sequences // batch)
    mean, total, layers = sizes(model)
    kind = kind_of(method)
    if k is not None and k > layers:
        raise InputError(f"--k: {k} is more than the model's {layers} layers; expected 1 to {layers}")
    copies = k if k is not None else affordable(method, model, budget)
    rate = learning_rate or float(f"{RATES[kind] * RATE_WIDTH / text.hidden_size:.2g}")
    reasons = {
        "training.length": f"the model's context, at most {LONGEST}, and a fraction of a small corpus",
        "training.batch_size": f"at least {STEPS} steps a pass over the corpus, at most {SEQUENCES} sequences",
        "training.tokens": f"{passes} pass{'es' if passes > 1 else ''} over about {corpus_tokens} tokens",
        "training.learning_rate": "set"
        if learning_rate
        else f"{RATES[kind]:g} at width {RATE_WIDTH} (the lab's choice, {kind} trains), falling as 1 / width",
        "options.k": _why_k(kind, k, budget, copies * mean / (total + (kind == "added") * copies * mean)),
        "options.refresh_every": "the paper's 500 steps, at most a quarter of the run",
    }
    preset = Preset(
        name="own",
        description="",
        model=source,
        data=PresetData(domains={NAME: DomainText(train=corpus)}, general=probe_corpus or corpus),
        training=TrainingConfig(
            tokens=steps * batch * length,
            length=length,
            batch_size=batch,
            learning_rate=rate,
            precision="bf16" if device == "cuda" else "fp32",
            save_every=max(20, steps // 20),
        ),
        probe=ProbeConfig(max_length=min(512, length), batch_size=8, unit_batch_size=8),
        options=MethodOptions(k=copies, refresh_every=max(1, min(500, steps // 4))),
        selection=SelectionConfig(grid=[rate]),
    )
    config = RunConfig.model_validate(_resolved(preset, overrides))
    return Plan(config, {name: why for name, why in reasons.items() if not _set_by_hand(name, overrides)})


def _why_k(kind: str, k: int | None, budget: float, share: float) -> str:
    if kind == "everything":
        return "of no use where everything trains"
    if k is not None:
        return "set"
    if share > budget:
        return f"one layer is the least: {share:.1%} of the parameters train, above the budget of {budget:.1%}"
    return f"{share:.1%} of the parameters train, within the budget of {budget:.1%}"


def with_layers(config: RunConfig, layers: Sequence[int]) -> RunConfig:
    """The configuration with exactly these base layers."""
    options = config.options.model_copy(update={"layers": list(layers), "k": len(layers)})
    return config.model_copy(update={"options": options})


def _resolved(preset: Preset, overrides: Sequence[str]) -> dict[str, Any]:
    from adept_bench.config.loading import resolve

    return resolve(Suite(name=NAME, domain=NAME), preset, overrides=overrides).model_dump()


def _set_by_hand(name: str, overrides: Sequence[str]) -> bool:
    return any(override.partition("=")[0].strip() == name for override in overrides)


def _length(text_config: Any, corpus_tokens: int) -> int:
    """The longest power of two within the model's context, `LONGEST`, and a 64th of the corpus; at least 32."""
    context = getattr(text_config, "max_position_embeddings", None) or LONGEST
    if corpus_tokens < 64:
        raise InputError(f"--corpus: about {corpus_tokens} tokens; expected at least 64 to train on")
    most = max(32, min(context, LONGEST, corpus_tokens // 64))
    return min(context, 2 ** (most.bit_length() - 1))
