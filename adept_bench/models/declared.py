"""What a model's configuration says of it, read before any weight is: for refusals that come before the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adept_bench.models.anatomy import text_config
from adept_bench.models.onhub import on_hub
from adept_bench.models.places import gguf_config, local_folder
from adept_bench.models.vocabularies import refuse_special_beyond
from adept_bench.quiet import quiet_transformers


def where_from(source: str, folder: Path | None, revision: str | None, option: str) -> dict[str, Any]:
    """Arguments of from_pretrained: of a Hub id its commit, and whether the network may be asked."""
    if folder is not None:
        return {"local_files_only": True}
    found = on_hub(source, revision, option)
    return {"revision": found.commit, "local_files_only": not found.reachable}


def declared_config(
    source: str, revision: str | None = None, trust_remote_code: bool = False, option: str = "--model"
) -> Any:
    """The configuration of the model at `source` (see `places`), of a GGUF file by its header; no weights are fetched
    or converted. None where it cannot be read, which loading the model says better. Raises InputError, naming `option`,
    where there is no such place."""
    from transformers import AutoConfig

    if (config := gguf_config(source, option)) is not None:
        return config
    folder = local_folder(source, option)
    where = where_from(source, folder, revision, option)
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(str(folder or source), trust_remote_code=trust_remote_code, **where)
    except Exception:
        return None


def check_special_ids(
    source: str, revision: str | None = None, trust_remote_code: bool = False, option: str = "--model"
) -> None:
    """Raise InputError, naming file and ids, where config.json or generation_config.json has the model begin, end or
    pad with ids that it has no embedding for."""
    rows = embedding_rows(config := declared_config(source, revision, trust_remote_code, option))
    if rows is None:
        return
    usual = _usual(text_config(config))
    for part in (config, text_config(config)):
        refuse_special_beyond(part, rows, "config.json", source, option, usual)
    if gguf_config(source, option) is None:  # a GGUF file has no second configuration
        found = _generation(source, revision, option)
        refuse_special_beyond(found, rows, "generation_config.json", source, option, usual)


def _usual(config: Any) -> dict[str, Any]:
    """The family's own values; none where its configuration cannot be made without any."""
    try:
        return vars(type(config)())
    except Exception:
        return {}


def embedding_rows(config: Any) -> int | None:
    """Rows of the embedding by the configuration; None where it does not say."""
    rows = getattr(text_config(config), "vocab_size", None)
    return rows if isinstance(rows, int) and rows > 0 else None


def _generation(source: str, revision: str | None, option: str) -> Any:
    """The stored generation configuration; None where there is none to read."""
    from transformers import GenerationConfig

    folder = local_folder(source, option)
    try:
        with quiet_transformers():
            return GenerationConfig.from_pretrained(
                str(folder or source), **where_from(source, folder, revision, option)
            )
    except Exception:
        return None


def declared_layers(
    source: str, revision: str | None = None, trust_remote_code: bool = False, option: str = "--model"
) -> int | None:
    """Decoder layers by the configuration; None where it does not say. Raises InputError as `declared_config` does."""
    config = declared_config(source, revision, trust_remote_code, option)
    depth = getattr(text_config(config), "num_hidden_layers", None)
    return depth if isinstance(depth, int) and depth > 0 else None
