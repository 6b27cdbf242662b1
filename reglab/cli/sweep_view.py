"""How a sweep on this machine is shown while it runs: a live table on a terminal, lines elsewhere."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from reglab.console import is_terminal, progress, say, styled
from reglab.tracking.state import State

if TYPE_CHECKING:
    from reglab.sweep.draws import DrawnCell
    from reglab.sweep.local import LocalSweep

STYLES = {
    State.pending: "dim",
    State.running: "cyan",
    State.finished: "green",
    State.stopped: "yellow",
    State.preempted: "yellow",
    State.diverged: "magenta",
    State.failed: "red",
    State.crashed: "red",
}


_FEW = 12
"""Runs that ended before, up to which each is named."""


@contextmanager
def display(sweep: "LocalSweep") -> Iterator[Callable[[], None]]:
    """A live table on a terminal; elsewhere a line whenever a run begins, ends or completes an epoch."""
    if is_terminal():
        names = _Names(sweep)
        with Live(console=progress, refresh_per_second=4, transient=False) as live:
            yield lambda: live.update(table(sweep, names))
    else:
        yield _PlainLines(sweep)


class _PlainLines:
    def __init__(self, sweep: "LocalSweep"):
        self.sweep, self.names = sweep, _Names(sweep)
        self.said: dict[str, tuple[State, int]] = {}

    def __call__(self) -> None:
        first_look = not self.said
        there = Counter(cell.state for cell, _ in self.names if cell.state.ended) if first_look else Counter[State]()
        if there.total() > _FEW:
            say(f"{there.total()} of {len(self.sweep.cells)} runs ended before: {', '.join(f'{n} {state}' for state, n in there.items())}")
        for cell, label in self.names:
            now = (cell.state, cell.epochs_done)
            before = self.said.get(cell.run_id, (State.pending, 0))
            self.said[cell.run_id] = now
            if first_look and cell.state.ended:
                if there.total() <= _FEW:
                    say(f"{label} s{cell.seed}: {cell.state} before")
            elif now != before and (now[0] != before[0] or _is_milestone(cell)):
                say(f"{label} s{cell.seed}: {cell.state}, {_how_far(cell)}{_left(self.sweep)}")


class _Names:
    """The cells of a sweep under names that tell them apart, by what it searches. They are made anew where it has drawn more."""

    def __init__(self, sweep: "LocalSweep"):
        self.sweep = sweep
        self.labels: list[str] = []

    def __iter__(self) -> "Iterator[tuple[DrawnCell, str]]":
        from reglab.sweep.ledger import told_apart

        cells = self.sweep.cells
        if len(cells) != len(self.labels):
            self.labels = told_apart(self.sweep.spec, cells)
        return zip(cells, self.labels, strict=True)


def _how_far(cell: "DrawnCell") -> str:
    if cell.record and cell.record.program:
        return f"logged {cell.epochs_done} times"
    return f"epoch {cell.epochs_done}/{cell.epochs}{_accuracies(cell)}"


def _is_milestone(cell: "DrawnCell") -> bool:
    """Every tenth of a run: a log of a night's sweep should stay readable."""
    if not cell.epochs:
        return False
    return cell.epochs_done % max(1, cell.epochs // 10) == 0


def _accuracies(cell: "DrawnCell") -> str:
    if not cell.record or not cell.record.history:
        return ""
    row = cell.record.history[-1]
    return f", train {row.train_accuracy:.1%}" + (f", test {row.test_accuracy:.1%}" if row.test_accuracy is not None else "")


def _left(sweep: "LocalSweep") -> str:
    seconds = sweep.seconds_left()
    return f"  (about {duration(seconds)} left{_until(sweep)})" if seconds else ""


def _until(sweep: "LocalSweep") -> str:
    return f", the limit is in {duration(max(0.0, sweep.limit.left))}" if sweep.limit else ""


def duration(seconds: float) -> str:
    """In words, to the second or to the minute."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


ROWS = 30
"""Cells that the live table shows at most: a terminal's height."""


def table(sweep: "LocalSweep", names: "Iterable[tuple[DrawnCell, str]] | None" = None) -> Table:
    """How a sweep stands: its running cells, then the latest of the others."""
    done = sum(cell.state.ended for cell in sweep.cells)
    left = sweep.seconds_left()
    title = f"{sweep.folder.name}: {done} of {len(sweep.cells) + sweep.undrawn} runs" + (f", about {duration(left)} left" if left else "")
    title += _until(sweep)
    view = Table("cell", "seed", "state", "epoch", "train", "test", "time", title=title, title_justify="left", box=None, pad_edge=False)
    order = sorted(names or _Names(sweep), key=lambda pair: (pair[0].state != State.running, pair[0].state == State.pending))
    for cell, label in order[:ROWS]:
        row = cell.record.history[-1] if cell.record and cell.record.history else None
        view.add_row(
            label,
            str(cell.seed),
            styled(cell.state, STYLES[cell.state]),
            f"{cell.epochs_done}/{cell.epochs}" if cell.epochs else str(cell.epochs_done),
            f"{row.train_accuracy:.1%}" if row else "",
            f"{row.test_accuracy:.1%}" if row and row.test_accuracy is not None else "",
            duration(row.time_train_seconds) if row else "",
        )
    if len(order) > ROWS:
        view.add_row(styled(f"… {len(order) - ROWS} more", "dim"))
    return view
