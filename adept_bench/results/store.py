"""The folder of results: `<root>/<preset>/<suite>/<method>-seed<n>.json`, one file a cell.

A cell of another rate than the chosen one is in `<method>@<rate>-seed<n>.json` beside it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adept_bench.errors import InputError
from adept_bench.files import log_aside, write_whole
from adept_bench.guarded import RECORD, AbsentError, DamagedError, one_line, read_text
from adept_bench.progress import reporter
from adept_bench.results.compact import compact_training, dumps, rounded
from adept_bench.results.damage import damage, explained
from adept_bench.results.schema import SCHEMA_VERSION, Cell, cell_stem


class Store:
    """Reads and writes cells below `root` (default: `results/` in the working folder)."""

    def __init__(self, root: str | Path = "results") -> None:
        self.root = Path(root)

    def path(self, preset: str, suite: str, method: str, seed: int, rate: float | None = None) -> Path:
        """Where the cell's file is or would be; `rate` of one that is not the chosen rate's."""
        return self.root / preset / suite / f"{cell_stem(method, seed, rate)}.json"

    def place(self, cell: Cell) -> Path:
        """Where the cell belongs."""
        return self.root / cell.preset / cell.suite / f"{cell.stem}.json"

    def write(self, cell: dict[str, Any]) -> Path:
        """Validate `cell` against the schema and write it whole; returns the file.

        Unit refreshes may come as rows (see `compact_training`). Raises ValueError that names the field where the
        cell does not fit the schema or holds NaN or infinity; nothing is written then.
        """
        cell = {"schema_version": SCHEMA_VERSION, "status": "complete", **cell}
        for field in ("probe", "certificate", "analyses"):
            if cell.get(field):
                cell[field] = rounded(cell[field])
        if isinstance(cell.get("training"), dict):
            cell["training"] = compact_training(cell["training"])
        if unfinite := _unfinite(cell):
            raise ValueError(f"the cell holds a number that is not finite: {unfinite}")
        text = dumps(cell)
        try:
            checked = Cell.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(f"the cell does not fit the schema: {explained(error)}") from None
        path = self.place(checked)
        write_whole(path, text)
        return path

    def read(self, path: str | Path) -> Cell:
        """The cell in the file. Raises InputError, naming the file and the reason, where there is none.

        The InputError is an AbsentError where there is no file, a DamagedError where its content is no cell.
        """
        path = Path(path)
        text = read_text(path, RECORD, "the file of a cell")
        try:
            cell = Cell.model_validate_json(text)
        except ValidationError as error:
            raise damage(path, text, error, "cell", SCHEMA_VERSION) from None
        if self.place(cell).parts[-3:] != path.absolute().parts[-3:]:
            holds = "/".join(self.place(cell).parts[-3:])
            raise DamagedError(f"{path}: holds the cell {one_line(holds)}; expected a file of that name")
        return cell

    def valid(
        self,
        preset: str,
        suite: str,
        method: str,
        seed: int,
        config_hash: str | None = None,
        *,
        rate: float | None = None,
    ) -> Cell | None:
        """The stored cell, or None where there is none.

        A file whose content is no cell is moved aside to `<name>.json.damaged-<n>`, and the log says why. What cannot
        be read at all (permissions) stays, and so does a valid cell of another configuration than `config_hash`:
        InputError says so, since running again would overwrite it.
        """
        path = self.path(preset, suite, method, seed, rate)
        try:
            cell = self.read(path)
        except AbsentError:
            return None
        except DamagedError as reason:
            log_aside(path, reason)
            return None
        if config_hash is not None and cell.config_hash != config_hash:
            raise InputError(
                f"{path}: made with another configuration (hash {cell.config_hash}, asked for {config_hash}); "
                "expected the same one: choose another --results folder, or --force to replace it"
            )
        return cell

    def at_rate(self, preset: str, suite: str, method: str, seed: int, rate: float | None) -> Cell | None:
        """The stored cell of this learning rate, be it the chosen one's or another's; None where there is none."""
        other = self.valid(preset, suite, method, seed, rate=rate) if rate is not None else None
        if other is not None:
            return other
        cell = self.valid(preset, suite, method, seed)
        return cell if cell is not None and cell.rate == rate else None

    def settle(self, cell: Cell, learning_rate: dict[str, Any]) -> Path:
        """Give a stored cell the place of the chosen rate, `learning_rate` its block; returns its file.

        What had that place before, at another rate, becomes a point of the path. At any moment each of the two is in a
        whole file.
        """
        before = self.valid(cell.preset, cell.suite, cell.method, cell.seed)
        if before is not None and before.rate != cell.rate:
            self.step_aside(before)
        path = self.write(_with_rate(cell, {**learning_rate, "chosen": True}))
        if not cell.chosen:
            self.place(cell).unlink(missing_ok=True)
        return path

    def step_aside(self, cell: Cell) -> Path:
        """Store the cell of the chosen rate under the name of a point of the path too; returns that file."""
        grid = cell.learning_rate.grid if cell.learning_rate else []
        return self.write(_with_rate(cell, {"value": cell.rate, "source": "grid", "grid": grid, "chosen": False}))

    def load_all(self, preset: str | None = None, suite: str | None = None, *, paths: bool = False) -> list[Cell]:
        """Every readable cell of a chosen rate, in order of path; with `paths` those of all other rates too.

        What cannot be read is named in the log and left where it is.
        """
        found = sorted(self.root.glob(f"{preset or '*'}/{suite or '*'}/*-seed*.json"))
        cells = []
        with _uncollected():
            for path in found:
                if any(part.startswith(".") for part in path.relative_to(self.root).parts):
                    continue
                if "@" in path.name and not paths:
                    continue
                try:
                    cells.append(self.read(path))
                except InputError as reason:
                    reporter().log(one_line(f"left out: {reason}", 1000))
        return cells


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's collector of cycles: many cells are many objects, none of them garbage, and looking through them
    again and again takes twice as long as reading them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _with_rate(cell: Cell, learning_rate: dict[str, Any]) -> dict[str, Any]:
    return {**cell.model_dump(mode="json"), "learning_rate": learning_rate}


def _unfinite(value: Any, where: str = "") -> str | None:
    """The first place that holds NaN or infinity."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f"{where} = {value}"
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, (list, tuple)):
        children = enumerate(value)
    found = (_unfinite(child, f"{where}.{key}" if where else str(key)) for key, child in children)
    return next((place for place in found if place), None)
