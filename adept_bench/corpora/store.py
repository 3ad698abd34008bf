"""Documents as token ids, in memory or in files larger than memory, behind one interface."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np

BOUNDARIES = 1 << 20  # boundaries of documents read at a time where all are gone through


class Documents(Protocol):
    """Token ids of documents, one after the other in `tokens`. Indices are positions in the order of the corpus."""

    tokens: np.ndarray

    def __len__(self) -> int: ...

    def spans(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each of the documents begins in `tokens`, and where it ends: int64 of the shape of `indices`."""
        ...

    @property
    def total(self) -> int:
        """Tokens of all documents."""
        ...


class _Ids(Sequence[np.ndarray]):
    """The sequence of documents that `spans` makes: each a 1-D array of token ids."""

    tokens: np.ndarray

    def spans(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        at = range(len(self))[index]  # IndexError and negative indices as a list has them
        (start,), (end,) = self.spans(np.array([at]))
        return np.asarray(self.tokens[start:end])


class MemoryDocuments(_Ids):
    """Documents in memory: 4 bytes a token and 8 a document."""

    def __init__(self, documents: Iterable[Sequence[int]]) -> None:
        arrays = [np.fromiter(document, dtype=np.int32, count=len(document)) for document in documents]
        self.tokens = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int32)
        self.ends = np.cumsum([0, *map(len, arrays)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def spans(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.ends[indices], self.ends[indices + 1]

    @property
    def total(self) -> int:
        return len(self.tokens)


class TokenStore(_Ids):
    """Documents in a folder that `TokenWriter` wrote, without those `left_out`; only what is read comes into memory.

    `tokens.bin` holds the ids (unsigned, two bytes where the vocabulary allows it, else four), `ends.bin` int64
    boundaries: document i lies from the i-th on up to the (i+1)-th. Memory: 8 bytes a document left out; the files are
    mapped, and the system takes their pages back when it needs them. Pickled, it is the folder's name.
    """

    def __init__(self, folder: Path, left_out: np.ndarray | None = None) -> None:
        """Map the files. Raises OSError, ValueError or KeyError where they are not what `store.json` says.

        `left_out`: int64, ascending, the documents (of the folder's numbering) that are not part of it.
        """
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        count = self.facts["documents"]
        self.tokens = _mapped(folder / "tokens.bin", np.dtype(self.facts["dtype"]), self.facts["tokens"])
        self.ends = _mapped(folder / "ends.bin", np.dtype("<i8"), count + 1)
        self.left_out = np.empty(0, dtype=np.int64) if left_out is None else left_out
        # the j-th document left out stands behind left_out[j] - j that are not
        self.kept_before = self.left_out - np.arange(len(self.left_out))
        self._length = count - len(self.left_out)
        # sliced, not indexed: numpy's scalars of a mapped file stay mapped
        starts, stops = self.ends[self.left_out], self.ends[self.left_out + 1]
        self._total = int(self.facts["tokens"]) - int((stops - starts).sum())

    def __len__(self) -> int:
        return self._length

    def spans(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = indices + np.searchsorted(self.kept_before, indices, side="right")
        return np.asarray(self.ends[places]), np.asarray(self.ends[places + 1])

    @property
    def total(self) -> int:
        return self._total

    def without(self, left_out: np.ndarray) -> TokenStore:
        """The same store without further documents, given in the folder's numbering."""
        return TokenStore(self.folder, np.union1d(self.left_out, left_out))

    def shorter_than(self, tokens: int) -> np.ndarray:
        """The documents of fewer than `tokens` tokens, in the folder's numbering, ascending."""
        found = []
        for start in range(0, self.facts["documents"], BOUNDARIES):
            lengths = np.diff(self.ends[start : start + BOUNDARIES + 1])
            found.append(np.flatnonzero(lengths < tokens) + start)
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenStore, (self.folder, self.left_out)


def _mapped(path: Path, dtype: np.dtype, count: int) -> np.ndarray:
    if path.stat().st_size != count * dtype.itemsize:
        raise ValueError(f"{path}: {path.stat().st_size} bytes; expected {count * dtype.itemsize}")
    return np.memmap(path, dtype=dtype, mode="r") if count else np.empty(0, dtype=dtype)


class TokenWriter:
    """Writes the files of a `TokenStore` into `folder`, a batch of documents at a time."""

    def __init__(self, folder: Path, tokenizer: Any) -> None:
        largest = max(tokenizer.get_vocab().values(), default=0)
        self.folder = folder
        self.dtype = np.dtype("<u2" if largest < 1 << 16 else "<u4")
        self.documents = self.tokens = 0
        self._ids = open(folder / "tokens.bin", "wb")  # noqa: SIM115 - closed by finish()
        self._ends = open(folder / "ends.bin", "wb")  # noqa: SIM115
        np.zeros(1, dtype="<i8").tofile(self._ends)

    def add(self, batch: Sequence[Sequence[int]]) -> None:
        """Append documents. Raises ValueError for an id that is not of the tokenizer's vocabulary."""
        lengths = np.fromiter(map(len, batch), dtype=np.int64, count=len(batch))
        ids = np.fromiter(chain.from_iterable(batch), dtype=np.int64, count=int(lengths.sum()))
        if len(ids) and not 0 <= ids.min() <= ids.max() <= np.iinfo(self.dtype).max:
            raise ValueError(f"token ids {ids.min()} to {ids.max()} do not fit {self.dtype}, which the vocabulary does")
        ids.astype(self.dtype).tofile(self._ids)
        (np.cumsum(lengths) + self.tokens).astype("<i8").tofile(self._ends)
        self.documents += len(batch)
        self.tokens += len(ids)

    def finish(self, facts: dict[str, Any]) -> None:
        """Close the files and write `store.json`: sizes, and `facts`."""
        self.close()
        sizes = {"documents": self.documents, "tokens": self.tokens, "dtype": self.dtype.str}
        (self.folder / "store.json").write_text(json.dumps(facts | sizes, sort_keys=True), encoding="utf-8")

    def close(self) -> None:
        """Close the files; those of a store that is not finished are of no use."""
        self._ids.close()
        self._ends.close()


def as_documents(documents: Sequence[Sequence[int]] | Documents) -> Documents:
    """`documents` as they are where they lie in one array already, else in memory."""
    if isinstance(documents, TokenStore | MemoryDocuments):
        return documents
    return MemoryDocuments(documents)  # type: ignore[arg-type]


def lengths_in(documents: Documents, order: np.ndarray) -> Iterator[np.ndarray]:
    """Tokens of each document of `order`, a part of it at a time."""
    for start in range(0, len(order), BOUNDARIES):
        starts, ends = documents.spans(order[start : start + BOUNDARIES])
        yield ends - starts
