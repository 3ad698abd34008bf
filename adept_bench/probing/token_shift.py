"""How far an adapted model's first choices are from its base's, position by position.

The rank of the adapted model's first choice among the base's tokens: 1 unshifted, 2 or 3 marginal, beyond shifted, as
in the analyses of URIAL (arXiv 2312.01552) and LLaMA-Pro (arXiv 2401.02415). URIAL reads positions of text that the
adapted model writes; here, as in a continued pretraining, they are those of given text, every token predicted from
those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adept_bench.errors import InputError
from adept_bench.probing.loss import NotFiniteError, by_length, check_documents, make_batch
from adept_bench.probing.undisturbed import first_device, undisturbed

MARGINAL = 3  # the last rank that is not shifted
METASPACE = "\u2581"  # how SentencePiece writes the space before a word, which decoding one piece loses


def token_shift(
    base: nn.Module,
    adapted: nn.Module,
    tokenizer: Any,
    documents: Sequence[Sequence[int]],
    *,
    batch_size: int,
    top: int = 20,
) -> dict[str, Any]:
    """The fields of `results.schema.TokenShift` but the corpus: `shift_of` the base and `first_choices` of the adapted.

    With both models in memory; call the two in turn where only one fits.
    """
    choices = first_choices(adapted, documents, batch_size=batch_size)
    return shift_of(base, choices, tokenizer, documents, batch_size=batch_size, top=top)


def first_choices(model: nn.Module, documents: Sequence[Sequence[int]], *, batch_size: int) -> list[list[int]]:
    """The id of the token most likely to come next after each token but the last of each document, in the order given.

    documents: token ids, at least 2 each. Of equal logits, the lowest id.
    Raises InputError for an unusable corpus, NotFiniteError for logits that are not numbers.
    """
    check_documents(documents)
    choices: list[list[int]] = [[] for _ in documents]

    def choose(index: int, logits: Tensor) -> None:
        choices[index] = logits.argmax(dim=-1).tolist()

    _each_document(model, documents, batch_size, choose)
    return choices


def shift_of(
    base: nn.Module,
    choices: Sequence[Sequence[int]],
    tokenizer: Any,
    documents: Sequence[Sequence[int]],
    *,
    batch_size: int,
    top: int = 20,
) -> dict[str, Any]:
    """The fields of `results.schema.TokenShift` but the corpus, from an adapted model's `first_choices`.

    A choice's rank is 1 + the number of tokens whose logit in the base is strictly higher, so a tie with the base's
    own first choice is rank 1. Use the batch size of `first_choices`: with other batches, rounding may part logits
    that are equal. `tokens`: the `top` tokens most often shifted, then by id; those never shifted are left out.
    Counts stay on the base's device; beside them only one batch's logits are held.
    Raises InputError for an unusable corpus or choices that do not belong to it or to the base's vocabulary,
    NotFiniteError for logits that are not numbers.
    """
    check_documents(documents)
    _check_choices(choices, documents)
    if top < 0:
        raise InputError(f"top: {top}; expected at least 0")
    counts = _Counts()

    def count(index: int, logits: Tensor) -> None:
        _check_ids(choices[index], logits.shape[-1], index)
        counts.add(torch.tensor(choices[index], device=logits.device), logits)

    _each_document(base, documents, batch_size, count)
    unshifted, marginal, shifted = counts.ranks.tolist()
    return {
        "positions": unshifted + marginal + shifted,
        "unshifted": unshifted,
        "marginal": marginal,
        "shifted": shifted,
        "tokens": _most_shifted(counts, tokenizer, top),
    }


class _Counts:
    """ranks: positions that are unshifted, marginal, shifted. positions and shifted: a count a token of those it is
    chosen at, and of these the shifted. All int64 on the device of the first logits."""

    def __init__(self) -> None:
        self.ranks = torch.zeros(3, dtype=torch.long)
        self.positions = self.shifted = torch.zeros(0, dtype=torch.long)

    def add(self, chosen: Tensor, logits: Tensor) -> None:
        """Positions with their chosen tokens [T] and the base's logits [T, vocabulary]."""
        vocabulary = logits.shape[-1]
        if not len(self.positions):
            self.ranks = self.ranks.to(logits.device)
            self.positions = torch.zeros(vocabulary, dtype=torch.long, device=logits.device)
            self.shifted = self.positions.clone()
        higher = (logits > logits.gather(1, chosen[:, None])).sum(dim=-1)
        beyond = higher >= MARGINAL
        self.ranks += torch.stack([(higher == 0).sum(), ((higher > 0) & ~beyond).sum(), beyond.sum()])
        self.positions += torch.bincount(chosen, minlength=vocabulary)
        self.shifted += torch.bincount(chosen[beyond], minlength=vocabulary)


def _each_document(
    model: nn.Module, documents: Sequence[Sequence[int]], batch_size: int, visit: Callable[[int, Tensor], None]
) -> None:
    """`visit(index, logits)` for each document, the longest first: [its tokens - 1, vocabulary], after each but the
    last. A batch's logits are gone before the next batch's are made."""
    device = first_device(model)
    with undisturbed(model), torch.no_grad():
        for indices in by_length(documents, batch_size):
            batch = make_batch([documents[index] for index in indices], device)
            logits = model(input_ids=batch.ids, use_cache=False).logits
            for row, index in enumerate(indices):
                visit(index, _checked(logits[row, : batch.lengths[row] - 1], index))
            del logits


def _checked(logits: Tensor, index: int) -> Tensor:
    # a token that is ruled out may have -inf; the highest logit passes on a nan
    if not logits.amax(dim=-1).isfinite().all():
        raise NotFiniteError(f"the model's logits on document {index} are not finite; expected finite numbers")
    return logits


def _check_choices(choices: Sequence[Sequence[int]], documents: Sequence[Sequence[int]]) -> None:
    if len(choices) != len(documents):
        raise InputError(f"token shift: choices for {len(choices)} documents; expected {len(documents)}")
    for number, (chosen, document) in enumerate(zip(choices, documents)):
        if len(chosen) != len(document) - 1:
            raise InputError(
                f"token shift: {len(chosen)} choices for document {number} of {len(document)} tokens; "
                f"expected {len(document) - 1}"
            )


def _check_ids(chosen: Sequence[int], vocabulary: int, index: int) -> None:
    for token in (min(chosen), max(chosen)):
        if not 0 <= token < vocabulary:
            raise InputError(
                f"token shift: token {token} is chosen in document {index}; expected 0 to {vocabulary - 1}, "
                "the base's vocabulary"
            )


def _most_shifted(counts: _Counts, tokenizer: Any, top: int) -> list[dict[str, Any]]:
    positions, shifted = counts.positions.tolist(), counts.shifted.tolist()
    order = sorted((token for token, count in enumerate(shifted) if count), key=lambda token: (-shifted[token], token))
    return [
        {"token": _text(tokenizer, token), "shifted": shifted[token], "positions": positions[token]}
        for token in order[:top]
    ]


def _text(tokenizer: Any, token: int) -> str:
    """A token as read, with the space before it. A piece of a character and an id without a token cannot be read alone:
    they go by the tokenizer's name for them and by their number."""
    piece = tokenizer.convert_ids_to_tokens(token) if token < len(tokenizer) else None
    if piece is None:
        return f"<{token}>"
    text = tokenizer.decode([token])
    if "\ufffd" in text or not text:
        return str(piece)
    return f" {text}" if str(piece).startswith(METASPACE) and not text.startswith(" ") else text
