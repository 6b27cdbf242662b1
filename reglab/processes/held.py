"""What one process does at a time, on all that share a disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from reglab.errors import UserError


@contextmanager
def held(lock: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock, its folder made. Raises UserError, with what is said `otherwise`, where another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    holding = FileLock(lock)
    try:
        holding.acquire(timeout=0)
    except Timeout:
        raise UserError(otherwise) from None
    try:
        yield
    finally:
        holding.release()
