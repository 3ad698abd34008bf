"""The `expand` command's work: an expanded checkpoint that plain transformers loads, with its proof beside it."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adept_bench import __version__
from adept_bench.errors import InputError, unknown_name
from adept_bench.files import write_json, write_whole
from adept_bench.models.anatomy import probe_tokens, text_config
from adept_bench.models.certificate import certify_expansion, holds, reference
from adept_bench.models.checkpoints import (
    DTYPES,
    check_folder,
    check_readable,
    load_model,
    load_tokenizer,
    model_hash,
    quiet_transformers,
)
from adept_bench.models.contents import check_json, stored_config
from adept_bench.models.declared import check_special_ids, declared_layers
from adept_bench.models.expansion import Expansion, expand, plan_expansion
from adept_bench.models.fetching import local_files
from adept_bench.models.fit import Beside, check_fit, read_config, write_beside
from adept_bench.models.folders import check_room, expansion_record, new_folder
from adept_bench.models.onelayer import NotStreamable
from adept_bench.models.places import details, on_hub_only
from adept_bench.models.quantised import CARRIED, quant_method, refuse_quantised
from adept_bench.models.sharded import copy_files, expand_files
from adept_bench.models.tensorfiles import Checkpoint
from adept_bench.outputs import check_new_folder
from adept_bench.progress import reporter

CERTIFY = ("auto", "logits", "tensors")
SMALL = 128 * 2**20  # bytes of weights up to which a checkpoint is loaded whole when nothing else is asked for
HELD = 3  # times its weights' bytes that the whole path needs: the model, its copies and the model loaded again

Load = Callable[[], tuple[Any, Any]]


@dataclass(frozen=True)
class Choice:
    """How the layers to copy are chosen, where they are not named.

    choose: (depth, load) -> (base layers, JSON-able account of the selection); `load()` gives (model, tokenizer).
    needs_model: whether it calls `load`. k: how many it chooses, --k.
    """

    choose: Callable[[int, Load], tuple[Sequence[int], dict[str, Any]]]
    needs_model: bool
    k: int


@dataclass(frozen=True)
class Exported:
    """What was written: where the copies are, and the kind of certificate, "logits" or "tensors"."""

    expansion: Expansion
    kind: str


@dataclass(frozen=True)
class _Base:
    """The model to expand, as asked for."""

    source: str
    revision: str | None
    dtype: str
    device: str
    trust_remote_code: bool

    def model(self) -> Any:
        trust = self.trust_remote_code
        return load_model(
            self.source, revision=self.revision, dtype=self.dtype, device=self.device, trust_remote_code=trust
        )

    def tokenizer(self) -> Any:
        return load_tokenizer(self.source, revision=self.revision, trust_remote_code=self.trust_remote_code)


def expand_checkpoint(
    source: str,
    output: str | Path,
    layers: Sequence[int] | Choice,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    trust_remote_code: bool = False,
    certify: str = "auto",
) -> Exported:
    """Expand the checkpoint `source` after `layers` into the new folder `output`, certified and whole.

    `certify`: "logits" loads the model, compares logits, cached decoding and the model loaded again with the base, and
    holds two models in memory; "tensors" goes from file to file with one layer in memory (`models.sharded`), compares
    bytes and runs layers one by one; "auto" takes logits for weights of at most `SMALL` bytes, for another `dtype` or
    `device`, where choosing the layers needs the model anyway and two models fit, and for a family that cannot be
    expanded layer by layer and fits; else tensors.

    The folder holds the model, tokenizer, generation configuration, expansion.json (base and its hash, layers, copies,
    selection, certificate and its kind) and README.md. Raises InputError for bad input, an output that is not empty or
    not apart from the base, and an expansion that is not function-preserving; nothing is left behind then.
    """
    output = check_new_folder(output, [source])
    base = _Base(source, revision, dtype, device, trust_remote_code)
    _check_options(base, certify)
    check_special_ids(source, revision, trust_remote_code)
    if known := declared_layers(source, revision, trust_remote_code):  # before weights are fetched or converted
        _check_layers(layers, known)
    folder = local_files(source, revision)
    depth = _depth(folder, base)
    _check_layers(layers, depth)
    method = _quantised(folder, base, certify, layers)
    base_hash = model_hash(source, revision)
    stored = check_readable(folder, source, "--model", quantised=method is not None)
    check_room(output, stored.size, "the base checkpoint alone")
    beside = check_fit(stored, trust_remote_code)
    kind, why = _kind(base, certify, stored, isinstance(layers, Choice) and layers.needs_model)
    if method is not None:
        kind, why = "tensors", f"{method} weights are carried over as they are"
    reporter().log(f"certificate: {kind}, {why}")
    chosen = _choose(base, layers, depth)
    if kind == "tensors":
        chosen.model = None  # its memory
        gc.collect()
    with new_folder(output) as temporary:
        if kind == "tensors":
            try:
                expansion, certificate = expand_files(
                    stored, temporary, chosen.layers, trust_remote_code=trust_remote_code
                )
            except NotStreamable as error:
                if method is not None:
                    refuse_quantised(stored_config(folder), source, "--model")
                if certify == "tensors" or not _fits(stored):
                    raise InputError(
                        f"--model: {source} cannot be expanded layer by layer: {error}; expected --certify logits and "
                        f"{HELD * stored.size / 2**30:.1f} GiB of free memory"
                    ) from error
                kind, why = "logits", f"it cannot be expanded layer by layer: {error}"
                reporter().log(f"certificate: {kind}, {why}")
                shutil.rmtree(temporary)
                temporary.mkdir()
        if kind == "logits":
            expansion, certificate = _by_logits(base, chosen, temporary, folder, beside)
        if not holds(certificate):
            failed = ", ".join(name for name, value in certificate.items() if value is False)
            raise InputError(f"--model: {source} cannot be expanded: the certificate fails at {failed}")
        proof = {"kind": kind, "chosen": why} | certificate
        account = chosen.account
        record = expansion_record(expansion, base=source, base_hash=base_hash, selection=account, certificate=proof)
        write_json(temporary / "expansion.json", record | ({"base_details": file} if (file := details(folder)) else {}))
        write_whole(temporary / "README.md", _card(source, expansion, chosen.account))
    return Exported(expansion, kind)


@dataclass
class _Chosen:
    """The layers to copy, an account of how they were chosen, and the model where choosing them needed it."""

    layers: Sequence[int]
    account: dict[str, Any]
    model: Any = None


def _check_layers(layers: Sequence[int] | Choice, depth: int) -> None:
    """Raise InputError where `depth` layers do not have those, or not so many, as are asked for."""
    if not isinstance(layers, Choice):
        plan_expansion(depth, layers, option="--layers")
    elif not 1 <= layers.k <= depth:
        raise InputError(f"--k: {layers.k}; expected 1 to {depth}, the model's number of layers")


def _depth(folder: Path, base: _Base) -> int:
    """The base's number of layers, from its configuration alone."""
    check_folder(folder, "--model")
    check_json(folder, ["config.json", "tokenizer.json", "tokenizer_config.json"], "--model")  # what is copied, too
    config = text_config(read_config(folder, base.trust_remote_code))
    depth = getattr(config, "num_hidden_layers", None)
    if not isinstance(depth, int) or depth < 1:
        raise InputError(f"--model: the configuration of {base.source} does not say how many decoder layers it has")
    return depth


