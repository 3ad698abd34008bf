"""Stability of the ranking against loops over samples, scipy's Spearman and tables small enough to enumerate."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from builders import ROTARY, documents, scattered
from scipy.stats import spearmanr

from adept_bench.errors import InputError
from adept_bench.models import selection
from adept_bench.probing.layers import probe_layers
from adept_bench.probing.loss import document_losses
from adept_bench.probing.prefix import bypassed
from adept_bench.probing.stability import stability
from adept_bench.results.schema import Stability


def build(family):
    return scattered(family, num_hidden_layers=4, **ROTARY)


def texts(count=7):
    return documents(count, seed=1)


def table(layers=6, documents=40, spread=1.0, seed=3):
    draw = np.random.default_rng(seed)
    return (np.linspace(0.2, 1.0, layers)[:, None] + spread * draw.normal(size=(layers, documents))).tolist()


@pytest.mark.parametrize("family", ["qwen3", "llama"])
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_per_document_is_each_documents_own_difference_in_the_order_given(family, batch_size):
    model, documents = build(family), texts()
    assert [len(text) for text in documents] != sorted(map(len, documents), reverse=True)  # batches reorder them
    result = probe_layers(model, documents, batch_size=batch_size)
    base = document_losses(model, documents, batch_size=1)
    for layer in range(4):
        with bypassed(model.model.layers, layer):
            masked = document_losses(model, documents, batch_size=1)
        expected = [after - before for after, before in zip(masked, base)]
        assert result.per_document[layer] == pytest.approx(expected, abs=5e-6)
        assert np.mean(result.per_document[layer]) == pytest.approx(result.importance[layer], abs=1e-12)
    assert max(np.std(row) for row in result.per_document) > 0.01


def test_the_other_metrics_have_no_single_documents():
    assert probe_layers(build("qwen3"), texts(), metric="gradient").per_document is None


def test_the_result_is_the_schemas_block():
    block = Stability(corpus="general", **stability(table(), k=2, samples=30, size_samples=5))
    assert [size.documents for size in block.sizes] == [4, 8, 16, 32]
    assert (block.documents, block.k, block.samples) == (40, 2, 30)


def test_a_ranking_that_every_document_shares_is_certain():
    rows = [[layer + 0.001 * document for document in range(10)] for layer in (3, 0, 2, 1)]
    found = stability(rows, k=2, samples=50, sizes=(2, 10, 11), size_samples=7)
    assert found["chosen"] == [0.0, 1.0, 0.0, 1.0]
    assert found["rank_correlation"] == pytest.approx([1.0, 1.0, 1.0])
    assert [size["documents"] for size in found["sizes"]] == [2]  # 10 and 11 are no subsets
    assert found["sizes"][0]["overlap"] == [1.0] * 7
    assert found["sizes"][0]["rank_correlation"] == pytest.approx([1.0] * 7)


def test_the_bootstrap_has_the_standard_error_and_the_shares_of_one_written_as_a_loop():
    rows, loops = table(), 2000
    found = stability(rows, k=2, samples=4000, sizes=())
    draw = random.Random(9)
    means, chosen, correlation = [], np.zeros(6), []
    for _ in range(loops):
        sample = [draw.randrange(40) for _ in range(40)]
        means.append([sum(row[index] for index in sample) / 40 for row in rows])
        chosen[selection.lowest(means[-1], 2)] += 1 / loops
        correlation.append(spearmanr(means[-1], [np.mean(row) for row in rows]).statistic)
    error = np.std(rows, axis=1) / 40**0.5
    assert found["importance"] == pytest.approx(np.mean(rows, axis=1).tolist())
    assert found["low"] == pytest.approx((np.mean(rows, axis=1) - 1.96 * error).tolist(), abs=0.03)
    assert found["high"] == pytest.approx((np.mean(rows, axis=1) + 1.96 * error).tolist(), abs=0.03)
    assert found["low"] == pytest.approx(np.percentile(means, 2.5, axis=0).tolist(), abs=0.035)
    assert found["chosen"] == pytest.approx(chosen.tolist(), abs=0.04)
    assert 0.05 < chosen[2] < 0.95  # there is something to see
    expected = [np.mean(correlation), *np.percentile(correlation, [2.5, 97.5])]
    assert found["rank_correlation"] == pytest.approx(expected, abs=0.02)


def test_subsets_are_of_distinct_documents_and_all_are_drawn():
    rows = table(layers=5, documents=5)
    whole = [sum(row) / 5 for row in rows]
    expected = set()
    for subset in combinations(range(5), 2):
        means = [sum(row[index] for index in subset) / 2 for row in rows]
        common = len(set(selection.lowest(means, 3)) & set(selection.lowest(whole, 3)))
        expected.add((round(spearmanr(means, whole).statistic, 9), round(common / 3, 9)))
    size = stability(rows, k=3, samples=1, sizes=(2,), size_samples=400)["sizes"][0]
    assert size["documents"] == 2
    assert size["samples"] == len(size["overlap"]) == 400
    found = {(round(a, 9), round(b, 9)) for a, b in zip(size["rank_correlation"], size["overlap"])}
    assert found == expected
    assert len(expected) > 4


def test_ties_share_ranks_and_the_earlier_layer_is_chosen():
    rows = [[0.5, 0.3, 0.1], [0.1, 0.7, 0.3], [0.1, 0.7, 0.3], [0.1, 0.7, 0.3], [2.0, 2.0, 2.0]]
    found = stability(rows, k=1, samples=300, sizes=(1,), size_samples=60)
    assert found["chosen"][2:] == [0.0, 0.0, 0.0]
    assert 0 < found["chosen"][1] < 1
    whole = [np.mean(row) for row in rows[:1]] + [np.mean(rows[1])] * 3 + [2.0]
    values = {round(spearmanr([row[index] for row in rows], whole).statistic, 9) for index in range(3)}
    assert {round(value, 9) for value in found["sizes"][0]["rank_correlation"]} == values


def test_where_all_layers_are_equal_the_correlation_counts_as_zero():
    found = stability([[0.1, 0.3, 0.2]] * 3, k=2, samples=20, sizes=(2,), size_samples=4)
    assert found["rank_correlation"] == [0.0, 0.0, 0.0]
    assert found["chosen"] == [1.0, 1.0, 0.0]
    assert found["sizes"][0] == {"documents": 2, "samples": 4, "rank_correlation": [0.0] * 4, "overlap": [1.0] * 4}


def test_the_seed_alone_decides_what_is_drawn():
    rows = table()
    one = stability(rows, k=2, samples=40, sizes=(4, 8), size_samples=6, seed=1)
    assert stability(rows, k=2, samples=40, sizes=(8,), size_samples=6, seed=1)["sizes"][0] == one["sizes"][1]
    other = stability(rows, k=2, samples=40, sizes=(4, 8), size_samples=6, seed=2)
    assert other["low"] != one["low"]
    assert other["sizes"] != one["sizes"]


@pytest.mark.parametrize(
    ("rows", "changed", "message"),
    [
        ([], {}, "a row a layer"),
        ([[0.1, 0.2], [0.1]], {}, r"rows of \[1, 2\] documents"),
        ([[], []], {}, "length above 0"),
        ([[0.1, 0.2], [0.1, float("nan")]], {}, "layer 1, document 1: nan"),
        ([[0.1, 0.2]], {"k": 2}, "k: 2 layers; expected 1 to 1"),
        ([[0.1, 0.2]], {"samples": 0}, "samples: 0"),
        ([[0.1, 0.2]], {"sizes": (0,)}, "sizes: 0"),
        ([[0.1, 0.2]], {"seed": -1}, "seed: -1"),
    ],
)
def test_bad_input_is_named(rows, changed, message):
    with pytest.raises(InputError, match=message):
        stability(rows, **{"k": 1, **changed})
