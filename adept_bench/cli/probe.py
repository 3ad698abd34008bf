"""`adept-bench probe layers` and `probe units`: the pilot study on any model and corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adept_bench.cli.options import (
    Debug,
    ForceOption,
    ModelOption,
    OutputOption,
    Quiet,
    RevisionOption,
    check_output,
    split_integers,
    write_json_result,
)
from adept_bench.errors import InputError
from adept_bench.outputs import LAYERS, UNITS
from adept_bench.progress import counted, reporter
from adept_bench.shortage import advised

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from adept_bench.probing.padding import Kind

probe_app = typer.Typer(help="How much each layer and each unit matters for a corpus.", no_args_is_help=True)

SMALLER = "lower --batch-size (of all importances only masking's do not depend on it) or --max-length"
LONGEST = 2048  # tokens of a document where neither --max-length nor the model's context says less

CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus",
        metavar="F",
        help="Probe corpus: .jsonl, .json, .txt, .parquet, a Hub dataset (owner/name:split#column) or lab:NAME.",
    ),
]
MaxLengthOption = Annotated[
    int | None,
    typer.Option(
        "--max-length", min=2, help=f"Tokens of a document that count. Default: the model's context, at most {LONGEST}."
    ),
]
MaxDocumentsOption = Annotated[
    int | None, typer.Option("--max-documents", min=1, help="Only the corpus's first N documents. Default: all.")
]
PaddingOption = Annotated[
    str,
    typer.Option("--padding", help="ignored: never counts; counted: texts are padded and it does, as released."),
]
TrustOption = Annotated[bool, typer.Option("--trust-remote-code", help="Run model code that comes with the model.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="Precision of the weights: float32, bfloat16 or float16.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, ... Default: a GPU if any.")]


@dataclass(frozen=True)
class _Inputs:
    """A model and the tokenised corpus, with what the report says of them."""

    model: PreTrainedModel
    layers: int
    documents: Sequence[Sequence[int]]
    corpus: dict[str, Any]
    settings: dict[str, Any]


@probe_app.command("layers")
def layers(
    model: ModelOption,
    corpus: CorpusOption,
    metric: Annotated[str, typer.Option("--metric", help="masking, gradient, rank or fisher.")] = "masking",
    max_length: MaxLengthOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Documents at once.")] = 8,
    max_documents: MaxDocumentsOption = None,
    padding: PaddingOption = "ignored",
    output: OutputOption = None,
    force: ForceOption = False,
    revision: RevisionOption = None,
    trust_remote_code: TrustOption = False,
    dtype: DtypeOption = "float32",
    device: DeviceOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The importance of each layer: how much the loss grows when the layer is bypassed (masking), or another metric."""
    target = check_output(output, LAYERS, force, [model, corpus])
    from adept_bench.probing.layers import METRICS, probe_layers
    from adept_bench.probing.padding import PADDING
    from adept_bench.probing.report import layer_report

    _check_name("--metric", metric, METRICS)
    _check_name("--padding", padding, PADDING)
    inputs = _load(
        model, revision, corpus, max_length, max_documents, padding, "layers", trust_remote_code, dtype, device
    )
    with _progress(inputs, per_layer=metric == "masking") as on_progress:
        result = advised("the layer probe", SMALLER)(probe_layers)(
            inputs.model, inputs.documents, metric=metric, batch_size=batch_size, on_progress=on_progress
        )
    report = layer_report(result, model=model, corpus=inputs.corpus, batch_size=batch_size, **inputs.settings)
    write_json_result(report, target)


