"""Requests to end a run from outside: signals, heard at the next step."""

import signal
from enum import IntEnum
from types import FrameType, TracebackType
from typing import Self


class Request(IntEnum):
    """What the outside wants. The larger one wins where both come."""

    none = 0
    preempt = 1  # SIGUSR1, or SIGINT: leave a checkpoint and exit; the run goes on later
    stop = 2  # SIGTERM, or SIGUSR2: end now and keep what was reached; the run does not go on


_MEANING = {
    signal.SIGUSR1: Request.preempt,
    signal.SIGINT: Request.preempt,
    signal.SIGTERM: Request.stop,  # from W&B's agent
    signal.SIGUSR2: Request.stop,  # from a local sweep, whose workers do not hear a SIGTERM to the whole group
}


class Signals:
    """Listens while it is open. `received` is what the run is asked to do; the training loop looks at it between steps."""

    def __init__(self) -> None:
        self.received = Request.none

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._hear) for number in _MEANING}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.received = max(self.received, _MEANING[signal.Signals(number)])
