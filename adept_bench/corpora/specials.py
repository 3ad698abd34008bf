"""Special tokens: those that a tokenizer puts around a text, and those that stand in the text itself."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from adept_bench.errors import InputError

NOWHERE = "\U0010ffff"  # a code point that is no character
SAMPLES = ("a", "0", ".")  # one that the tokenizer has a token for shows what it puts around


@dataclass(frozen=True)
class Frame:
    """Token ids that a tokenizer puts `before` and `after` every text, such as a BOS and an EOS; often none."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def once(self, ids: Sequence[int]) -> list[int]:
        """`ids` of a framed text without the half of the frame that the text itself began or ended with."""
        found, before, after = list(ids), list(self.before), list(self.after)
        if before and found[: 2 * len(before)] == before * 2:
            found = found[len(before) :]
        if after and found[-2 * len(after) :] == after * 2:
            found = found[: -len(after)]
        return found

    def opened(self, ids: Sequence[int]) -> list[int]:
        """`ids` of a bare text behind `before`, unless the text itself begins with it; nothing after."""
        before = list(self.before)
        return list(ids) if list(ids[: len(before)]) == before else [*before, *ids]


def frame_of(tokenizer: Any) -> Frame:
    """What `tokenizer` puts around a text when it is called with its own settings."""
    whole: list[int] = []
    for sample in SAMPLES:
        whole = list(tokenizer(sample)["input_ids"])
        bare = list(tokenizer(sample, add_special_tokens=False)["input_ids"])
        for start in range(len(whole) - len(bare) + 1) if bare else ():
            if whole[start : start + len(bare)] == bare:
                return Frame(tuple(whole[:start]), tuple(whole[start + len(bare) :]))
    # the frame changes the text's own tokens, or the tokenizer has none for a sample: the special ones at both ends
    special = set(tokenizer.all_special_ids)
    before = tuple(takewhile(special.__contains__, whole))
    after = tuple(takewhile(special.__contains__, reversed(whole[len(before) :])))
    return Frame(before, after[::-1])


def special_names(tokenizer: Any) -> list[str]:
    """Every special token as it is written, the longest first."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    names = {*tokenizer.all_special_tokens, *(token.content for token in added if token.special)}
    return sorted(filter(None, names), key=lambda name: (-len(name), name))


class LiteralTokens:
    """Counts special tokens that stand in texts as text: `found` is how often each did, `texts` in how many texts."""

    def __init__(self, tokenizer: Any) -> None:
        names = special_names(tokenizer)
        self._pattern = re.compile("|".join(map(re.escape, names))) if names else None
        self.found: Counter[str] = Counter()
        self.texts = 0

    def watch(self, texts: Iterable[str]) -> Iterator[str]:
        """The texts, counted as they pass."""
        for text in texts:
            here = self._pattern.findall(text) if self._pattern is not None else []
            self.found.update(here)
            self.texts += bool(here)
            yield text

    def describe(self) -> dict[str, Any]:
        """{"texts": in how many, "found": {token: how often}}; nothing where none was found."""
        return {"texts": self.texts, "found": dict(sorted(self.found.items()))} if self.found else {}


def literal(tokenizer: Any, texts: Iterable[str]) -> dict[str, Any]:
    """`LiteralTokens.describe` of `texts`."""
    counted = LiteralTokens(tokenizer)
    for _ in counted.watch(texts):
        pass
    return counted.describe()


def as_text(tokenizer: Any) -> Any:
    """A tokenizer like `tokenizer`, to which special tokens that stand in a text are characters like others.

    Raises InputError where its vocabulary has one as a word of its own, so that it cannot be read otherwise.
    """
    reader = copy.deepcopy(tokenizer)
    reader.split_special_tokens = True
    if _still_tokens(reader):
        _hide_pieces(reader)
    if left := _still_tokens(reader):
        raise InputError(
            f"data.special_tokens: text: the tokenizer reads {left[0]!r} as that token wherever it stands; "
            "expected token for this tokenizer"
        )
    return reader


def _still_tokens(reader: Any) -> list[str]:
    """Special tokens whose characters give their own id; not the unknown token, which unknown characters give too."""
    ids = {name: reader.convert_tokens_to_ids(name) for name in special_names(reader) if name != reader.unk_token}
    return [name for name, id in ids.items() if id in reader(name, add_special_tokens=False)["input_ids"]]


def _hide_pieces(reader: Any) -> None:
    """Spell special tokens so that no text has them in the vocabulary of a unigram model, where they are its likeliest
    pieces. Their ids stay: what a special token's name stands for is kept apart from the model."""
    from tokenizers import models

    backend = getattr(reader, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.model, models.Unigram):
        return
    found, names = json.loads(backend.to_str())["model"], set(special_names(reader))
    pieces = [(NOWHERE + piece if piece in names else piece, score) for piece, score in found["vocab"]]
    backend.model = models.Unigram(pieces, found["unk_id"], found.get("byte_fallback", False))


READ_AS = {"token": "tokens", "text": "plain text"}


def said(source: str, found: dict[str, Any], reading: str | None = None) -> str:
    """The line of the log for what `literal` found in `source`; `reading`: `data.special_tokens`, where it is set."""
    counts = ", ".join(f"{token!r} {count}" for token, count in found["found"].items())
    line = f"{source}: special tokens stand in the text of {found['texts']} documents ({counts}), read as "
    if reading is None:
        return f"{line}{READ_AS['token']}"
    other = "text" if reading == "token" else "token"
    return f"{line}{READ_AS[reading]}; data.special_tokens={other} reads them as {READ_AS[other]}"
