"""`adapt`: a method on a user's own model and text, from the base to a checkpoint that plain transformers loads."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adept_bench.adapt.layers import Choice, choose
from adept_bench.adapt.output import stored_dtype, write_adapted
from adept_bench.adapt.plan import BUDGET, Plan, affordable, check_probe_corpus, make_plan, with_layers
from adept_bench.config.schema import MethodOptions, ModelConfig, RunConfig
from adept_bench.errors import InputError
from adept_bench.models.folders import check_room, writing
from adept_bench.outputs import check_new_folder
from adept_bench.progress import reporter

if TYPE_CHECKING:
    from adept_bench.methods.base import Method
    from adept_bench.models.fit import Beside
    from adept_bench.suite.base import BaseMeasurements
    from adept_bench.suite.cell import Spec
    from adept_bench.suite.trained import Trained

SAMPLE = 200  # documents whose tokens are counted to estimate those of the corpus


def adapt(
    model: str,
    corpus: str,
    output: str | Path,
    *,
    probe_corpus: str | None = None,
    method: str = "adept",
    k: int | str | None = None,
    budget: float = BUDGET,
    time_budget: float | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    revision: str | None = None,
    trust_remote_code: bool = False,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Train `model` on `corpus` by a method of the registry and write the adapted checkpoint to `output`, whole.

    `corpus`, `probe_corpus`: files or Hub ids; the loss before and after is of documents split off both, which never
    enter training. `k`: copies, or "auto" (see `layers.choose`); by default as many as `budget`, a share of the
    parameters, allows. `time_budget`: with "auto", training operations as a share of full pretraining's.
    `overrides`: settings of `RunConfig` as key=value.
    Returns the summary that adaptation.json holds. Interrupted, the same call goes on from its last checkpoint.
    Raises InputError for bad input, before any work where it can be known.
    """
    from adept_bench.methods.registry import get
    from adept_bench.models.fit import kept_beside
    from adept_bench.suite.base import BaseMeasurements
    from adept_bench.suite.cell import Spec
    from adept_bench.suite.trained import check_packing
    from adept_bench.training.optimizers import check_hardware

    output = check_new_folder(output, filter(None, (model, corpus, probe_corpus)))
    if not 0 < budget < 1:
        raise InputError(f"--budget: {budget} is not a share; expected a number between 0 and 1 such as {BUDGET}")
    definition = get(method, MethodOptions(), "--method")
    if not definition.trains:
        raise InputError(f"--method: {method} trains nothing; expected another method")
    check_probe_corpus(definition, probe_corpus)
    work = output.parent / f".{output.name}.adapt"
    beside = kept_beside(model, revision, trust_remote_code)  # what is wrong with the model is said before all else
    check_room(output, beside.size, "the base checkpoint alone")
    dtype = _dtype(model, revision, trust_remote_code)
    source = ModelConfig(source=model, revision=revision, trust_remote_code=trust_remote_code, dtype=dtype)
    shape = _shape(source)
    plan = _plan(definition, source, shape, corpus, probe_corpus, k, budget, learning_rate, overrides)
    check_hardware(plan.config)
    _check_edit(method, plan.config, shape, seed)
    inputs = Spec(plan.config, method, seed, None).inputs
    check_packing(inputs)
    base = BaseMeasurements(inputs, work / "base")
    choice = None
    if k == "auto":
        choice = _auto(plan, definition, base, budget, time_budget)
        plan = Plan(with_layers(plan.config, choice.layers), {**plan.reasons, "options.k": choice.reason})
    spec = Spec(plan.config, method, seed, {"value": plan.config.training.learning_rate, "source": "set"})
    with writing(work):
        return _run(spec, plan, choice, output, work, beside, general=probe_corpus is not None)


def _check_edit(method: str, config: RunConfig, shape: Any, seed: int) -> None:
    """Raise InputError, before the base is measured, where shapes, packages or a small model of the family show that
    adapters or copies of layers cannot be made, or where the model has not the layers that are asked for."""
    from adept_bench.methods.edits import CopyAfter, LowRank
    from adept_bench.methods.registry import get
    from adept_bench.models.anatomy import decoder_layers
    from adept_bench.models.expandable import check_expandable

    definition = get(method, config.options)
    edit = definition.edit
    if isinstance(edit, LowRank):
        edit.check(shape)
    depth = len(decoder_layers(shape)[1])
    if definition.layers is not None:
        definition.layers.check(depth)
    if not isinstance(edit, CopyAfter):
        return
    try:
        layers = None if edit.layers.measures else edit.layers.choose_by_depth(depth, seed)
        check_expandable(shape, layers, config.model.trust_remote_code)
    except InputError as error:
        raise InputError(
            f"--method: {method} inserts copies of layers, and {config.model.source} takes none: {error}; expected a "
            "method without copies, such as full, frozen or lora"
        ) from None


