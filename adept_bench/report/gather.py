"""Stored results as the material of a report: read, compared, drawn, judged; what cannot be had is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from adept_bench.analysis.table import comparison, methods_in_order
from adept_bench.claims import evaluate, evaluate_timings
from adept_bench.config.experiments import load_suite
from adept_bench.errors import InputError, unknown_name
from adept_bench.figures import timing
from adept_bench.figures.registry import FIGURES
from adept_bench.files import file_hash
from adept_bench.guarded import one_line
from adept_bench.progress import reporter
from adept_bench.report.drawn import Lost, Outcome, Shown, draw_all
from adept_bench.report.images import encode
from adept_bench.report.material import File, Material, Pair, Timed
from adept_bench.results.schema import Cell
from adept_bench.results.store import Store
from adept_bench.results.timing import load_timings

Result = TypeVar("Result")


def gather(results: Path, preset: str | None = None) -> Material:
    """Read all there is below `results` (of one preset only, if given, and then no timing) and draw what it allows.

    Raises InputError where nothing can be shown: no folder, no readable result, or none of that preset.
    """
    clock, lost = _Clock(), _Lost()
    files = _read(results, lost)
    if not files:
        reasons = f"; {lost.lines[0]}" if lost.lines else ""
        raise InputError(
            f"--results: no readable result in {str(results)!r}; expected PRESET/SUITE/METHOD-seedN.json{reasons}"
        )
    presets = sorted({file.cell.preset for file in files})
    if preset is not None and preset not in presets:
        raise unknown_name("--preset", "preset among the results", preset, presets)
    files = [file for file in files if preset in (None, file.cell.preset)]
    clock.lap("reading")
    keys = sorted({(file.cell.preset, file.cell.suite) for file in files})
    by_key = [[file.cell for file in files if (file.cell.preset, file.cell.suite) == key] for key in keys]
    drawn = draw_all(by_key)
    by_key = [[cell for cell in cells if cell.chosen] for cells in by_key]
    timed = _timed(results, lost) if preset is None else []
    clock.lap("drawing")
    pairs = [_pair(cells, outcomes, lost.faults) for cells, outcomes in zip(by_key, drawn, strict=True)]
    clock.lap("comparing")
    claims = lost.attempt(lambda: evaluate([file.cell for file in files]), "the claims") or []
    timings = {place: one for part in timed for place, one in zip(part.files, part.timings, strict=True)}
    claims += lost.attempt(lambda: evaluate_timings(timings), "the claim on training time, by timings") or []
    clock.lap("claims")
    return Material(pairs, files, claims, lost.lines, lost.faults, timed, clock.seconds)


class _Clock:
    """Seconds by kind of work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.last = now


class _Lost:
    """What could not be had: a line each, and which of them are faults of ours."""

    def __init__(self, faults: list[str] | None = None) -> None:
        self.lines: list[str] = []
        self.faults: list[str] = [] if faults is None else faults

    def attempt(self, compute: Callable[[], Result], what: str) -> Result | None:
        """The result, or None with a line that says why. An unexpected error costs its own part only, too."""
        try:
            return compute()
        except InputError as reason:
            self.lines.append(f"{what}: {reason}")
        except Exception as error:
            self.fault(f"{what}: unexpected {type(error).__name__}: {error}")
        return None

    def fault(self, line: str) -> None:
        """Note and log what only an error in this package can explain."""
        self.lines.append(line)
        self.faults.append(line)
        reporter().log(line)


def _read(results: Path, lost: _Lost) -> list[File]:
    """All readable cells in order of path; what is none is noted."""
    if not results.is_dir():
        raise InputError(f"--results: no folder {str(results)!r}; expected one that `adept-bench run` has written")
    store, files = Store(results), []
    for path in sorted(results.glob("*/*/*-seed*.json")):
        name = path.relative_to(results)
        if any(part.startswith(".") for part in name.parts):
            continue
        try:
            cell = store.read(path)  # first: it does not wait for what is no file
            files.append(File(name.as_posix(), file_hash(path), cell))
        except (InputError, OSError) as reason:
            # as the reader knows the file: by its place among the results
            lost.lines.append(f"left out: {reason}".replace(f"{path}", name.as_posix()))
            reporter().log(one_line(f"left out: {reason}", 1000))
    return files


def _timed(results: Path, lost: _Lost) -> list[Timed]:
    """What `bench` measured, by device and shape; a picture that fails costs itself only."""

    def refused(place: str, reason: str) -> None:
        lost.lines.append(f"left out: {reason}".replace(f"{results / place}", place))

    found = []
    for by_place in timing.by_shape(load_timings(results, refused)):
        timings = list(by_place.values())
        name = timing.title(timings[0])
        files = {place: file_hash(results / place) for place in by_place}
        drawing = lost.attempt(partial(timing.draw, timings), name)
        if drawing is None or drawing.figure is None:
            found.append(Timed(name, timings, files))
        else:
            found.append(Timed(name, timings, files, drawing.caption, encode(drawing.figure)))
    return found


def _pair(cells: list[Cell], outcomes: Sequence[Outcome], faults: list[str]) -> Pair:
    lost = _Lost(faults)
    cells = [cell for cell in cells if cell.chosen]
    lost.lines += _absent(cells)
    preset, suite = cells[0].preset, cells[0].suite
    compared = lost.attempt(lambda: comparison(cells), f"{preset}/{suite}, the comparison table")
    reasons: dict[str, list[str]] = {}
    for kind, outcome in zip(FIGURES.values(), outcomes, strict=True):
        if isinstance(outcome, Lost) and outcome.fault:
            lost.fault(f"{preset}/{suite}, {kind.title} ({kind.name}): {outcome.reason}")
        elif isinstance(outcome, Lost):
            reasons.setdefault(outcome.reason, []).append(kind.title)
    lost.lines += [f"not drawn: {', '.join(titles)}: {reason}" for reason, titles in reasons.items()]
    shown = [outcome for outcome in outcomes if isinstance(outcome, Shown)]
    return Pair(preset, suite, cells, compared, shown, lost.lines)


def _absent(cells: Sequence[Cell]) -> list[str]:
    """Methods and seeds that the suite asks for, or other methods here have, without a result."""
    try:
        suite = load_suite(cells[0].suite)
        wanted, seeds = set(suite.methods), set(suite.seeds)
    except InputError:  # a suite of the user's own file: what it asks for is not known here
        wanted, seeds = set(), set()
    found: dict[str, set[int]] = {}
    for cell in cells:
        found.setdefault(cell.method, set()).add(cell.seed)
    seeds |= {cell.seed for cell in cells}
    lines = []
    for method in methods_in_order(wanted | found.keys()):
        if absent := sorted(seeds - found.get(method, set())):
            which = "no result" if method not in found else f"no result of seed {', '.join(map(str, absent))}"
            lines.append(f"{method}: {which}")
    return lines
