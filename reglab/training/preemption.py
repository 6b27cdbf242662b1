"""Requests to end a run from outside: signals, heard at the next step."""

import signal
from collections.abc import Iterable
from enum import IntEnum
from types import FrameType, TracebackType
from typing import Any, Self


class Request(IntEnum):
    """What the outside wants. The larger one wins where both come."""

    none = 0
    preempt = 1  # SIGUSR1, or SIGINT: leave a checkpoint and exit; the run goes on later
    stop = 2  # SIGTERM, SIGUSR2 or W&B's page: end now and keep what was reached; the run does not go on


_MEANING = {
    signal.SIGUSR1: Request.preempt,
    signal.SIGINT: Request.preempt,
    signal.SIGTERM: Request.stop,  # from W&B's agent
    signal.SIGUSR2: Request.stop,  # from reglab's own sweeps and agents, whose workers do not hear a SIGTERM to the whole group
}

REQUESTS = frozenset({signal.SIGUSR1, signal.SIGUSR2})
"""Those that mean nothing but a request: a run may listen to them from its first moment on."""


class Signals:
    """Listens while it is open. `received` is what the run is asked to do; the training loop looks at it between steps.

    Of its `numbers`, one that was blocked until now (see `reglab.cli.worker`) is heard as it opens.
    """

    def __init__(self, numbers: Iterable[signal.Signals] = _MEANING) -> None:
        self.received = Request.none
        self._numbers = frozenset(numbers)
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.listen(self._numbers)
        return self

    def listen(self, numbers: Iterable[signal.Signals] = _MEANING) -> None:
        """Hear these, too."""
        for number in numbers:
            before = signal.signal(number, self._hear)
            self._before.setdefault(number, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self) -> None:
        """Ask for the run's end from within this process, in any of its threads."""
        self.received = Request.stop

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.received = max(self.received, _MEANING[signal.Signals(number)])
