"""Packed documents against each document by itself: losses, gradients, whole trainings, and who is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from builders import scattered
from families import COMMON, FAMILIES
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import flash_attention_mask

from adept_bench.corpora.packing import PackedDataset
from adept_bench.errors import InputError
from adept_bench.probing import blockwise
from adept_bench.training import documents
from adept_bench.training.documents import within_documents
from adept_bench.training.trainer import train

IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
PIECES = [[5, 11, 1, 15], [12, 20]]  # tokens of two sequences' documents; longer than the families' windows of 8
BOTH = ("llama", "qwen3", "mistral", "gemma3", "gpt2", "mixtral", "opt", "falcon")
CASES = [(name, attention) for name in BOTH for attention in ("sdpa", "eager")]
CASES += [("gemma2", "eager"), ("gpt-neo", "eager"), ("gpt-oss", "eager")]  # which have no sdpa


def build(name, attention=None, **changes):
    family, sizes = FAMILIES[name]
    return scattered(family, attention=attention, **{**COMMON, **IDS, **sizes, **changes})


def packed():
    """A batch of two sequences, and the documents in it."""
    generator = torch.Generator().manual_seed(0)
    rows = [[torch.randint(96, (size,), generator=generator) for size in sizes] for sizes in PIECES]
    ids = torch.stack([torch.cat(row) for row in rows])
    positions = torch.stack([torch.cat([torch.arange(len(piece)) for piece in row]) for row in rows])
    labels = ids.masked_fill(positions == 0, -100)
    return {"input_ids": ids, "position_ids": positions, "labels": labels}, [piece for row in rows for piece in row]


def token_losses(logits, labels):
    """Of each token that has a label, in order."""
    losses = cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="none")
    return losses[labels[:, 1:] != -100]


def alone(model, pieces):
    return torch.cat([token_losses(model(piece[None], use_cache=False).logits, piece[None]) for piece in pieces])


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_every_loss_is_that_of_the_document_by_itself(tiny, name, attention):
    model = build(name, attention)
    told = within_documents(model, tiny.training(1))
    batch, pieces = packed()
    with torch.no_grad():
        expected = alone(model, pieces)
        ours = token_losses(model(**told(batch)).logits, batch["labels"])
        blocks = token_losses(model(batch["input_ids"], use_cache=False).logits, batch["labels"])
    assert len(ours) == sum(size - 1 for sizes in PIECES for size in sizes)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (blocks - expected).abs().max() > 0.1
    assert not model.training


def test_gradients_are_those_of_the_documents_one_by_one(tiny):
    model = build("gemma3", "sdpa")
    batch, pieces = packed()
    model(**within_documents(model, tiny.training(1))(batch)).loss.backward()
    ours = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    alone(model, pieces).mean().backward()
    for one, other in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-6)


def varlen(module, query, key, value, attention_mask, scaling=None, **told):
    """Causal attention within the documents of a whole batch, as flash attention's kernels are told of them."""
    edges = told.get("cu_seq_lens_q")
    spans = [slice(None)] if edges is None else [slice(start, stop) for start, stop in pairwise(edges)]
    assert edges is None or told["max_length_k"] == edges.diff().max()
    flat = [t.transpose(0, 1).flatten(1, 2) if edges is not None else t for t in (query, key, value)]
    parts = [
        scaled_dot_product_attention(*(t[..., span, :] for t in flat), is_causal=True, scale=scaling, enable_gqa=True)
        for span in spans
    ]
    found = torch.cat(parts, dim=-2)
    found = found if edges is None else found.unflatten(1, (query.shape[0], -1)).transpose(0, 1)
    return found.transpose(1, 2), None


@pytest.mark.parametrize("name", ["llama", "gpt-oss"])
def test_flash_attention_is_told_where_documents_begin(tiny, name):
    """No kernel of it runs here: a plain attention that is called as they are stands in."""
    AttentionInterface.register("flash_written_out", varlen)
    AttentionMaskInterface.register("flash_written_out", flash_attention_mask)
    model = build(name, "eager")
    model.config._attn_implementation = "flash_written_out"
    batch, pieces = packed()
    told = within_documents(model, tiny.training(1))
    with torch.no_grad():
        ours = token_losses(model(**told(batch)).logits, batch["labels"])
        torch.testing.assert_close(ours, alone(model, pieces), rtol=0, atol=1e-5)


def data(tiny, training):
    """Packed documents, a third of them replayed."""
    total = training.steps * training.batch_size * training.accumulation
    return PackedDataset(
        [text[: 2 + place**2 % 37] for place, text in enumerate(tiny.documents(30, 40, seed=5))],
        general=tiny.documents(9, 7, seed=6),
        replay_share=1 / 3,
        length=training.length,
        total=total,
        seed=0,
        apart=True,
    )


@pytest.mark.parametrize("changes", [{}, {"accumulation": 3, "gradient_checkpointing": True}])
def test_training_begins_at_the_mean_loss_of_all_predictions(tiny, monkeypatch, changes):
    """Batches of a step have unequal numbers of them; with the loss in blocks too."""
    training = tiny.training(4, packing="documents", **changes)
    curves = []
    for large in (blockwise.LARGE, 0):
        monkeypatch.setattr(blockwise, "LARGE", large)
        model, dataset = tiny.model(), data(tiny, training)
        sequences = [dataset[index] for index in range(training.batch_size * training.accumulation)]
        losses = []
        for item in sequences:
            starts = (item["position_ids"] == 0).nonzero().flatten().tolist()
            pieces = item["input_ids"].tensor_split(starts[1:])
            with torch.no_grad():
                losses.append(alone(model, pieces))
        assert len({len(each) for each in losses}) > 1
        record = train(model, dataset, training=training, learning_rate=0.01)
        curves.append([point["loss"] for point in record.curve])
        assert curves[-1][0] == pytest.approx(float(torch.cat(losses).mean()), abs=1e-5)
        assert record.tokens == 4 * training.tokens_per_step
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


@pytest.mark.parametrize("name", ["mamba", "bloom"])
def test_a_family_that_looks_across_documents_is_refused_by_name(tiny, name):
    model, training = build(name), tiny.training(1, packing="documents")
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(
        InputError, match=rf"training.packing: documents .* {name} \({type(model).__name__}\)"
    ) as caught:
        train(model, data(tiny, training), training=training, learning_rate=1.0)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_sequences_without_positions_are_an_error(tiny):
    training = tiny.training(2)
    total = training.steps * training.batch_size
    blocks = PackedDataset(tiny.documents(), length=training.length, total=total, seed=0)
    with pytest.raises(ValueError, match="position_ids"):
        train(tiny.model(), blocks, training=tiny.training(2, packing="documents"), learning_rate=0.01)


def test_a_window_that_the_proof_cannot_see_is_not_given_up(tiny):
    """OPT reads finished masks alone; were it to have a window, which of its layers have it nobody says."""
    model = build("opt")
    model.config.sliding_window = 4096
    with pytest.raises(InputError, match="opt"):
        within_documents(model, tiny.training(1))
    assert documents._masks_are_known(build("gpt-oss", "eager"))


def test_a_loss_that_cannot_be_told_of_a_steps_predictions_is_refused_in_several_batches(tiny):
    model = build("llama")
    model.accepts_loss_kwargs = False
    within_documents(model, tiny.training(1))
    with pytest.raises(InputError, match=r"llama \(LlamaForCausalLM\) in 2 batches a step"):
        within_documents(model, tiny.training(1, accumulation=2))
