"""Prompts and answers as token ids, of any tokenizer: the definition is in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from adept_bench.corpora.specials import frame_of

REMEMBERED = 1 << 25  # characters of text whose tokens are kept, a tokenizer


class _Encoded:
    """Tokens of texts that were encoded before. An item's context comes once a choice, and all of a suite's cells are
    asked the same items: encoding them anew took two fifths of an evaluation of the lab."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], tuple[int, ...]] = {}
        self.room = REMEMBERED

    def of(self, key: tuple[Any, ...], text: str, encode: Callable[[], list[int]]) -> list[int]:
        """`encode()`, or what it gave for this key and text before; the list is the caller's own."""
        found = self.known.get((text, *key))
        if found is None:
            found = tuple(encode())
            if len(text) <= self.room:
                self.room -= len(text)
                self.known[(text, *key)] = found
        return list(found)


_encoded: WeakKeyDictionary[Any, _Encoded] = WeakKeyDictionary()


@dataclass(frozen=True)
class Pair:
    """Token ids of a context, never empty, and of the answer to it; `joined`: whether a token spans the join."""

    context: list[int]
    answer: list[int]
    joined: bool = False


class Encoder:
    """Token ids of prompts and answers as `tokenizer` makes them, with its special tokens in front and none behind.

    `prefix`: the token that stands before an answer to nothing.
    """

    def __init__(self, tokenizer: Any, prefix: int) -> None:
        self.tokenizer, self.prefix = tokenizer, prefix
        self.frame = frame_of(tokenizer)
        self._tokens = _encoded.setdefault(tokenizer, _Encoded())

    def bare(self, text: str) -> list[int]:
        """`text` without any token that it does not hold itself."""
        # a tokenizer that was given further tokens, or told to split special ones, encodes otherwise
        key = (len(self.tokenizer), getattr(self.tokenizer, "split_special_tokens", None))
        return self._tokens.of(key, text, lambda: self.tokenizer.encode(text, add_special_tokens=False))

    def prompt(self, text: str) -> list[int]:
        """`text` behind what the tokenizer puts before it (a BOS), once where the text begins with it."""
        return self.frame.opened(self.bare(text))

    def rolling(self, text: str) -> list[int]:
        """`text` without the BOS that it may begin with: what is predicted from the prefix token on."""
        ids = self.bare(text)
        return ids[1:] if ids[:1] == [self.prefix] else ids

    def pair(self, context: str, answer: str) -> Pair:
        """Context and answer, encoded as one text and cut where their tokens part (docs/benchmarks.md)."""
        kept = context.rstrip()
        text = context + answer
        whole, own = self.prompt(text), self.prompt(kept)
        cut = _shared(whole, own)
        if cut and cut == len(own) and self._unknown_across(whole, cut, text, len(kept)):
            cut -= 1
        joined = cut < len(own)
        if cut == 0:  # no token is the context's alone
            if whole[:1] != [self.prefix]:
                whole = [self.prefix, *whole]
            cut = 1
        return Pair(whole[:cut], whole[cut:], joined)

    def _unknown_across(self, whole: list[int], cut: int, text: str, join: int) -> bool:
        """Whether the context's last token is unknown and holds the answer's first characters as well: the one case
        where a token spans the join and is the same id without the answer."""
        if whole[cut - 1] != self.tokenizer.unk_token_id or cut <= len(self.frame.before):
            return False
        if not getattr(self.tokenizer, "is_fast", False):
            return cut == len(whole) and bool(text[join:].strip())
        found = self.tokenizer(text, add_special_tokens=False)
        place = found.char_to_token(join)
        return place is not None and place < cut - (len(whole) - len(found["input_ids"]))


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = 0
    for mine, theirs in zip(one, other):
        if mine != theirs:
            break
        count += 1
    return count
