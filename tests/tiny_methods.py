"""Methods on the tiny model, for tests of their training."""

import torch

from adept_bench.corpora.packing import PackedDataset
from adept_bench.methods.base import prepare
from adept_bench.methods.registry import get


def made(tiny, name, training, *, dtype=torch.float32, **changes):
    """A method made ready on the tiny model: (model, names of what trains, rates, packed text, probe documents)."""
    options = tiny.options(**{"k": 2, "refresh_every": 3, **changes})
    model, documents = tiny.model().to(dtype), tiny.documents()
    context = tiny.context(model, options, documents)
    method = get(name, options)
    edit, names = prepare(method, model, context)
    rates = method.rates.bind(edit, context, names, {"general": documents})
    total = training.steps * training.batch_size * training.accumulation
    dataset = PackedDataset(tiny.documents(30, 40, seed=5), length=training.length, total=total, seed=0)
    return edit.model, names, rates, dataset, documents
