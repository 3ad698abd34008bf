"""Bars of overlapping tasks, totals that are known late, and the counting of a probe's steps."""

import io
import itertools
import re
import threading

import pytest
from filelock import FileLock
from rich.console import Console

from adept_bench.files import locked
from adept_bench.progress import Bars, Silent, Task, counted, use

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor: hidden while there is a live display


@pytest.fixture
def bars():
    """Bars drawn on a terminal that is a string."""
    made = Bars()
    made.console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})
    return made


def drawn(bars: Bars) -> str:
    """What a redraw puts on the terminal, without colours."""
    bars.console.file.truncate(0)
    bars.live.refresh()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", bars.console.file.getvalue())


def displays(bars: Bars) -> int:
    """Live displays started and not stopped."""
    text = bars.console.file.getvalue()
    return text.count(HIDE) - text.count(SHOW)


@pytest.mark.parametrize("order", itertools.permutations("abc"))
def test_tasks_overlap_and_end_in_any_order(bars, order):
    managers = {name: bars.task(f"task {name}", total=7) for name in "abc"}
    tasks = {name: manager.__enter__() for name, manager in managers.items()}
    assert displays(bars) == 1
    for ended in range(3):
        shown = drawn(bars)
        for name in "abc":
            assert (f"task {name}" in shown) == (name in order[ended:])
        managers[order[ended]].__exit__(None, None, None)
        for name in order[ended + 1 :]:
            tasks[name].update()
            assert f"task {name}" in drawn(bars)
    bars.console.file.truncate(0)
    with bars.task("again"):  # a display of its own, which ends
        assert displays(bars) == 1
    assert displays(bars) == 0


def test_the_display_ends_with_the_last_task(bars):
    first, second = bars.task("first"), bars.task("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert displays(bars) == 1
    second.__exit__(None, None, None)
    assert displays(bars) == 0


def test_a_total_that_is_known_late_is_drawn(bars):
    with bars.task("probing", unit="step") as task:
        assert "0/?" in drawn(bars)
        show = counted(task, layers=4)
        show(3, 12)
        show(6, 12)
        assert re.search(r" 6/12 +layer 2 of 4  batch 2 of 3", drawn(bars))


class Recorded(Task):
    def __init__(self):
        super().__init__("probing", None)
        self.seen = []

    def update(self, advance=1, **fields):
        super().update(advance, **fields)
        self.seen.append((self.done, self.total, fields))


def test_masking_counts_the_layers_of_each_batch():
    task = Recorded()
    for done in range(1, 7):
        counted(task, layers=3)(done, 6)
    places = [(batch, layer) for batch in "12" for layer in "123"]
    expected = [{"layer": f"{layer} of 3", "batch": f"{batch} of 2"} for batch, layer in places]
    assert task.seen == [(done, 6, fields) for done, fields in enumerate(expected, 1)]


def test_batches_are_counted_by_their_number_alone():
    task = Recorded()
    show = counted(task)
    show(1, 9)
    show(4, 9)
    assert task.seen == [(1, 9, {}), (4, 9, {})]


def test_waiting_for_a_lock_is_said_once(tmp_path):
    path, held, said = tmp_path / "base.json", threading.Event(), threading.Event()
    lines = []

    class Heard(Silent):
        def log(self, message):
            lines.append(message)
            said.set()

    def hold():
        with FileLock(f"{path}.lock"):
            held.set()
            said.wait(10)

    holder = threading.Thread(target=hold)
    use(Heard())
    try:
        with locked(path):
            assert lines == []
        holder.start()
        assert held.wait(10)
        with locked(path):
            assert said.is_set()
        holder.join()
    finally:
        use(Silent())
    assert len(lines) == 1
    assert f"{path}.lock" in lines[0]
