"""What suite `pilot` measures beside tasks and losses (paper, section 2 and Figs 2, 4 to 6, 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adept_bench.progress import reporter
from adept_bench.suite.base import BaseMeasurements
from adept_bench.suite.trained import Trained

if TYPE_CHECKING:
    from adept_bench.models.expansion import Expansion
    from adept_bench.suite.cell import Spec

CORPORA = ("general", "domain")
Documents = dict[str, list[list[int]]]


def of_base(spec: Spec, base: BaseMeasurements) -> dict[str, Any]:
    """The block `analyses` of the base: layer importance by every metric, its stability, unit importance."""
    from adept_bench.probing.stability import stability

    asked = spec.config.analyses
    assert asked is not None
    layers, steadiness, units = [], [], []
    for corpus in CORPORA:
        for metric in asked.metrics:
            seconds = base.probe_seconds
            found = base.layer_importance(corpus, metric)
            per_document = found.pop("per_document")
            layers.append({"corpus": corpus, **found, "seconds": base.probe_seconds - seconds})
            if per_document is not None:
                documents = len(per_document[0])
                sizes = [size for size in asked.probe_sizes if size < documents]
                k = min(spec.config.options.k, len(per_document))
                found = stability(per_document, k=k, samples=asked.bootstrap, sizes=sizes, seed=spec.seed)
                steadiness.append({"corpus": corpus, **found})
        rows = base.unit_importance(corpus)
        columns = ("name", "layer", "norm", "importance", "elements")
        units.append({"corpus": corpus, **{column: [row[column] for row in rows] for column in columns}})
    return {"layers": layers, "stability": steadiness, "units": units}


def of_trained(spec: Spec, base: BaseMeasurements, trained: Trained) -> dict[str, Any]:
    """The block `analyses` of a trained model: activations of its layers beside the base's, and token shift."""
    from adept_bench.models.expansion import expand
    from adept_bench.probing.token_shift import first_choices, shift_of

    asked = spec.config.analyses
    assert asked is not None
    documents = _held_out(spec)
    size = spec.config.probe.batch_size
    layers = asked.activation_layers or _layers(spec, base, trained)
    adapted, expansion = trained.evaluable(), trained.edit.expansion
    with reporter().task(f"{spec.title}: activations and token shift", total=5) as task:
        means = {"adapted": _means(adapted, _places(layers, expansion), documents, size)}
        task.update()
        choices = {corpus: first_choices(adapted, documents[corpus], batch_size=size) for corpus in CORPORA}
        task.update()
        model = spec.inputs.load_base()
        means["base"] = _means(model, {layer: layer for layer in layers}, documents, size)
        task.update()
        shift = []
        for corpus in CORPORA:
            found = shift_of(
                model,
                choices[corpus],
                spec.inputs.tokenizer,
                documents[corpus],
                batch_size=size,
                top=asked.top_tokens,
            )
            shift.append({"corpus": corpus, **found})
        task.update()
        if expansion is not None:
            copied = [layer for layer in layers if layer in expansion.sources]
            fresh = expand(model, expansion.sources)
            means["expanded"] = _means(model, _places(copied, fresh), documents, size)
        task.update()
    activations, overlaps = _densities(layers, means, documents)
    return {"activations": activations, "overlaps": overlaps, "token_shift": shift}


def _held_out(spec: Spec) -> Documents:
    from adept_bench.corpora.tokens import tokenize_documents

    asked, inputs = spec.config.analyses, spec.inputs
    assert asked is not None
    texts = {corpus: inputs.corpora[f"{corpus}_heldout"].texts[: asked.documents] for corpus in CORPORA}
    length = spec.config.probe.max_length
    return {corpus: tokenize_documents(inputs.reader, texts[corpus], max_length=length) for corpus in CORPORA}


def _layers(spec: Spec, base: BaseMeasurements, trained: Trained) -> list[int]:
    """The layers the method copied or trained alone, else the k least important of the base."""
    from adept_bench.models.selection import lowest

    chosen = list(trained.edit.sources) or trained.edit.description.get("trained_layers")
    return chosen or lowest(base.layer_importance("general", "masking")["importance"], spec.config.options.k)


def _places(layers: list[int], expansion: Expansion | None) -> dict[int, int]:
    """Index in the model of each base layer's copy, or of the layer itself where it has none."""
    if expansion is None:
        return {layer: layer for layer in layers}
    last = {origin: index for index, origin in enumerate(expansion.origin)}  # a copy stands after its source
    return {layer: last[layer] for layer in layers}


def _means(model: Any, places: dict[int, int], documents: Documents, batch_size: int) -> dict[tuple[int, str], Any]:
    """The mean output, [hidden], of each base layer's place in `model`, on each corpus."""
    from adept_bench.probing.activations import mean_activations

    found = {
        corpus: mean_activations(model, list(places.values()), documents[corpus], batch_size=batch_size)
        for corpus in CORPORA
    }
    return {(layer, corpus): found[corpus][index].tolist() for layer, index in places.items() for corpus in CORPORA}


def _densities(
    layers: list[int], means: dict[str, dict[tuple[int, str], Any]], documents: Documents
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Densities on one grid a layer, and the overlap of general and domain in each state."""
    from adept_bench.probing.activations import densities, overlap

    activations, overlaps = [], []
    tokens = {corpus: sum(map(len, documents[corpus])) for corpus in CORPORA}
    for layer in layers:
        states = [state for state in ("base", "expanded", "adapted") if (layer, "general") in means.get(state, {})]
        values = {(state, corpus): means[state][layer, corpus] for state in states for corpus in CORPORA}
        low, high, found = densities({f"{state} {corpus}": mean for (state, corpus), mean in values.items()})
        for (state, corpus), mean in values.items():
            activations.append(
                {
                    "layer": layer,
                    "state": state,
                    "corpus": corpus,
                    "dimensions": len(mean),
                    "tokens": tokens[corpus],
                    "mean": sum(mean) / len(mean),
                    "low": low,
                    "high": high,
                    "density": [float(f"{value:.4g}") for value in found[f"{state} {corpus}"]],
                }
            )
        for state in states:
            shared = overlap(found[f"{state} general"], found[f"{state} domain"], low, high)
            overlaps.append({"layer": layer, "state": state, "overlap": shared})
    return activations, overlaps
