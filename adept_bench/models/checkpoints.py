"""Checkpoints in, with errors a user can act on; and what identifies and sizes a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adept_bench.errors import InputError, unknown_name
from adept_bench.files import cache_root, content_hash, file_hash, write_json
from adept_bench.hub import reason
from adept_bench.models import ggufs
from adept_bench.models.anatomy import decoder_layers
from adept_bench.models.contents import ADAPTER, check_json, check_one_reading, stored_config
from adept_bench.models.declared import check_special_ids, declared_config, embedding_rows, where_from
from adept_bench.models.misfits import refuse_misfits, refuse_not_finite
from adept_bench.models.onhub import on_hub
from adept_bench.models.places import local_folder
from adept_bench.models.quantised import refuse_quantised
from adept_bench.models.tensorfiles import INDEX, SINGLE, Checkpoint, read_checkpoint
from adept_bench.models.vocabularies import refuse_ids_beyond, refuse_unusable
from adept_bench.progress import reporter
from adept_bench.quiet import quiet_transformers
from adept_bench.shortage import LOADING, is_shortage, shortage

DTYPES = ("auto", "float32", "bfloat16", "float16")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)
_REMEMBER_BYTES = 64 * 2**20  # hashes of files above this size are kept in the cache folder


def load_model(
    source: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
    option: str = "--model",
) -> Any:
    """The causal language model at `source` (see `places`), in evaluation mode on `device`.

    `dtype` "auto" keeps the checkpoint's. A local folder is never looked up on the network. Raises InputError, naming
    `option`, where the folder, its configuration or its weights are missing, damaged, pickled, quantised or not a
    causal LM, where weights do not fit the configuration (`misfits`) or are not finite, and OutOfMemory where the
    device has no room for it.
    """
    from transformers import AutoModelForCausalLM

    if dtype not in DTYPES:
        raise unknown_name("--dtype", "dtype", dtype, DTYPES)
    folder = local_folder(source, option)
    where = where_from(source, folder, revision, option)
    if folder is not None:
        check_readable(folder, source, option)
    else:
        _check_hub(source, where, option)
    check_special_ids(source, revision, trust_remote_code, option)
    arguments: dict[str, Any] = {"attn_implementation": attn_implementation} if attn_implementation else {}
    place = _place(device)
    if place.type != "cpu":
        arguments["device_map"] = {"": place}
    with _readable_errors(source, option, "a causal language model"), quiet_transformers():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder or source),
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            **where,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # to be refused in our words
            output_loading_info=True,
            **arguments,
        )
    model, info = loaded
    refuse_misfits(info, model, source, option)
    refuse_not_finite(model, source, option)
    return model.eval()


def _check_hub(source: str, where: dict[str, Any], option: str) -> None:
    """As `check_folder`, of what a Hub id's configuration and the names of its files can tell before weights load."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    config = try_to_load_from_cache(source, "config.json", revision=where["revision"])
    if isinstance(config, str):
        refuse_quantised(stored_config(Path(config).parent), source, option)
    try:
        with quiet_transformers():
            hf_hub_download(source, ADAPTER, **where)
    except Exception:  # there is none; and where the Hub does not answer, the load says so
        return
    raise InputError(
        f"{option}: {source} holds 2 models, whole weights and an adapter of another ({ADAPTER}), which would be "
        "attached to them; expected a local copy and its weights by their file: hf download ID --local-dir DIR, then "
        f"{option} DIR/{SINGLE} (or DIR/{INDEX})"
    )


def _place(device: str) -> torch.device:
    """The device with its number: of `cuda`, this process's GPU.

    transformers copies weights in threads of its own, in each of which CUDA's current device is the first one again.
    """
    try:
        place = torch.device(device)
    except RuntimeError:
        raise InputError(f"--device: {device!r} is not a device; expected cpu, cuda or cuda:N") from None
    if place.type == "cuda" and place.index is None and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return place


