"""The two streams of the command line: results on standard output, everything said along the way on standard error."""

import sys

from rich.console import Console

progress = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """A plain line about the work, on standard error."""
    progress.print(line, markup=False, soft_wrap=True)


def complain(line: str) -> None:
    """Why the command ends: one line, on standard error."""
    print("reglab: " + " ".join(line.split("\n")), file=sys.stderr)


def is_terminal() -> bool:
    return progress.is_terminal
