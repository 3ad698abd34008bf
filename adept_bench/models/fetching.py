"""A model's files on this disk: the folder itself, or what of a Hub repository an expansion needs."""

from __future__ import annotations

import json
from pathlib import Path

from adept_bench.errors import InputError
from adept_bench.models.checkpoints import local_folder
from adept_bench.models.tensorfiles import INDEX, SINGLE

_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py", "LICENSE*", "NOTICE*")


def local_files(source: str, revision: str | None = None, option: str = "--model") -> Path:
    """The folder that holds the checkpoint `source`, a folder or a Hub id; a Hub model's files are fetched once.

    Of a repository only configuration, tokenizer and the safetensors files that its index names are fetched, never
    pickled weights. Raises InputError, naming `option`.
    """
    folder = local_folder(source, option)
    if folder is not None:
        return folder
    from huggingface_hub import snapshot_download

    try:
        fetched = Path(snapshot_download(source, revision=revision, allow_patterns=[*_BESIDE, SINGLE]))
        if (fetched / INDEX).exists() and not (fetched / SINGLE).exists():
            shards = sorted(set(json.loads((fetched / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
            fetched = Path(snapshot_download(source, revision=revision, allow_patterns=[*_BESIDE, *shards]))
    except Exception as error:
        # the Hub's client raises errors of its own, of requests and of the system
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{option}: cannot fetch {source} from the Hub: {reason}") from error
    if not (fetched / SINGLE).exists() and not (fetched / INDEX).exists():
        raise InputError(
            f"{option}: {source} has no safetensors weights; pickled ones can run code when loaded: convert them where "
            "you trust them: AutoModelForCausalLM.from_pretrained(ID, use_safetensors=False).save_pretrained(DIR)"
        )
    return fetched