def load_tokenizer(
    source: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    option: str = "--model",
    ensure_pad: bool = True,
) -> Any:
    """The tokenizer at `source`. It has a pad token: its own, else end of sequence, else beginning, else token 0.

    `ensure_pad=False` leaves it as stored. Raises InputError, naming `option`, where there is none, where it is damaged
    or cannot turn text into ids and back, and where it has ids that the model beside it has no embedding for.
    """
    from transformers import AutoTokenizer

    folder = local_folder(source, option)
    if folder is not None and not has_tokenizer(folder):
        raise InputError(f"{option}: {folder} has no tokenizer (expected tokenizer.json); it holds {_listing(folder)}")
    if folder is not None:
        check_json(folder, ["tokenizer.json", "tokenizer_config.json"], option)
    where = where_from(source, folder, revision, option)
    check_special_ids(source, revision, trust_remote_code, option)
    with _readable_errors(source, option, "a tokenizer"), quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(
            str(folder or source), trust_remote_code=trust_remote_code, **where
        )
    refuse_unusable(tokenizer, source, option)
    if rows := embedding_rows(declared_config(source, revision, trust_remote_code, option)):
        refuse_ids_beyond(tokenizer, rows, source, option)
    if ensure_pad and tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def stored_tokenizer(source: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer as stored, with no padding token added; None, and a line in the log, where a folder has none.

    Raises InputError as `load_tokenizer` does for one that is damaged.
    """
    folder = local_folder(source)
    if folder is not None and not has_tokenizer(folder):
        reporter().log(f"no tokenizer is written: {folder} has none")
        return None
    return load_tokenizer(source, revision=revision, trust_remote_code=trust_remote_code, ensure_pad=False)


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).exists() for name in _TOKENIZER_FILES)


def model_hash(source: str, revision: str | None = None) -> str:
    """What identifies a model by content: a hash of a folder's configuration, weights and tokenizer files, or of a GGUF
    file and the way it is converted, or "hub:<id>@<commit>". Computed once per file version."""
    folder = local_folder(source, "--model")
    if folder is None:
        return f"hub:{source}@{on_hub(source, revision).commit}"
    if found := ggufs.origin(folder):
        return ggufs.identity(found)
    check_folder(folder, "--model")
    names = ["config.json", *_TOKENIZER_FILES]
    files = [folder / name for name in names if (folder / name).exists()] + sorted(folder.glob("*.safetensors"))
    return content_hash({path.name: _remembered_hash(path) for path in files})


def model_facts(model: nn.Module) -> dict[str, Any]:
    """Decoder layers and numbers of parameters, tied ones counted once."""
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {
        "layers": len(decoder_layers(model)[1]),
        "total_parameters": total,
        "trainable_parameters": trainable,
        "trainable_fraction": trainable / total if total else 0.0,
    }


def check_folder(folder: Path, option: str) -> None:
    """Raise InputError unless the folder holds a configuration and all its safetensors files."""
    here = f"it holds {_listing(folder)}"
    reading = check_one_reading(folder, option)
    if not (folder / "config.json").exists():
        raise InputError(f"{option}: {folder} has no config.json; {here}")
    if reading is None:
        raise InputError(f"{option}: {folder} has no weights (expected {SINGLE}); {here}")
    if reading.kind == "pickled":
        raise InputError(
            f"{option}: {folder} has only {reading.words}, which can run code when loaded; convert "
            "them where you trust them: AutoModelForCausalLM.from_pretrained(DIR, use_safetensors=False)"
            ".save_pretrained(NEW_DIR)"
        )
    if reading.kind == "sharded" and reading.named is None:
        raise InputError(f"{option}: {folder} holds {reading.words}")


def check_readable(folder: Path, source: str, option: str, quantised: bool = False) -> Checkpoint:
    """`check_folder`, that its configuration is JSON, its weights are plain (or `quantised`, if that will do), and
    its weight files whole, by their headers; what these say it holds. `source`: the folder as it was named."""
    check_folder(folder, option)
    check_json(folder, ["config.json"], option)
    if not quantised:
        refuse_quantised(stored_config(folder), source, option)
    return read_checkpoint(folder, option)


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more if names else "nothing"


@contextmanager
def _readable_errors(source: str, option: str, what: str) -> Iterator[None]:
    """One line for whatever transformers, safetensors or the Hub say against `source`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_shortage(error):
            raise shortage(f"loading {source}", LOADING, error) from error
        # transformers raises OSError, ValueError, KeyError, RuntimeError, SafetensorError, ... for bad input alike
        said = f"an entry is missing or unknown: {error}" if isinstance(error, KeyError) else reason(error)
        raise InputError(f"{option}: cannot load {what} from {source}: {said}") from error


_hashes: dict[tuple[str, int, int], str] = {}


def _remembered_hash(path: Path) -> str:
    """`file_hash`, computed once per path, time of change and size; for large files once per machine."""
    stat = os.stat(path)
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if key not in _hashes:
        memo = cache_root() / "hashes" / f"{content_hash(key)}.json"
        large = stat.st_size >= _REMEMBER_BYTES
        known = _read_memo(memo) if large else None
        _hashes[key] = known or file_hash(path)
        if large and not known:
            with suppress(OSError):  # a read-only cache folder only costs time
                write_json(memo, {"path": key[0], "sha256": _hashes[key]})
    return _hashes[key]


def _read_memo(memo: Path) -> str | None:
    try:
        value = json.loads(memo.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None
