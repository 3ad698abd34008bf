"""GGUF files in: converted once, by transformers' reader, to a float32 folder in the cache that is kept under the hash
of the file's content. From there on it is a model folder like any other."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from adept_bench import __version__
from adept_bench.corpora.identity import known_file_hash
from adept_bench.errors import InputError
from adept_bench.files import (
    DamagedFileError,
    cache_root,
    content_hash,
    locked,
    log_aside,
    not_written,
    read_sealed,
    write_sealed,
)
from adept_bench.hub import reason
from adept_bench.models.ggufheader import Header, read_header
from adept_bench.models.splitting import split_as_trained
from adept_bench.progress import reporter
from adept_bench.quiet import quiet_transformers
from adept_bench.recorded import check_recorded, recorded
from adept_bench.shortage import LOADING, is_shortage, shortage

CONVERSION = 1  # to be raised where the same file comes to be converted to other numbers or another tokenizer
_MODEL, _RECORD = "model", "origin.json"


def conversion(sha256: str) -> Path:
    """Where the folder that the file of this hash is converted to is, or will be."""
    return cache_root() / "gguf" / f"{sha256}-{CONVERSION}" / _MODEL


def is_converted(sha256: str) -> bool:
    """Whether it is there, whole: by the sizes of its files, since hashing tens of gigabytes takes minutes."""
    place = conversion(sha256).parent
    try:
        return place.is_dir() and bool(_checked(place))
    except (OSError, DamagedFileError):
        return False


def _checked(place: Path) -> dict[str, Any]:
    """The record of a conversion. Raises DamagedFileError where it or the folder is not what was written."""
    record = read_sealed(place / _RECORD)
    if not isinstance(record.get("gguf"), dict) or f"{record['gguf'].get('sha256')}-{CONVERSION}" != place.name:
        raise DamagedFileError(f"{_RECORD} is not of the file that the folder is named by")
    check_recorded(place / _MODEL, record.get("files", {}), hashed=False)
    return record


def _put_aside(place: Path) -> None:
    """Make way for a conversion where there is a damaged one."""
    try:
        if place.exists():
            _checked(place)
    except (OSError, DamagedFileError) as why:
        log_aside(place, f"{place}: damaged: {why}", "the file is converted again")


def origin(folder: Path) -> dict[str, Any]:
    """What is recorded of the file that `folder` was converted from: sha256, quantisation, tensors, architecture.

    Empty for a folder that was not made here, a copy of one that was among them: who copies may change.
    """
    if folder.name != _MODEL or folder.resolve().parent.parent != (cache_root() / "gguf").resolve():
        return {}
    try:
        return dict(_checked(folder.resolve().parent)["gguf"])
    except (OSError, DamagedFileError):
        return {}


def identity(found: dict[str, Any]) -> str:
    """What identifies the model of this `origin`: the file and the way it is converted, not the versions of libraries
    that wrote the folder."""
    return content_hash({"gguf": found["sha256"], "conversion": CONVERSION})


def converted(file: Path, option: str = "--model") -> Path:
    """The model folder that the GGUF `file` is converted to, made now where it is not there yet.

    Raises InputError, naming `option`, for a file that is damaged, not GGUF, of a family or with a tokenizer that is
    not read, or that the reader would read only in part, and where the folder cannot be written; nothing of it is left
    then. OutOfMemory where its numbers do not fit.
    """
    sha256 = known_file_hash(file)
    folder = conversion(sha256)
    if is_converted(sha256):
        return folder
    header = read_header(file, option)
    _check_family(header, file, option)
    place = folder.parent
    needed = 4 * sum(header.elements.values())
    try:
        with locked(place):
            if is_converted(sha256):  # by another process, meanwhile
                return folder
            _put_aside(place)
            _check_room(place.parent, needed)
            reporter().log(
                f"{file}: {header.quantisation} GGUF, converted to float32 once: {needed / 2**30:.1f} GiB in {place}"
            )
            with _new(place) as temporary:
                _convert(file, header, temporary / _MODEL, option)
                files = recorded(temporary / _MODEL, _RECORD)
                write_sealed(temporary / _RECORD, {**_record(sha256, header), "files": files})
    except OSError as error:
        raise InputError(
            f"{option}: {file}: its float32 folder of {needed / 2**30:.1f} GiB cannot be written to {place.parent}: "
            f"{error.strerror or error}; $ADEPT_BENCH_CACHE names another place"
        ) from error
    return folder


def read_config(file: Path, option: str = "--model") -> Any:
    """The configuration of the model in the GGUF `file`, without its weights. Raises InputError as `converted` does."""
    from transformers import AutoConfig

    header = read_header(file, option)
    _check_family(header, file, option)
    with _readable(file, option), _alone(file) as folder:
        config: Any = AutoConfig.from_pretrained(folder, gguf_file="model.gguf", local_files_only=True)
    _check_scaling(config, header, file, option)
    return config


def _record(sha256: str, header: Header) -> dict[str, Any]:
    from importlib.metadata import version

    found = {
        "sha256": sha256,
        "quantisation": header.quantisation,
        "tensors": dict(sorted(Counter(header.types.values()).items())),
        "architecture": header.architecture,
        "name": header.facts.get("general.name"),
        "license": header.facts.get("general.license"),
    }
    made = {name: version(name) for name in ("transformers", "tokenizers", "gguf")}
    return {"gguf": found, "conversion": CONVERSION, "made_with": made | {"adept_bench": __version__}}


def _check_family(header: Header, file: Path, option: str) -> None:
    """Raise InputError, with what is known, for a family that the reader does not know."""
    try:
        from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES as KNOWN
    except ImportError:  # another version keeps it elsewhere; its own error will do
        return
    try:
        from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
    except ImportError:
        GGUF_CONFIG_ARCHS = {}
    known = sorted({*KNOWN, *GGUF_CONFIG_ARCHS} - {"general", "tokenizer"})
    if header.facts.get("split.count", 1) > 1:
        raise InputError(
            f"{option}: {file} is one of {header.facts['split.count']} parts of a model; expected a whole one: "
            "llama-gguf-split --merge joins them"
        )
    if _plain(header.architecture) not in map(_plain, known):
        raise InputError(
            f"{option}: {file} is of the family {header.architecture!r}, which transformers' GGUF reader does not "
            f"know; it knows {', '.join(known)}"
        )


def _plain(name: str) -> str:
    """Without what GGUF's and transformers' names of a family differ in."""
    return name.replace("-", "").replace("_", "").lower()


def _check_scaling(config: Any, header: Header, file: Path, option: str) -> None:
    """Raise InputError where the file stretches its rotary positions and the configuration that was read does not."""
    kind = header.facts.get(f"{header.architecture}.rope.scaling.type", "none")
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    if kind != "none" and rope.get("rope_type", "default") == "default":
        raise InputError(
            f"{option}: {file} scales its rotary positions ({kind}), which transformers' GGUF reader leaves out: the "
            "model would be another; expected the original checkpoint's folder or Hub id"
        )


def _check_room(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _new(place: Path) -> Iterator[Path]:
    """A folder that becomes `place`, whole, when the block ends well; else it vanishes. To be used under its lock."""
    for left in place.parent.glob(f".{place.name}.*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        yield temporary
        # what mkdtemp and safetensors make is private; a cache that users share is as readable as their other files
        umask = os.umask(0)
        os.umask(umask)
        for made in (temporary, *temporary.rglob("*")):
            made.chmod((0o777 if made.is_dir() else 0o666) & ~umask)
        os.replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _alone(file: Path) -> Iterator[str]:
    """A folder that holds `file` as model.gguf and nothing else: of what lies beside it (a tokenizer, a configuration)
    transformers would take parts."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(file.resolve(), Path(folder) / "model.gguf")
        yield folder


