"""A model's files on this disk: the folder itself, or what of a Hub repository an expansion needs."""

from __future__ import annotations

from pathlib import Path

from adept_bench.errors import InputError
from adept_bench.hub import reason
from adept_bench.models.onhub import OnHub, on_hub
from adept_bench.models.places import local_folder
from adept_bench.models.tensorfiles import INDEX, SINGLE, weight_map
from adept_bench.quiet import quiet_transformers

_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py", "LICENSE*", "NOTICE*")


def local_files(source: str, revision: str | None = None, option: str = "--model") -> Path:
    """The folder that holds the checkpoint `source`; a Hub model's files are fetched once.

    Of a repository only configuration, tokenizer and the safetensors files that its index names are fetched, never
    pickled weights. Raises InputError, naming `option`.
    """
    folder = local_folder(source, option)
    if folder is not None:
        return folder
    place = on_hub(source, revision, option)
    try:
        fetched = _snapshot(source, place, [*_BESIDE, SINGLE])
        if (fetched / INDEX).exists() and not (fetched / SINGLE).exists():
            shards = sorted(set(weight_map(fetched / INDEX, option).values()))
            fetched = _snapshot(source, place, [*_BESIDE, *shards])
    except InputError:
        raise
    except Exception as error:  # the Hub's client raises errors of its own, of its HTTP library and of the system
        raise InputError(f"{option}: cannot fetch {source} from the Hub: {reason(error)}") from error
    if not (fetched / SINGLE).exists() and not (fetched / INDEX).exists():
        raise InputError(
            f"{option}: {source} has no safetensors weights; pickled ones can run code when loaded: convert them where "
            "you trust them: AutoModelForCausalLM.from_pretrained(ID, use_safetensors=False).save_pretrained(DIR)"
        )
    return fetched


def _snapshot(source: str, place: OnHub, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    with quiet_transformers():  # the Hub client's bars, which know no --quiet
        only_cache = not place.reachable
        return Path(
            snapshot_download(source, revision=place.commit, allow_patterns=patterns, local_files_only=only_cache)
        )
