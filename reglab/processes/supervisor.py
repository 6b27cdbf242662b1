"""How the processes that this one started are looked after: told once, given time, killed, and accounted for. A sweep here, an agent
and W&B's scheduler here all stand on it."""

import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from reglab.processes.signals import PREEMPT

GRACE_SECONDS = 25.0
"""How long a worker may take to leave a checkpoint before it is killed: cloud machines give 30 seconds."""

KILL_SECONDS = 10.0
"""How long a process that was killed may take to be gone: one that a driver holds may never be."""

_END_OF_A_LOG = 2**16
"""Bytes in which its last line is looked for."""


class Process(Protocol):
    """A process that was started, as `multiprocessing` gives one."""

    @property
    def pid(self) -> int | None:
        """Its number; None before it was started."""

    @property
    def exitcode(self) -> int | None:
        """How it ended, below zero by a signal; None while it lives."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""


class Subprocess(subprocess.Popen[bytes]):
    """A process of `subprocess`, as a `Process`."""

    @property
    def exitcode(self) -> int | None:
        """How it ended, below zero by a signal; None while it lives."""
        return self.poll()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout)


class Start(Protocol):
    """Starts a worker for the run that the environment variables hand over, on these cores if there are any.

    Its output goes to the file.
    """

    def __call__(self, variables: Mapping[str, str], log: Path, cores: Collection[int] = ()) -> Process:
        """Return the worker, which has begun."""


@dataclass(eq=False, kw_only=True)
class Child:
    """A process that is looked after: what it was told, and how it ended. What it works on is a subclass's."""

    process: Process
    told: set[signal.Signals] = field(default_factory=set)
    exitcode: int | None = None
    """As it was last asked for; None while it lives."""

    def look(self) -> None:
        """Read how far it is."""

    def account_for_death(self) -> None:
        """Correct what it left, since it did not live to say how it ended."""

    def preempt(self) -> None:
        """Ask it to leave what it can go on from, and end."""
        self.tell(PREEMPT)

    def tell(self, what: signal.Signals) -> None:
        """Send it a signal, once. It does not ask for the exit code, which is for one thread to ask."""
        if what not in self.told and self.exitcode is None:
            self.told.add(what)
            self._send(what)

    def kill(self) -> None:
        """End it now, if it is still there."""
        if self.process.exitcode is None:
            self._send(signal.SIGKILL)
        self.process.join(KILL_SECONDS)

    def _send(self, what: signal.Signals) -> None:
        assert self.process.pid is not None, "it was started"
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, what)


C = TypeVar("C", bound=Child)


class Supervisor(Generic[C]):
    """Looks after children from their start to their end."""

    def __init__(self) -> None:
        self.children: list[C] = []
        self._preempting_since: float | None = None

    def add(self, child: C) -> None:
        """Look after one more. It is told to leave at once where the others were while it started."""
        self.children.append(child)
        if self.preempting:
            child.preempt()

    @property
    def preempting(self) -> bool:
        """Whether the children were asked to leave."""
        return self._preempting_since is not None

    @property
    def seconds_preempting(self) -> float:
        """Since the children were first asked to leave; 0 where they were not."""
        return 0.0 if self._preempting_since is None else time.monotonic() - self._preempting_since

    @property
    def out_of_grace(self) -> bool:
        """Whether what was asked to leave has had its time."""
        return self.seconds_preempting > GRACE_SECONDS

    def preempt(self) -> None:
        """Ask each child, at once and once, to leave what it can go on from. Safe to call from a signal handler and a thread."""
        if self._preempting_since is None:
            self._preempting_since = time.monotonic()
        for child in list(self.children):
            child.preempt()

    def look(self) -> Iterator[C]:
        """Each child, after a look at it. One with an exit code has ended, and is a child no longer."""
        for child in list(self.children):
            child.exitcode = child.process.exitcode  # before the look: a worker writes what it came to, then exits
            child.look()
            if child.exitcode is not None:
                self.children.remove(child)
            yield child

    def kill(self, child: C) -> None:
        """End a child without waiting for its word."""
        child.kill()
        child.account_for_death()
        self.children.remove(child)

    def kill_all(self) -> None:
        """End all that are still there."""
        for child in list(self.children):
            self.kill(child)


def last_line(path: Path) -> str:
    """The last thing that a process said, of whatever length its log is."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _END_OF_A_LOG))
            lines = log.read(_END_OF_A_LOG).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
