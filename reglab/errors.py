"""The ways a command ends badly, and how what others wrote is shown: in errors, on terminals, in records.

A ReglabError carries one line for a person: what is wrong, where, and how to mend it. `reglab.cli.app` prints that line and exits
with the class's code; a traceback is shown with `--debug` only.
"""

import errno
import os
import unicodedata
from typing import Any

from reglab import exits

LONGEST = 1000
"""Characters of an error's line."""

QUOTED = 80
"""Characters of a value that an error's line quotes."""

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Kinds of characters that a terminal obeys, or that change how the others are seen: controls, directions, halves of a pair, breaks."""

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""They are part of words in some scripts, and of emoji."""


class ReglabError(Exception):
    """Something went wrong that is not the user's doing."""

    exit_code = exits.FAILED

    def __init__(self, message: str):
        super().__init__(shortened(shown(" ".join(message.split())), LONGEST))  # one line, whatever the input had in it


class UserError(ReglabError):
    """The input cannot be used as given; the message says how to mend it."""

    exit_code = exits.BAD_INPUT


class MachineError(ReglabError):
    """The machine, or one that it asks, cannot do its part now. The same command goes on when that is mended."""

    exit_code = exits.PREEMPTED


def shown(text: str | os.PathLike[str]) -> str:
    r"""A text or a path as a terminal, a record and a reader can take it: what is not printed is written out, as `\x1b` or `\u202e`.

    So is a byte of a path that is no UTF-8. Everything that is printed stays as it is, in every script.
    """
    text = os.fspath(text)
    return text if text.isprintable() else "".join(map(_written_out, text))


def _written_out(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN or character in _JOINERS:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python has a byte that is no UTF-8
        code -= 0xDC00
    return chr(code).encode("unicode_escape").decode()


def shortened(text: str, longest: int) -> str:
    """The beginning and the end of a long text: an error says first what is wrong, and last how to mend it."""
    if len(text) <= longest:
        return text
    beginning, end = text[: 2 * longest // 3], text[2 * longest // 3 - longest :]
    return f"{beginning} … {len(text) - longest:,} characters … {end}"


def excerpt(value: Any) -> str:
    """What was given, as an error's line quotes it: whole where it is short, and never more than that line needs."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list a thousand deep
        return f"a {type(value).__name__} too large to be shown"
    return shortened(shown(text), QUOTED)


_NO_ROOM = ("there is no room left", "make room")
_AWAY = ("its disk does not answer", "look after the disk, or its server")

_OF_DISKS = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EROFS: ("its file system is read-only", "mount it for writing, or name another folder"),
    errno.EIO: _AWAY,
    errno.ESTALE: _AWAY,
    errno.ENODEV: _AWAY,
    errno.ENXIO: _AWAY,
}
"""What a number can mean of a disk only: the fault, and the remedy."""

_OF_PATHS = {
    errno.EACCES: ("this user may not use it", "give the rights, or name another folder"),
    errno.EPERM: ("this user may not use it", "give the rights, or name another folder"),
    errno.ENOTDIR: ("a part of its path is no folder", "move that away, or name another folder"),
    errno.ENOTCONN: _AWAY,
    errno.EHOSTDOWN: _AWAY,
}
"""The same of numbers that are a disk's where a path stands beside them, and may be something else where none does."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or this user's part of it, has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def path_fault(error: BaseException) -> UserError | None:
    """The error in a line where a path that was given can be none: longer than the system takes, links that lead in a circle, a null."""
    if isinstance(error, UnicodeEncodeError):  # of a path on its way to the system; what is written elsewhere is made fit before
        return UserError(f"{excerpt(error.object)}: no file can have such a name: give another")
    if isinstance(error, ValueError) and str(error) == "embedded null byte":  # Python 3.11 asks the system for it
        return UserError("the name of a file has a null in it, which none can have: give another")
    if not isinstance(error, OSError) or error.errno not in _OF_NO_PATH or error.filename is None:
        return None
    return UserError(f"{excerpt(error.filename)}: {_OF_NO_PATH[error.errno]}: give another")


_OF_NO_PATH = {errno.ENAMETOOLONG: "no file can have so long a name", errno.ELOOP: "its links lead in a circle"}


def machine_fault(error: BaseException) -> MachineError | None:
    """The error in a line with path and remedy, where it is a disk's; None where it is another's."""
    if isinstance(error, MachineError):
        return error
    if not isinstance(error, OSError) or error.errno is None:
        return None
    found = _OF_DISKS.get(error.errno) or (_OF_PATHS.get(error.errno) if error.filename is not None else None)
    if found is None:
        return None
    where = "a file" if error.filename is None else shown(error.filename) if not isinstance(error.filename, int) else "standard output"
    what, remedy = found
    return MachineError(f"{where}: {what} ({error.strerror}): {remedy}; the same command goes on then")


def in_one_line(error: BaseException) -> str:
    """All that another library's error says, its line breaks as spaces."""
    return " ".join(str(error).split())


def first_line(error: Exception) -> str:
    """What another library's error says first, where it goes on for pages, as torch's do: its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def without_path(error: Exception) -> str:
    """What another library's error says first; one of a file's is told without its number and path, which the line has elsewhere."""
    return getattr(error, "strerror", None) or first_line(error)
