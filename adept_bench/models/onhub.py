"""The commit that a revision of a Hub model names: asked once a process, so that all of a model is of one commit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from adept_bench.errors import InputError
from adept_bench.hub import reason, refused, unanswered
from adept_bench.progress import reporter
from adept_bench.quiet import quiet_transformers

RESOLVE_SECONDS = 20.0  # to wait for the Hub's word on a revision


@dataclass(frozen=True)
class OnHub:
    """A model's full commit hash. `reachable`: the Hub answered; else only the cache can be read."""

    commit: str
    reachable: bool


def on_hub(source: str, revision: str | None, option: str = "--model") -> OnHub:
    """The commit that `revision` (default: main) of the Hub's model `source` names.

    Where the Hub does not answer, the one that is in its cache. Raises InputError, naming `option`, for a model or
    revision that does not exist, and for one that is not in the cache then.
    """
    return _asked(source, revision, option)


@lru_cache(maxsize=8)
def _asked(source: str, revision: str | None, option: str) -> OnHub:
    from huggingface_hub import HfApi, hf_hub_download

    named = f"{source}@{revision}" if revision else source
    try:
        HfApi().model_info(source, revision=revision, timeout=RESOLVE_SECONDS)  # at once yes, no or nothing
        # notes in the Hub's cache what the revision names, for when the Hub is out of reach
        with quiet_transformers():
            return OnHub(Path(hf_hub_download(source, "config.json", revision=revision)).parent.name, True)
    except Exception as error:  # the Hub's client raises errors of its own, of its HTTP library and of the system
        commit = None if refused(error) else _cached(source, revision)
        if commit is None:
            raise InputError(
                f"{option}: cannot read {named} from the Hub: {reason(error)}; expected a model folder or a Hub id"
            ) from error
    reporter().log(f"{unanswered()}: {named} is read from the cache, commit {commit}")
    return OnHub(commit, False)


def _cached(source: str, revision: str | None) -> str | None:
    """The commit of the configuration in the Hub's cache, if it has one at that revision."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(source, "config.json", revision=revision)
    return Path(path).parent.name if isinstance(path, str) else None
