"""Token shift against sorted logits of one document at a time, and tables of logits ranked by hand."""

from __future__ import annotations

import copy
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from builders import ROTARY, documents, scattered
from torch import nn

from adept_bench.errors import InputError
from adept_bench.lab.tokenizer import build_tokenizer
from adept_bench.models.expansion import expand
from adept_bench.probing.loss import NotFiniteError
from adept_bench.probing.token_shift import first_choices, shift_of, token_shift
from adept_bench.results.schema import TokenShift


class Letters:
    """A tokenizer whose token i is "<i>"."""

    def __len__(self):
        return 61

    def convert_ids_to_tokens(self, token):
        return f"<{token}>"

    def decode(self, tokens):
        return "".join(f"<{token}>" for token in tokens)


class Rows(nn.Module):
    """A model whose logits after token i are row i of a table."""

    def __init__(self, rows):
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.tensor(rows))

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=self.table(input_ids))


def build(family, seed=5):
    return scattered(family, seed, num_hidden_layers=3, **ROTARY)


def nudged(model, scale):
    """A copy with other weights, some of whose choices are still the first, second or third of `model`."""
    torch.manual_seed(8)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return other


@torch.no_grad()
def plainly(base, adapted, texts):
    """Ranks and choices, one document at a time, by sorting."""
    found = []
    for text in texts:
        before, after = (model(input_ids=torch.tensor([text]), use_cache=False).logits[0] for model in (base, adapted))
        for position in range(len(text) - 1):
            choice = after[position].tolist().index(max(after[position].tolist()))
            order = sorted(range(61), key=before[position].tolist().__getitem__, reverse=True)
            found.append((order.index(choice) + 1, choice))
    return found


