"""`set:NAME/PART`: a part of a public data set, read from the Hub or from a local copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adept_bench.corpora.copies import copy_of_set
from adept_bench.corpora.formats import Position
from adept_bench.corpora.sets import chat, rules
from adept_bench.errors import InputError, unknown_name
from adept_bench.files import content_hash

if TYPE_CHECKING:
    from adept_bench.corpora.sources import Source


@dataclass(frozen=True)
class DataSet:
    """A data set: its source on the Hub, the parts that `rule` makes, and how many characters of it are read at most.

    The limit makes the parts of a large set those of its beginning: nothing beyond is fetched.
    """

    hub: str
    rule: Callable[[Iterable[str]], rules.Parts]
    parts: tuple[str, ...]
    characters: int


OURS = {"chat": {"pairs": chat.pairs}}
"""Sets that ship with the package: their parts."""
SETS = {
    "medquad": DataSet(
        "keivalya/MedQuad-MedicalQnADataset#Question,Answer", rules.medquad, ("train", "heldout", "rest"), 3_000_000
    ),
    "wikitext2": DataSet(
        "Salesforce/wikitext/wikitext-2-raw-v1:validation", rules.wikitext, ("probe", "heldout"), 3_000_000
    ),
    "gutenberg": DataSet("manu/project_gutenberg:en", rules.books, ("heldout", "replay"), 6_000_000),
    "gsm8k": DataSet("openai/gsm8k/main#question,answer", rules.problems, ("train", "heldout"), 3_000_000),
}


@dataclass(frozen=True)
class SetSource:
    """The documents of one part of a data set."""

    name: str
    set: str
    part: str

    size = None

    @property
    def remote(self) -> bool:
        return self.set not in OURS and copy_of_set(self.set) is None

    def texts(self, position: Position | None = None) -> Iterator[str]:
        """Every document, in the set's order. Raises InputError as reading the set does, and for an empty part."""
        return iter(part_of(self.set, self.part))

    def identity(self) -> str:
        """The part and the content of its documents, wherever they were read."""
        return f"{self.name}@{content_hash(part_of(self.set, self.part))}"

    def state(self) -> Any:
        return None

    def notes(self) -> dict[str, Any]:
        """Where it was read: of a local copy its hash, of the Hub the commit; nothing of what ships."""
        return {} if self.set in OURS else {"identity": self.identity(), "read_from": _origin(self.set).identity()}


def find_part(source: str, option: str) -> SetSource:
    """What `set:NAME/PART` names. Raises InputError, naming `option`, for an unknown set or part."""
    name, _, part = source.removeprefix("set:").partition("/")
    parts = {one: list(data.parts) for one, data in SETS.items()} | {one: list(made) for one, made in OURS.items()}
    known = [f"set:{one}/{piece}" for one, pieces in parts.items() for piece in pieces]
    if source not in known:
        raise unknown_name(option, "part of a data set", source, known)
    return SetSource(source, name, part)


def part_of(name: str, part: str) -> list[str]:
    """The documents of a part of set `name`. Raises InputError where the set cannot be read or the part is empty."""
    if name in OURS:
        return OURS[name][part]()
    found = _parts(name, str(copy_of_set(name)))[part]
    if not found:
        raise InputError(f"set:{name}/{part}: {_origin(name).name} gives no document for it; expected the whole set")
    return found


@lru_cache(maxsize=8)
def _parts(name: str, copy: str) -> rules.Parts:
    """`copy`: where it is read, so that a copy that is named later counts."""
    return SETS[name].rule(_beginning(_origin(name).texts(), SETS[name].characters))


def _beginning(texts: Iterable[str], characters: int) -> list[str]:
    found, read = [], 0
    for text in texts:
        found.append(text[: characters - read])
        read += len(text)
        if read >= characters:
            break
    return found


def _origin(name: str) -> Source:
    from adept_bench.corpora.sources import find_source

    copy = copy_of_set(name)
    return find_source(SETS[name].hub if copy is None else str(copy), option=f"set:{name}")