@probe_app.command("units")
def units(
    model: ModelOption,
    corpus: CorpusOption,
    layers: Annotated[
        str | None, typer.Option("--layers", metavar="I,J", help="Only these layers, numbered from 0. Default: all.")
    ] = None,
    granularity: Annotated[str, typer.Option("--granularity", help="A unit is a tensor, module or block.")] = "tensor",
    normalize: Annotated[
        str,
        typer.Option(
            "--normalize",
            help="Range: norms-apart, norms do not stretch the others'; released, only those named layernorm do not; "
            "all, one range.",
        ),
    ] = "norms-apart",
    max_length: MaxLengthOption = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Documents whose gradients are averaged before |dL/dw|.")
    ] = 1,
    max_documents: MaxDocumentsOption = None,
    padding: PaddingOption = "ignored",
    output: OutputOption = None,
    force: ForceOption = False,
    revision: RevisionOption = None,
    trust_remote_code: TrustOption = False,
    dtype: DtypeOption = "float32",
    device: DeviceOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The importance of each unit, mean |w * dL/dw|, and the factor on the learning rate that follows from it."""
    chosen = split_integers(layers, "--layers")
    target = check_output(output, UNITS, force, [model, corpus])
    from adept_bench.probing.padding import PADDING
    from adept_bench.probing.rates import NORMALIZE
    from adept_bench.probing.report import unit_report
    from adept_bench.probing.units import GRANULARITIES, check_layers, probe_units

    _check_name("--granularity", granularity, GRANULARITIES)
    _check_name("--normalize", normalize, NORMALIZE)
    _check_name("--padding", padding, PADDING)
    if chosen is not None:
        from adept_bench.models.declared import declared_layers

        if depth := declared_layers(model, revision, trust_remote_code):
            check_layers(chosen, depth)
    inputs = _load(
        model, revision, corpus, max_length, max_documents, padding, "units", trust_remote_code, dtype, device
    )
    with _progress(inputs, per_layer=False) as on_progress:
        measured = advised("the unit probe", SMALLER)(probe_units)(
            inputs.model,
            inputs.documents,
            layers=chosen,
            granularity=granularity,
            batch_size=batch_size,
            on_progress=on_progress,
        )
    report = unit_report(
        measured,
        model=model,
        corpus=inputs.corpus,
        normalize=normalize,
        granularity=granularity,
        batch_size=batch_size,
        **inputs.settings,
    )
    write_json_result(report, target)


def _check_name(option: str, value: str, names: tuple[str, ...]) -> None:
    """Before a model is loaded, not after."""
    from adept_bench.errors import unknown_name

    if value not in names:
        raise unknown_name(option, "value", value, names)


def _load(
    source: str,
    revision: str | None,
    corpus: str,
    max_length: int | None,
    max_documents: int | None,
    padding: str,
    kind: Kind,
    trust_remote_code: bool,
    dtype: str,
    device: str | None,
) -> _Inputs:
    from adept_bench.corpora.reading import read_corpus
    from adept_bench.corpora.specials import literal, said
    from adept_bench.corpora.tokens import tokenize_documents

    # the corpus first: its mistakes are found at once, a model takes a while
    texts = read_corpus(corpus, option="--corpus", limit=max_documents)

    from adept_bench.models.anatomy import decoder_layers
    from adept_bench.models.checkpoints import load_model, load_tokenizer
    from adept_bench.probing.context import length_limit
    from adept_bench.probing.padding import as_released

    tokenizer = load_tokenizer(source, revision=revision, trust_remote_code=trust_remote_code)
    model = load_model(
        source, revision=revision, dtype=dtype, device=_device(device), trust_remote_code=trust_remote_code
    )
    length = length_limit(model, max_length, longest=LONGEST)
    documents: Sequence[Sequence[int]] = tokenize_documents(tokenizer, texts.texts, max_length=length)
    if not documents:
        raise InputError(f"--corpus: {corpus}: no document has two tokens or more, so there is nothing to predict")
    tokens = sum(map(len, documents))
    layers = len(decoder_layers(model)[1])
    reporter().log(f"{len(documents)} documents, {tokens} tokens, {layers} layers")
    if found := literal(tokenizer, texts.texts):
        reporter().log(said(corpus, found))
    used = {"documents_used": len(documents), "tokens": tokens}
    settings = {"max_length": length, "padding": padding, "dtype": dtype, **_identified(source, revision)}
    if padding == "counted":
        documents = as_released(documents, kind, tokenizer, length)
    return _Inputs(model, layers, documents, {**texts.describe(), **used}, settings)


def _identified(source: str, revision: str | None) -> dict[str, Any]:
    """Of a model of the Hub, the commit that was read; of a GGUF file, which it was."""
    from adept_bench.models.onhub import on_hub
    from adept_bench.models.places import details, local_folder

    folder = local_folder(source)
    if folder is None:
        return {"revision": on_hub(source, revision).commit}
    found = details(folder)
    return {"model_details": found} if found else {}


def _device(chosen: str | None) -> str:
    import torch

    if chosen is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=chosen)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device: {chosen!r} cannot be used here ({reason}); expected cpu or cuda") from error
    return chosen


@contextmanager
def _progress(inputs: _Inputs, *, per_layer: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress callback: `layer i of L` of each batch where layers are masked in turn, batches otherwise."""
    with reporter().task("probing", unit="step" if per_layer else "batch") as task:
        yield counted(task, inputs.layers if per_layer else None)
