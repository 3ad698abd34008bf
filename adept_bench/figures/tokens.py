"""Tokens as text that can be seen and drawn: spaces, line breaks and characters a font lacks."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

LONGEST = 14
"""Characters of a token in a figure; the rest is cut."""
NAMED = {" ": "␣", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(token: str) -> str:
    """The token with marks for what cannot be seen: spaces, line breaks, control characters; "(empty)" for none.

    The markers of byte-pair and SentencePiece vocabularies for a leading space are spaces too.
    """
    token = token.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n")
    return "".join(NAMED.get(one) or (_code(one) if _hidden(one) else one) for one in token) or "(empty)"


def plain(token: str) -> str:
    """The same for a picture: short, of characters that matplotlib's own font has."""
    text = "".join(one if ord(one) in _glyphs() else f" {_code(one)} " for one in visible(token))
    text = text.replace("  ", " ").strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _hidden(character: str) -> bool:
    return unicodedata.category(character)[0] in "CZ"


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    """Characters of DejaVu Sans, which comes with matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())
