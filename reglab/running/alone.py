"""Holding a run: two processes must not train it at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from reglab.errors import MachineError, UserError
from reglab.processes.signals import Signals
from reglab.tracking.store import RUN_LOCK

PATIENCE_SECONDS = 30.0
"""How long it waits for the process that has the run, and may be leaving a checkpoint."""


@contextmanager
def alone(folder: Path, signals: Signals) -> Iterator[None]:
    """Hold the run in `folder`: two processes must not train it at once. Waits for one that is leaving its checkpoint."""
    lock = FileLock(folder / RUN_LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with signals.at_once():
            lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        raise UserError(f"{folder}: another process is training this run; wait for it to end") from None
    except OSError as error:
        raise MachineError(f"{folder} cannot be written ({error.strerror}): set REGLAB_RUNS to a folder that can") from None
    try:
        yield
    finally:
        lock.release()
