"""Files and texts that others may have written, read within bounds.

A name that a person, a record or a folder gives may be that of a pipe, which nobody writes to, of a device that never ends, or of a
terabyte of nothing. So what is read is a regular file of no more bytes than it can need, and what is in it nests no deeper than it can.
"""

import gzip
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import from_json

from reglab.errors import ReglabError, UserError, machine_fault, shown, without_path

_NUMBER = re.compile(r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)
_LONGEST_NUMBER = 300

_MOST_UNPACKED = 50
"""Bytes, for each that is packed: records shrink to a tenth, those that repeat each other to a thirtieth."""

_UNPACKED_OF_ANY = 10**6
"""Bytes to which a file may unpack, however small it is."""

_KINDS = {"a folder": stat.S_ISDIR, "a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}


def opened(path: Path, most: int, mend: str) -> BufferedReader:
    """Open a regular file of at most `most` bytes to read; the caller closes it. It never waits for a pipe, nor asks a device.

    Raises FileNotFoundError where there is none, UserError, which ends in how to `mend` it, where it is something else or larger, and
    MachineError where the disk does not give it. A file that grows meanwhile may give more: what is read of it is for the caller to count.
    """
    try:
        _refuse_odd(path.stat(), path, most, mend)  # a device that is opened may already act
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # the latter of a name with NUL in it
        raise machine_fault(error) or UserError(f"{shown(path)} cannot be read ({without_path(error)}): {mend}") from None
    stream = os.fdopen(descriptor, "rb")
    try:
        _refuse_odd(os.fstat(descriptor), path, most, mend)
    except ReglabError:
        stream.close()
        raise
    return stream


def whole(path: Path, most: int, mend: str) -> bytes:
    """The bytes of a file. Raises as `opened`, also for one that has more bytes than it tells of, as those of `/proc` do."""
    with opened(path, most, mend) as stream:
        told = os.fstat(stream.fileno()).st_size
        try:
            content = stream.read(told + 1)
        except OSError as error:
            error.filename = str(path)  # a disk's error names none
            raise machine_fault(error) or UserError(f"{shown(path)} cannot be read ({without_path(error)}): {mend}") from None
    if len(content) > told:
        raise UserError(f"{shown(path)} has more bytes than it tells of: {mend}")
    return content


class Lines(Protocol):
    """What gives a line of at most so many bytes."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line with its end, or its first `size` bytes; nothing at the end of the stream."""


def lines(stream: Lines, longest: int, most: int) -> Iterator[bytes]:
    """The lines of a stream of at most `most` bytes in all, each of at most `longest`. Raises ValueError where there is more."""
    total = 0
    while line := stream.readline(longest + 1):
        total += len(line)
        if len(line) > longest or total > most:
            raise ValueError(f"it holds more than {_bytes(most)}, or a line of more than {_bytes(longest)}")
        yield line


def packed_lines(path: Path, longest: int, most: int, mend: str) -> Iterator[bytes]:
    """The lines of a gzip file of at most `most` bytes, each of at most `longest`.

    Raises as `opened`; OSError, EOFError or zlib.error for what is no such file; ValueError for one that unpacks to more than any does: a
    megabyte can be made to unpack to a thousand.
    """
    with opened(path, most, mend) as packed, gzip.GzipFile(fileobj=packed) as stream:
        yield from lines(stream, longest, _MOST_UNPACKED * os.fstat(packed.fileno()).st_size + _UNPACKED_OF_ANY)


def parsed(text: str | bytes, numbers_only: bool = True) -> Any:
    """What a text of JSON holds. Raises ValueError for what is none, nests 200 deep, or holds an integer of 4,300 digits.

    So it does for NaN and infinity, which JSON has not, unless `numbers_only` is false: W&B sends them all the same.
    """
    return from_json(text, allow_inf_nan=not numbers_only)


def number_in(text: str) -> int | float | None:
    """The number that a text is, however it is written: 1e-3 is 0.001. None of what is none, as 007 is, which is a name and not 7."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    return float(text) if any(mark in text.lower() for mark in ".e") else int(text)


def moment_in(text: Any) -> datetime | None:
    """The moment that a text of ISO 8601 is; None of what is none."""
    try:
        return in_utc(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return None


def in_utc(moment: datetime) -> datetime:
    """The moment, in UTC where it does not say where it was noon: what two such moments are compared by."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; false, too, for a name that no file can have, or a path that may not be looked at."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _refuse_odd(about: os.stat_result, path: Path, most: int, mend: str) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = next((kind for kind, matches in _KINDS.items() if matches(about.st_mode)), "a device")
        raise UserError(f"{shown(path)} is {kind}, not a file: {mend}")
    if about.st_size > most:
        raise UserError(f"{shown(path)} is larger than {_bytes(most)}, as none of its kind is: {mend}")


def _bytes(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:,.3g} {unit}"
    return f"{number} bytes"
