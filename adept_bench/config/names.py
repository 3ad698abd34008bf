"""The names of contract.md that every layer shares, and what a name may be, without importing anything heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable

from adept_bench.errors import InputError, unknown_name

CORE_METHODS = ("vanilla", "full", "replay", "llama-pro", "frozen", "lora", "adept")
VARIANT_METHODS = (
    "adept-no-stage1",
    "adept-no-stage2",
    "adept-uniform-expansion",
    "adept-as-released",
    "adept-as-released-deepspeed",
)
RESERVED_METHODS = ("tasl",)  # named by the contract, not implemented
METHOD_NAMES = CORE_METHODS + VARIANT_METHODS
DEFAULT_PRESET = "lab"
LARGEST_SEED = 2**32 - 1  # numpy's generators take no larger one

# Letters beyond ASCII, since lm-eval has metrics such as acc_definició; of scripts without combining marks that run
# from left to right, so that a name is shown in the order it is stored in. Ranges, since \w and \p{L} mean other things
# in Python, in pydantic's Rust and in a JSON schema's ECMAScript.
_WORD = (
    "A-Za-z0-9_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0388-\u03ce\u0400-\u0481\u048a-\u04ff"
    "\u3041-\u3096\u30a1-\u30fa\u30fc\u4e00-\u9fff\uac00-\ud7a3"
)
NAME = f"^[{_WORD}]+(?:[ .+:,/@-]+[{_WORD}]+)*$"
"""Of tasks, groups, metrics, filters, domains and corpora. Inside, what lm-eval's names have (`pass@1`, `acc,none`,
`wmt16-en-ro`) and ours (`general/wiki`, two words): nothing that a terminal, a spreadsheet or markup takes for its
own."""
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Of suites, presets, methods, variants and shapes, which name files and folders of results."""
EXPECTED = {
    NAME: "a name that begins and ends with a letter, digit or '_' and has, inside, ' .+:,/@-' too",
    FILE_NAME: "a name of letters, digits, '.', '_' and '-'",
}
"""What is expected by each pattern, in words."""


def named(pattern: str, value: str) -> bool:
    """Whether `value` is a name by `pattern`, `NAME` or `FILE_NAME`."""
    return re.fullmatch(pattern, value) is not None


def check_methods(names: Iterable[str], where: str, variants: Iterable[str] = ()) -> list[str]:
    """`names` in their order without repeats; `where` (option or file:line) opens the InputError of an unknown one.

    `variants`: names that the suite defines itself.
    """
    known = (*METHOD_NAMES, *variants)
    checked: dict[str, None] = {}
    for name in names:
        if name in RESERVED_METHODS:
            raise InputError(f"{where}: method {name!r} is a name kept for later; it is not implemented yet")
        if name not in known:
            raise unknown_name(where, "method", name, known)
        checked[name] = None
    if not checked:
        raise InputError(f"{where}: no method given; expected some of: {', '.join(known)}")
    return list(checked)
