"""What a signal means to each command, and how it is heard. `docs/signals.md` shows the same table; nothing here takes long to import."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from types import FrameType, TracebackType
from typing import Any, Self


class Request(IntEnum):
    """What the outside wants. The larger one wins where both come."""

    none = 0
    preempt = 1  # leave a checkpoint and exit; the same command goes on later
    stop = 2  # end now and keep what was reached; the run does not go on


Meaning = Mapping[signal.Signals, Request]

FROM_OUTSIDE: Meaning = dict.fromkeys(
    (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2),
    Request.preempt,
)
"""To `train` by hand, `sweep run`, `sweep schedule`, `study run`, `demo` and `agent`: a user, a closed terminal, a cluster or a cloud
wants the machine."""

UNDER_WANDB: Meaning = {**FROM_OUTSIDE, signal.SIGTERM: Request.stop}
"""To `train` that W&B's agent started: its SIGTERM is a stop, by hyperband or on W&B's page."""

PREEMPT: signal.Signals = signal.SIGUSR1
STOP: signal.Signals = getattr(signal, "SIGRTMIN", signal.SIGUSR2)
"""What a sweep or an agent here sends its own workers. A stop is a signal that nobody outside sends, not even to all processes of a
job at once; macOS has none to spare."""

WORKER: Meaning = {signal.SIGUSR1: Request.preempt, signal.SIGUSR2: Request.preempt, STOP: Request.stop}
"""To a worker of a sweep or an agent here. What else comes to all of a group or a terminal waits: whoever started it tells it."""

TOLD: Mapping[Request, signal.Signals] = {Request.preempt: PREEMPT, Request.stop: STOP}
"""How a worker is told of a request."""

ALL = frozenset({*FROM_OUTSIDE, *WORKER})

LISTENING = (["train"], ["agent"], ["demo"], ["sweep", "run"], ["sweep", "schedule"], ["study", "run"])
"""The commands that hear signals from their start to their end. To any other a signal does what it does to any program."""


def wait_until_heard(words: Sequence[str]) -> None:
    """Have signals to the command of this command line wait until it listens: until its imports are done they would end it."""
    command = [word for word in words if not word.startswith("-")]
    if any(command[: len(name)] == name for name in LISTENING):
        signal.pthread_sigmask(signal.SIG_BLOCK, ALL)


def heed_no_more() -> None:
    """What this process had to do is done, and how it ends is decided: a signal changes nothing of it."""
    for number in ALL:
        signal.signal(number, signal.SIG_IGN)


class Interrupted(BaseException):
    """A request came where it is to be heeded at once. As with KeyboardInterrupt, nobody takes it for an error to go on from."""

    def __init__(self, request: Request):
        super().__init__(request.name)
        self.request = request


class Signals:
    """Listens while it is open. `received` is what the process is asked to do; the training loop looks at it between steps.

    What was blocked until now (`wait_until_heard`) is heard as it opens; what is ignored, as under nohup, stays ignored.
    """

    def __init__(self, meaning: Meaning = FROM_OUTSIDE) -> None:
        self.received = Request.none
        self._meaning = meaning
        self._then: Callable[[], object] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        for number in self._meaning:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._meaning)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def calling(self, action: Callable[[], object]) -> Iterator[None]:
        """While it is open, `action` is called for each request as it comes, and at once where one has come before."""
        outer, self._then = self._then, action
        try:
            if self.received:
                action()
            yield
        finally:
            self._then = outer

    def at_once(self) -> AbstractContextManager[None]:
        """While it is open, a request raises Interrupted, whatever this process waits for: a download, a lock, a library's import."""
        return self.calling(self._interrupt)

    def check(self) -> None:
        """Raises Interrupted if this process is asked to leave a checkpoint; a stop keeps what was reached, and needs its results."""
        if self.received == Request.preempt:
            self._interrupt()

    def stop(self) -> None:
        """Ask for the run's end from within this process, in any of its threads."""
        self.received = Request.stop

    def _interrupt(self) -> None:
        raise Interrupted(self.received)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.received = max(self.received, self._meaning[signal.Signals(number)])
        if self._then:
            self._then()
