"""The two streams of the command line: results on standard output, everything said along the way on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reglab.errors import LONGEST, shortened, shown


class _Plain(Console):
    """A terminal to which a text is a text: none of its brackets is a style, none of its words an icon, nothing in it moves the cursor."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(shown(text), **options)


progress = _Plain(stderr=True)


def say(line: str) -> None:
    """A plain line about the work, on standard error."""
    progress.print(line, soft_wrap=True)


def tell(line: object) -> None:
    """A plain line of a result, on standard output."""
    print(shown(str(line)))  # noqa: T201


def styled(text: str, style: str) -> Text:
    """A cell of a table, in a style."""
    return Text(shown(text), style)


def show(table: Table) -> None:
    """A table on standard output: as wide as the terminal, and into a pipe as wide as it is, so that nothing is cut."""
    console = _Plain()
    if not console.is_terminal:
        console.width = max(console.width, console.measure(table, options=console.options.update(max_width=10**6)).maximum)
    console.print(table)


def complain(line: str) -> None:
    """Why the command ends: one line, on standard error."""
    print(f"reglab: {shortened(shown(line), LONGEST)}", file=sys.stderr)  # noqa: T201


def is_terminal() -> bool:
    """Say whether a person watches: bars are drawn there, and lines written elsewhere."""
    return progress.is_terminal


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how many are done, of how many, as it is told while it is open."""
    if not is_terminal():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=progress, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something goes on that takes more than a moment, while it is open."""
    if not is_terminal():
        yield
        return
    with progress.status(what):
        yield
