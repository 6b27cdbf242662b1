"""Waiting for another process or a server: it says for what, ends where nothing comes, and lets a signal's handler raise at any moment."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from reglab.console import say
from reglab.errors import UserError

Alive = Callable[[], None]
"""Called again and again by who holds a lock: the sign by which those who wait for it know that it goes on."""

FIRST_LINE_SECONDS = 5.0
"""After so long a wait is told of; a short one is nobody's affair."""

LINE_SECONDS = 60.0
"""Between the lines that follow."""

SILENCE_SECONDS = 600.0
"""How long a process that holds a lock may show no sign of life."""

_POLL_SECONDS = 0.1
_BEAT_SECONDS = 2.0


class Wait:
    """One wait: `tell` says a line about it after some seconds, and then each minute."""

    def __init__(self) -> None:
        self._next = time.monotonic() + FIRST_LINE_SECONDS

    def tell(self, line: Callable[[], str]) -> None:
        """Say `line` where it is time for one; else say nothing."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            say(line())


def in_background(work: Callable[[threading.Event], None], alive: Alive, line: Callable[[], str]) -> None:
    """Do what may block for long, such as asking a server, in a thread, while this one hears signals and says `line`.

    `work` is handed an event that tells it to give up: nobody waits for it any more. What it raises is raised here.
    """
    given_up, failed, wait = threading.Event(), list[BaseException](), Wait()

    def run() -> None:
        try:
            work(given_up)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="waiting", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            alive()
            wait.tell(line)
    finally:
        given_up.set()
    if failed:
        raise failed[0]


@contextmanager
def alone(path: Path, what: str) -> Iterator[Alive]:
    """Hold `<path>.lock`, whose holder is `what`: "decoding these images". Other processes wait for it.

    Yields what the holder has to call all along. Raises UserError where another one has not for `SILENCE_SECONDS`.
    """
    lock, beat = FileLock(f"{path}.lock"), path.with_name(f"{path.name}.alive")
    wait, seen, since = Wait(), _changed(beat), time.monotonic()
    while True:
        try:
            lock.acquire(timeout=_POLL_SECONDS)
            break
        except Timeout:
            wait.tell(lambda: f"waiting for another process that is {what} ({lock.lock_file})")
            if (now := _changed(beat)) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > SILENCE_SECONDS:
                raise UserError(
                    f"{lock.lock_file}: the process that holds it should be {what}, and has not gone on for "
                    f"{SILENCE_SECONDS / 60:.0f} minutes: end it, and run this again"
                ) from None
    try:
        with suppress(OSError):
            beat.touch()
        yield _beating(beat)
    finally:
        beat.unlink(missing_ok=True)
        lock.release()


def _beating(beat: Path) -> Alive:
    due = 0.0

    def alive() -> None:
        nonlocal due
        if (now := time.monotonic()) >= due:
            due = now + _BEAT_SECONDS
            with suppress(OSError):  # a full disk: the work itself will say so
                beat.touch()

    return alive


def _changed(beat: Path) -> int | None:
    try:
        return beat.stat().st_mtime_ns
    except OSError:
        return None
