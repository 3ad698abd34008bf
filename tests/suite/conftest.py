"""The arguments that make a run of the tiny model and texts."""

import pytest


@pytest.fixture
def arguments(tiny_model, texts, tmp_path):
    """Arguments of `adept-bench run` on the tiny model and texts: 8 steps, held-out losses as the measure."""
    domain, general = texts
    settings = {
        "data.domain": domain,
        "data.general": general,
        "data.probe_documents": 6,
        "data.heldout_documents": 8,
        "training.tokens": 8 * 2 * 32,
        "training.length": 32,
        "training.batch_size": 2,
        "training.save_every": 2,
        "training.log_every": 1,
        "options.k": 2,
        "options.refresh_every": 3,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return ["run", "--suite", "medical", "--model", str(tiny_model), "--results", str(tmp_path / "results"), *sets]