def _choose(base: _Base, layers: Sequence[int] | Choice, depth: int) -> _Chosen:
    if not isinstance(layers, Choice):
        return _Chosen(layers, {"select": "given"})
    loaded = []

    def load() -> tuple[Any, Any]:
        tokenizer = base.tokenizer()
        loaded.append(base.model())
        return loaded[0], tokenizer

    chosen, account = layers.choose(depth, load)
    plan_expansion(depth, chosen, option="--layers")
    return _Chosen(chosen, account, loaded[0] if loaded else None)


def _by_logits(
    base: _Base, chosen: _Chosen, temporary: Path, folder: Path, beside: Beside
) -> tuple[Expansion, dict[str, Any]]:
    """Where the copies are, and the certificate."""
    model = chosen.model if chosen.model is not None else base.model()
    tokens = probe_tokens(model, batch=2, length=16)
    before = reference(model, tokens)
    expansion = expand(model, chosen.layers, option="--layers")
    with quiet_transformers():
        model.save_pretrained(temporary)
    trust = base.trust_remote_code
    copy_files(folder, temporary, trust)
    write_beside(temporary, beside, expansion)
    certificate = certify_expansion(before, model, expansion, tokens, reload=temporary, trust_remote_code=trust)
    return expansion, certificate


def _check_options(base: _Base, certify: str) -> None:
    if certify not in CERTIFY:
        raise unknown_name("--certify", "certificate", certify, CERTIFY)
    if base.dtype not in DTYPES:
        raise unknown_name("--dtype", "dtype", base.dtype, DTYPES)
    if certify == "tensors":
        for option, value, expected in (("--dtype", base.dtype, "auto"), ("--device", base.device, "cpu")):
            if value != expected:
                raise InputError(
                    f"{option}: {value}; expected {expected} with --certify tensors, which converts nothing"
                )


