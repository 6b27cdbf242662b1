"""The ways a command ends badly, and what other errors say in a line.

A ReglabError carries one line for a person: what is wrong, where, and how to mend it. `reglab.cli.app` prints that line and exits
with the class's code; a traceback is shown with `--debug` only.
"""

import errno
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
    """The machine cannot do its part now: a disk that is full, read-only or away. The same command goes on when that is mended."""

    exit_code = exits.PREEMPTED


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


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text for people and records, also where its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def first_line(error: Exception) -> str:
    """What another library's error says, in a line: its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
