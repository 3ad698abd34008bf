"""The names of contract.md that every layer shares, without importing anything heavy."""

from __future__ import annotations

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
