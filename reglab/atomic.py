"""Files that are there whole or not at all, whatever happens while they are written; and what was left where nothing could be helped."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def write_whole(path: Path, write: Callable[[BinaryIO], object], before: Path | None = None) -> None:
    """Write `path` through `write`, into a temporary file beside it that then takes its place.

    A reader sees the old file or the new one; a crash or a full disk leaves the old one. Creates the folder. An OSError names `path`.
    `before`: under this name what was there until now stays.
    """
    temporary = path
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary, stream = _opened(path)
            with stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
                if before:
                    _keep(path, before)
                temporary.replace(path)
        except BaseException:
            if temporary != path:
                with suppress(OSError):  # a disk that went away: what is wrong with it has been raised
                    temporary.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError inside is one of `path`: a write names no file, and a temporary file's name helps nobody."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise


def leftovers(path: Path) -> Iterator[Path]:
    """What processes that were killed in the middle of writing `path` left beside it."""
    return path.parent.glob(f".{path.name}.*.tmp")


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written in `folder`; what a living one is writing stays."""
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError), path.open("r+b") as stream:  # gone already, or in use
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Tell other processes, as long as it is open, that `folder` is in use by a living one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: nobody takes it for abandoned there
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def is_abandoned(folder: Path) -> bool:
    """Whether no process holds `folder`; false, too, where that cannot be told."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _keep(path: Path, before: Path) -> None:
    """A second name for what is there: it costs room and no time."""
    spare = path.with_name(f".{before.name}.{secrets.token_hex(4)}.tmp")
    with suppress(OSError):  # there is none yet, or a file system without links
        os.link(path, spare)
        spare.replace(before)


def _opened(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path`, locked as long as it is open: that tells `sweep` that somebody is writing it."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        stream = temporary.open("xb")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # it was swept before it was locked
            stream.close()
            continue
        except OSError:  # a file system without locks, where nothing is swept
            return temporary, stream
        if os.fstat(stream.fileno()).st_nlink:
            return temporary, stream
        stream.close()