def _run(
    spec: Spec, plan: Plan, choice: Choice | None, output: Path, work: Path, beside: Beside, general: bool
) -> dict[str, Any]:
    from adept_bench.files import content_hash
    from adept_bench.methods.registry import get
    from adept_bench.suite.base import BaseMeasurements
    from adept_bench.suite.cell import resolved
    from adept_bench.suite.evaluate import evaluate_all
    from adept_bench.suite.trained import Trained

    inputs, config = spec.inputs, spec.config
    base = BaseMeasurements(inputs, work / "base")
    before = base.evaluation({})["losses"]
    training = config.training
    reporter().log(
        f"{spec.method}: {training.steps} steps of {training.tokens_per_step} tokens at {training.learning_rate:g}; "
        + "; ".join(f"{name} {why}" for name, why in sorted(plan.reasons.items()))
    )
    trained = Trained(spec, get(spec.method, config.options), base, work / "checkpoints", content_hash(resolved(spec)))
    after = evaluate_all(trained.evaluable(), inputs, {}, spec.title)["losses"]
    blocks = trained.blocks()
    corpora = ("domain", "general") if general else ("domain",)
    summary = {
        "method": spec.method,
        "model": {
            "source": config.model.source,
            "revision": config.model.revision,
            "hash": inputs.model_hash,
            **inputs.model_details,
        },
        "losses": {name: {"before": before[name], "after": after[name]} for name in corpora},
        "heldout_documents": {name: len(inputs.corpora[f"{name}_heldout"].texts) for name in corpora},
        "corpora": {name: inputs.training_texts[name].describe() for name in corpora},
        "config": resolved(spec),
        "reasons": plan.reasons,
        "layers_chosen": choice.reason if choice else None,
        "cost": _cost(base, trained),
        "trained": blocks["model"],
        "definition": blocks["method_definition"],
        "certificate": trained.certificate,
        "training": {"steps": trained.record.steps, "tokens": trained.record.tokens, "curve": trained.record.curve},
    }
    write_adapted(trained, inputs, summary, output, beside)
    shutil.rmtree(work, ignore_errors=True)
    return summary


def _plan(
    method: Method,
    source: ModelConfig,
    shape: Any,
    corpus: str,
    probe_corpus: str | None,
    k: int | str | None,
    budget: float,
    learning_rate: float | None,
    overrides: Sequence[str],
) -> Plan:
    from adept_bench.models.checkpoints import load_tokenizer
    from adept_bench.suite.machine import device

    tokenizer = load_tokenizer(source.source, revision=source.revision, trust_remote_code=source.trust_remote_code)
    tokens = estimated_tokens(tokenizer, corpus, as_text="data.special_tokens=text" in overrides)
    return make_plan(
        method,
        shape,
        tokens,
        source=source,
        corpus=corpus,
        probe_corpus=probe_corpus,
        device=device(),
        k=k if isinstance(k, int) else None,
        budget=budget,
        learning_rate=learning_rate,
        overrides=overrides,
    )


def _shape(source: ModelConfig) -> Any:
    """The model without its weights, or where its code does not allow that, with them."""
    from adept_bench.models.checkpoints import load_model
    from adept_bench.models.shapes import base_shape
    from adept_bench.planning.architectures import config_of

    config, _ = config_of(source, "--model")
    try:
        return base_shape(config, trust_remote_code=source.trust_remote_code)
    except InputError:
        return load_model(
            source.source,
            revision=source.revision,
            dtype=source.dtype,
            trust_remote_code=source.trust_remote_code,
        )


def estimated_tokens(tokenizer: Any, corpus: str, as_text: bool = False) -> int:
    """About how many tokens the corpus has: those of a sample, scaled by characters.

    `as_text`: special tokens that stand in it are characters like others. The log says where there are any.
    """
    from adept_bench.corpora import specials
    from adept_bench.corpora.large import open_corpus

    reader = specials.as_text(tokenizer) if as_text else tokenizer
    found = open_corpus(corpus, option="--corpus", load_tokenizer=lambda: reader)
    sample = found.sample(SAMPLE).texts
    counted = sum(len(reader(text, verbose=False).input_ids) for text in sample)
    if literal := specials.literal(reader, sample):
        where = f"{corpus}, of {len(sample)} documents whose tokens are counted"
        reporter().log(specials.said(where, literal, "text" if as_text else "token"))
    return int(counted * found.describe()["characters"] / max(1, sum(map(len, sample))))


def _dtype(model: str, revision: str | None, trust_remote_code: bool) -> Literal["float32", "bfloat16"]:
    """bfloat16 on a GPU where the checkpoint is; else float32, which holds every stored weight exactly."""
    import torch

    from adept_bench.suite.machine import device

    stored = stored_dtype(model, revision, trust_remote_code)
    return "bfloat16" if device() == "cuda" and stored == torch.bfloat16 else "float32"


def _auto(plan: Plan, method: Method, base: BaseMeasurements, budget: float, time_budget: float | None) -> Choice:
    """The layers of `--k auto`. Raises InputError where the method does not choose layers by importance."""
    from adept_bench.adapt.operations import time_share

    chosen = method.layers
    if chosen is None or chosen.how not in ("importance", "domain-importance"):
        raise InputError(
            f"--k: auto needs a method that chooses layers by importance, such as adept; got {method.name}"
        )
    corpus = "domain" if chosen.how == "domain-importance" else "general"
    found = base.layer_importance(corpus)
    model = base.model()
    length, trusted = plan.config.training.length, plan.config.model.trust_remote_code
    return choose(
        found["importance"],
        found["base_loss"],
        most=affordable(method, model, budget),
        most_because=f"a budget of {budget:.0%} of the parameters",
        time_share=lambda layers: time_share(model, layers, length, trusted),
        time_budget=time_budget,
    )


def _cost(base: BaseMeasurements, trained: Trained) -> dict[str, Any]:
    record = trained.record
    return {
        "train_seconds": record.seconds,
        "probe_seconds": base.probe_seconds + record.probe_seconds,
        "tokens_per_second": record.tokens_per_second,
        "train_flops": trained.flops,
        "peak_memory_bytes": trained.peak_bytes,
    }