def _quantised(folder: Path, base: _Base, certify: str, layers: Sequence[int] | Choice) -> str | None:
    """The method by which the base is quantised, where going from file to file may carry it over; None: it is not.

    Raises InputError for a method that packs weights, and where the model would have to be loaded.
    """
    config = stored_config(folder)
    method = quant_method(config)
    loads = certify == "logits" or (base.dtype, base.device) != ("auto", "cpu")
    loads = loads or (isinstance(layers, Choice) and layers.needs_model)
    if method is not None and (loads or method not in CARRIED):
        refuse_quantised(config, base.source, "--model")
    return method


def _kind(base: _Base, certify: str, stored: Checkpoint, needs_model: bool) -> tuple[str, str]:
    """The kind of certificate, and why it is this one."""
    if certify != "auto":
        return certify, "as asked for"
    if (base.dtype, base.device) != ("auto", "cpu"):
        return "logits", "which --dtype and --device need"
    size = f"weights of {stored.size / 2**20:.0f} MiB"
    if stored.size <= SMALL:
        return "logits", f"{size} are loaded whole"
    if needs_model and _fits(stored):
        return "logits", f"{size}, which choosing the layers loads anyway"
    return "tensors", f"{size} are expanded layer by layer"


def _fits(stored: Checkpoint) -> bool:
    """Whether the whole path's memory is available."""
    import psutil

    return HELD * stored.size <= psutil.virtual_memory().available


def _card(source: str, expansion: Expansion, selection: dict[str, Any]) -> str:
    pairs = ", ".join(
        f"{copy} (copy of {base})" for base, copy in zip(expansion.sources, expansion.copies, strict=True)
    )
    front = f"base_model: {source}\n" if on_hub_only(source) else ""
    return f"""---
library_name: transformers
pipeline_tag: text-generation
{front}tags: [adept-bench, layer-expansion]
---

# {Path(source).name}, expanded by {len(expansion.copies)} layers

`adept-bench expand` (version {__version__}) inserted copies of decoder layers into `{source}`
({expansion.base_layers} layers, selection: {selection.get("select", "given")}). What each copy adds to the residual
stream is zero, so the model computes what its base computes until the copies are trained; `expansion.json` holds the
certificate. Layers are numbered from 0.

- Copies, to be trained while everything else stays frozen: layers {pairs}.
- Load it with plain transformers: `AutoModelForCausalLM.from_pretrained(DIR)`.
- The licence of the base model applies.
"""