@contextmanager
def _readable(file: Path, option: str) -> Iterator[None]:
    """One line for what transformers says against `file`, and none of its bars."""
    try:
        with quiet_transformers(), redirect_stderr(io.StringIO()):
            yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not one that transformers words
            raise
        if is_shortage(error):
            raise shortage(f"converting {file}", LOADING, error) from error
        if why := not_written(error):
            raise OSError(errno.ENOSPC, why) from error
        raise InputError(f"{option}: transformers cannot read {file}: {reason(error)}") from error


def _convert(file: Path, header: Header, folder: Path, option: str) -> None:
    """Write model, configuration and tokenizer to `folder`. No random number that a run would use is drawn."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _readable(file, option), _alone(file) as source, torch.random.fork_rng(devices=[]):
        # what it reads before the weights, and refuses, comes first
        if "tokenizer.ggml.model" in header.facts:
            tokenizer: Any = AutoTokenizer.from_pretrained(source, gguf_file="model.gguf", local_files_only=True)
            split_as_trained(tokenizer, header.facts, file, option)
            tokenizer.save_pretrained(folder)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            gguf_file="model.gguf",
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            **_unpacked(),
        )
        model, info = loaded
        _check_scaling(model.config, header, file, option)
        _check_complete(model, info, header, file, option)
        _without_quantisation(model).save_pretrained(folder)


def _unpacked() -> dict[str, Any]:
    """Newer versions keep some families' weights packed, where they have the kernels, unless told not to."""
    try:
        from transformers import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def _check_complete(model: Any, info: dict[str, Any], header: Header, file: Path, option: str) -> None:
    """Raise InputError unless every weight of the model is in the file, and every number of the file in the model."""
    if missing := sorted(info["missing_keys"]):
        raise InputError(f"{option}: {file} lacks {len(missing)} weights, first {missing[0]}")
    stored = dict(header.elements)
    if model.config.get_text_config().tie_word_embeddings:
        stored.pop("output.weight", None)  # a second copy of the embedding
    held = sum(tensor.numel() for tensor in model.parameters())
    if held != sum(stored.values()):
        scaled = [name for name in stored if name.startswith("rope_")]
        what = f", {scaled[0]} (scaled rotary positions) for one" if scaled else ""
        raise InputError(
            f"{option}: {file} holds {sum(stored.values()):,} numbers, and transformers' GGUF reader makes a model of "
            f"{held:,}{what}: the model would be another; expected the original checkpoint's folder or Hub id"
        )


def _without_quantisation(model: Any) -> Any:
    """The same weights in a model that knows nothing of the file: what the reader returns refuses to be saved."""
    import copy

    import torch

    config = copy.deepcopy(model.config)
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    with torch.device("meta"):
        plain = type(model)(config)
    plain.to(dtype=torch.float32).load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain
