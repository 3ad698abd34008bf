"""What commands say on stdout."""

from __future__ import annotations

from adept_bench.escapes import terminal


def say(text: object, styled: bool = False) -> None:
    """Print a command's result, a line or several; no control character of a file's text reaches the terminal.

    `styled`: may have a terminal's colours, and is made of texts by `escapes.rich_text`.
    """
    print(text if styled else terminal(str(text)), flush=True)