@pytest.mark.parametrize("family", ["qwen3", "llama"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_ranks_and_tokens_are_those_of_each_document_alone(family, batch_size):
    base, texts = build(family), documents(9)
    adapted = nudged(base, 0.06)
    expected = plainly(base, adapted, texts)
    found = token_shift(base, adapted, Letters(), texts, batch_size=batch_size, top=100)
    ranks = [rank for rank, _ in expected]
    assert found["positions"] == len(ranks) == sum(len(text) - 1 for text in texts)
    assert found["unshifted"] == ranks.count(1)
    assert found["marginal"] == ranks.count(2) + ranks.count(3)
    assert found["shifted"] == sum(rank > 3 for rank in ranks)
    assert min(found["unshifted"], found["marginal"], found["shifted"]) > 5  # there is something to see
    shifted, chosen = Counter(c for rank, c in expected if rank > 3), Counter(c for _, c in expected)
    order = sorted(shifted, key=lambda token: (-shifted[token], token))
    assert found["tokens"] == [
        {"token": f"<{token}>", "shifted": shifted[token], "positions": chosen[token]} for token in order
    ]
    TokenShift(corpus="general", **found)
    few = token_shift(base, adapted, Letters(), texts, batch_size=batch_size, top=2)
    assert few["tokens"] == found["tokens"][:2]
    assert few["shifted"] == found["shifted"]


def test_choices_are_in_the_order_of_the_documents_whatever_the_batches():
    model, texts = build("qwen3"), documents(9)
    alone = [first_choices(model, [text], batch_size=1)[0] for text in texts]
    assert [len(choice) for choice in alone] == [len(text) - 1 for text in texts]
    for batch_size in (1, 4, 50):
        assert first_choices(model, texts, batch_size=batch_size) == alone


def test_one_model_at_a_time_is_the_same():
    base, texts = build("llama"), documents(9)
    adapted = nudged(base, 0.2)
    choices = first_choices(adapted, texts, batch_size=3)
    assert shift_of(base, choices, Letters(), texts, batch_size=3) == token_shift(
        base, adapted, Letters(), texts, batch_size=3
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("grown", [False, True])
def test_the_same_model_and_an_untrained_expansion_shift_nothing(grown, dtype):
    base, texts = build("qwen3").to(dtype), documents(9)
    other = copy.deepcopy(base)
    if grown:
        expand(other, [0, 2])
    found = token_shift(base, other, Letters(), texts, batch_size=4)
    positions = sum(len(text) - 1 for text in texts)
    assert found == {"positions": positions, "unshifted": positions, "marginal": 0, "shifted": 0, "tokens": []}


def test_ranks_by_hand():
    base = Rows([[5.0, 4.0, 3.0, 2.0, 1.0]] * 5)
    # after tokens 0 to 4 the adapted model prefers tokens of rank 1, 2, 3, 4, 5
    adapted = Rows([[float(column == row) for column in range(5)] for row in range(5)])
    texts = [[0, 1, 2, 3, 4, 0], [3, 0], [4, 4, 4, 2]]
    found = token_shift(base, adapted, Letters(), texts, batch_size=3)
    assert found == {
        "positions": 9,
        "unshifted": 1,
        "marginal": 2,
        "shifted": 6,
        "tokens": [
            {"token": "<4>", "shifted": 4, "positions": 4},
            {"token": "<3>", "shifted": 2, "positions": 2},
        ],
    }


def test_ties_do_not_count_against_a_token_and_those_shifted_alike_go_by_id():
    base = Rows([[1.0, 1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 0.0, 0.0]] + [[0.0] * 5] * 2)
    choices = [[4, 4, 4], [3, 2, 0]]
    found = shift_of(base, choices, Letters(), [[0, 1, 2, 0], [2, 1, 2, 0]], batch_size=1)
    assert [found[name] for name in ("unshifted", "marginal", "shifted")] == [2, 2, 2]
    assert [token["token"] for token in found["tokens"]] == ["<3>", "<4>"]
    assert [token["positions"] for token in found["tokens"]] == [1, 3]


def test_tokens_are_shown_as_read_with_their_space():
    tokenizer = build_tokenizer()
    size = len(tokenizer) + 1  # a model may have more rows than its tokenizer has tokens
    names = ["\u2581sky", "e", "<0xE4>", "<eos>"]
    wanted = [tokenizer.convert_tokens_to_ids(name) for name in names] + [size - 1]
    base = Rows([[3.0, 2.0, 1.0] + [0.0] * (size - 3)] * 2)
    found = shift_of(base, [wanted], tokenizer, [[0] * 6], batch_size=1)
    shown = {token["token"] for token in found["tokens"]}
    # the end of text is second in the base: marginal
    assert shown == {" sky", "e", "<0xE4>", f"<{size - 1}>"}
    assert found["marginal"] == 1


def test_the_models_are_left_as_they_were():
    base, adapted = build("qwen3").train(), build("llama").train()
    state = torch.get_rng_state()
    token_shift(base, adapted, Letters(), documents(9), batch_size=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for model in (base, adapted) for module in model.modules())


def test_one_batch_of_logits_at_a_time(monkeypatch):
    """Every batch's logits are freed before the next are made."""
    import weakref

    alive, model = [], build("llama")
    forward = type(model).forward

    def watched(self, *args, **kwargs):
        assert all(held() is None for held in alive)
        output = forward(self, *args, **kwargs)
        alive.append(weakref.ref(output.logits))
        return output

    monkeypatch.setattr(type(model), "forward", watched)
    token_shift(model, model, Letters(), documents(9), batch_size=2)
    assert len(alive) == 10


def test_bad_input_is_named():
    base, texts = build("llama"), [[1, 2, 3], [4, 5]]
    for choices, message in [
        ([[1, 2]], "choices for 1 documents; expected 2"),
        ([[1, 2], [3, 4]], "2 choices for document 1 of 2 tokens; expected 1"),
        ([[1, 61], [3]], "token 61 is chosen in document 0; expected 0 to 60"),
        ([[1, -1], [3]], "token -1"),
    ]:
        with pytest.raises(InputError, match=message):
            shift_of(base, choices, Letters(), texts, batch_size=2)
    with pytest.raises(InputError, match="document 0 has 1 tokens"):
        first_choices(base, [[1]], batch_size=1)
    with pytest.raises(InputError, match="--batch-size"):
        first_choices(base, texts, batch_size=0)
    with pytest.raises(InputError, match="top: -1"):
        shift_of(base, [[1, 2], [3]], Letters(), texts, batch_size=2, top=-1)
    broken = Rows([[0.0, 1.0], [float("nan"), 0.0]])
    with pytest.raises(NotFiniteError, match="document 1"):
        first_choices(broken, [[0, 0], [1, 1]], batch_size=1)
    ruled_out = Rows([[0.0, -float("inf")]])
    assert first_choices(ruled_out, [[0, 0]], batch_size=1) == [[0]]
