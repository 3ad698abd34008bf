"""`adept-bench expand`: an expanded checkpoint that plain transformers loads."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adept_bench.cli.options import ModelOption, RevisionOption, split_integers
from adept_bench.cli.saying import say
from adept_bench.config.names import LARGEST_SEED
from adept_bench.errors import InputError
from adept_bench.outputs import check_new_folder

if TYPE_CHECKING:
    from adept_bench.models.exporting import Choice, Exported


LONGEST = 512  # tokens of a document where neither --max-length nor the model's context says less


class Certify(StrEnum):
    """What proves that the expanded model computes what its base computes."""

    auto = "auto"
    logits = "logits"
    tensors = "tensors"


class Select(StrEnum):
    """How the layers to copy are chosen."""

    importance = "importance"
    uniform = "uniform"
    last = "last"
    random = "random"


def expand_command(
    model: ModelOption,
    output: Annotated[Path, typer.Option(help="New or empty folder for the expanded checkpoint.", metavar="DIR")],
    layers: Annotated[str | None, typer.Option(help="Base layers to copy, from 0: 1,5.", metavar="I,J")] = None,
    select: Annotated[Select | None, typer.Option(help="Choose the layers instead of naming them.")] = None,
    k: Annotated[int | None, typer.Option("--k", help="How many layers to copy, with --select.")] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Text that importance is measured on, with --select importance.", metavar="F")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=2, help=f"Tokens a document is cut to when probing. Default: the model's context, at most {LONGEST}."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of --select random.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto (the checkpoint's own), float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="Where the work is done: cpu, cuda, cuda:1, ...")] = "cpu",
    certify: Annotated[
        Certify,
        typer.Option(
            help="logits: load the model and compare its outputs (memory for two). tensors: go from file to file with "
            "one layer in memory, compare bytes and run layers one by one. auto: logits for small models."
        ),
    ] = Certify.auto,
    revision: RevisionOption = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No log and no progress bars.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Insert copies of layers that change nothing until they are trained, and prove it.

    Name the layers (--layers 1,5) or choose them (--select importance --k 2 --corpus F).
    """
    from adept_bench.progress import for_terminal, use

    use(for_terminal(quiet))
    named = _named_layers(layers, select, k, corpus)
    check_new_folder(output, filter(None, (model, corpus)))
    from adept_bench.models.exporting import expand_checkpoint

    done = expand_checkpoint(
        model,
        output,
        named if named is not None else _selection(select, k, corpus, seed, max_length),
        revision=revision,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        certify=certify.value,
    )
    _say(output, done)


PROVEN = {
    "logits": "logits, cached decoding and the reloaded checkpoint equal the base",
    "tensors": "every tensor of the base is unchanged and every copy adds nothing",
}


def _say(output: Path, exported: Exported) -> None:
    done = exported.expansion
    total = done.base_layers + len(done.copies)
    say(f"{output}: {total} layers, {done.base_layers} of the base and {len(done.copies)} copies")
    for source, copy in zip(done.sources, done.copies, strict=True):
        say(f"  layer {copy} is a copy of base layer {source}")
    say(f"certificate: {PROVEN[exported.kind]} (expansion.json)")


def _named_layers(layers: str | None, select: Select | None, k: int | None, corpus: str | None) -> list[int] | None:
    """The layers named by --layers, or None for --select; raises InputError where the options do not fit together."""
    if (layers is None) == (select is None):
        raise InputError("--layers, --select: expected exactly one of them, as --layers 1,5 or --select uniform --k 2")
    if layers is not None:
        if k is not None or corpus is not None:
            raise InputError(
                f"--layers: {layers} names the layers; expected no {'--k' if k is not None else '--corpus'}"
            )
        return split_integers(layers, "--layers", repeats=True)
    assert select is not None
    if k is None:
        raise InputError(f"--k: missing; expected the number of layers to copy with --select {select.value}")
    if (select is Select.importance) != (corpus is not None):
        expected = "a text file or Hub dataset" if corpus is None else "it with --select importance only"
        raise InputError(f"--corpus: {corpus or 'missing'}; expected {expected}")
    return None


def _selection(select: Select | None, k: int | None, corpus: str | None, seed: int, max_length: int | None) -> Choice:
    from adept_bench.corpora.reading import read_corpus
    from adept_bench.models import selection
    from adept_bench.models.exporting import Choice

    assert select is not None
    assert k is not None
    text = read_corpus(corpus) if corpus is not None else None

    def choose(depth: int, load: Callable[[], tuple[Any, Any]]) -> tuple[list[int], dict[str, Any]]:
        account: dict[str, Any] = {"select": select.value, "k": k}
        if text is None:
            if select is Select.random:
                return selection.random_layers(depth, k, seed), account | {"seed": seed}
            return getattr(selection, select.value)(depth, k), account
        importance = _importance(*load(), text.texts, max_length)
        return selection.lowest(importance, k), account | {"corpus": text.describe(), "importance": importance}

    return Choice(choose, needs_model=text is not None, k=k)


def _importance(model: Any, tokenizer: Any, texts: list[str], max_length: int | None) -> list[float]:
    from adept_bench.corpora.specials import literal, said
    from adept_bench.corpora.tokens import tokenize_documents
    from adept_bench.models.anatomy import decoder_layers
    from adept_bench.probing.context import length_limit
    from adept_bench.probing.layers import probe_layers
    from adept_bench.progress import counted, reporter
    from adept_bench.shortage import advised

    length = length_limit(model, max_length, longest=LONGEST)
    documents = tokenize_documents(tokenizer, texts, max_length=length)
    if found := literal(tokenizer, texts):
        reporter().log(said("--corpus", found))
    depth = len(decoder_layers(model)[1])
    with reporter().task("probing layers", unit="step") as task:
        probe = advised("the layer probe", "lower --max-length")(probe_layers)
        return list(probe(model, documents, on_progress=counted(task, depth)).importance)
