"""The ways a command ends badly, and what other errors say in a line.

A ReglabError carries one line for a person: what is wrong, where, and how to mend it. `reglab.cli.app` prints that line and exits
with the class's code; a traceback is shown with `--debug` only.
"""

import os

from reglab import exits


class ReglabError(Exception):
    """Something went wrong that is not the user's doing."""

    exit_code = exits.FAILED

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))  # one line, whatever the input had in it


class UserError(ReglabError):
    """The input cannot be used as given; the message says how to mend it."""

    exit_code = exits.BAD_INPUT


class MachineError(ReglabError):
    """The machine, or one that it asks, cannot do its part now. The same command goes on when that is mended."""

    exit_code = exits.PREEMPTED


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text for people and records, also where its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def first_line(error: Exception) -> str:
    """What another library's error says, in a line: its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
