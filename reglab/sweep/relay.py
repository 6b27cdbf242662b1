"""How a run that W&B's agent starts comes to a worker that is warm already.

W&B's agent starts `reglab train` for each run. Under `reglab agent` that process trains nothing: it passes its assignment
on through a Unix socket, passes on the signals it gets, waits, and exits as the worker did. It must start in milliseconds,
so this module and what it imports are small. A message is a line of JSON. Of another program it is the same: W&B's agent starts this
module with the program's command, which the worker then runs.
"""

import json
import os
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from reglab.exits import PREEMPTED
from reglab.processes import sockets
from reglab.processes.signals import TOLD, UNDER_WANDB

ADDRESS, SLOT = "REGLAB_AGENT_SOCKET", "REGLAB_AGENT_SLOT"

COMMAND = "REGLAB_AGENT_COMMAND"
"""The words, JSON, by which W&B's agent would have started another program than `reglab train`."""

_PASSED_ON = {number: TOLD[request] for number, request in UNDER_WANDB.items()}
"""What a client hears, and what the worker is told: to stop, or to leave a checkpoint."""


@dataclass(eq=False)
class Order:
    """A run that a client brought for a slot, with the variables that hand it over. `wants` is what the client was told since."""

    slot: int
    variables: dict[str, str]
    connection: socket.socket
    wants: list[signal.Signals] = field(default_factory=list)
    gone: bool = False

    def answer(self, exitcode: int) -> None:
        """End the client, with this exit code."""
        with suppress(OSError):  # it was killed
            self.connection.sendall(_line({"exit": exitcode}))


class Relay:
    """The agent's end: `poll` gives the orders that came. The socket is in a folder that only this user may enter."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="reglab-", dir=sockets.folder())
        self.address = Path(self._folder.name) / "agent"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.address))
        self._socket.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._folder.cleanup()

    def variables(self, slot: int) -> dict[str, str]:
        """What leads a client of this slot here."""
        return {ADDRESS: str(self.address), SLOT: str(slot)}

    def poll(self, seconds: float) -> Iterator[Order]:
        """The orders that came; waits for news no longer than this. Older orders learn what their clients were told."""
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._socket:
                connection, _ = self._socket.accept()
                self._selector.register(connection, selectors.EVENT_READ, _Client(connection))
            elif order := key.data.receive():
                yield order
            if key.data and key.data.closed:
                self._selector.unregister(key.fileobj)
                key.data.connection.close()


class _Client:
    """The agent's view of one client."""

    def __init__(self, connection: socket.socket):
        self.connection, self.closed = connection, False
        self._order: Order | None = None
        self._unread = b""

    def receive(self) -> Order | None:
        """Take in what it sent; returns its order when that is complete."""
        try:
            received = self.connection.recv(1 << 16)
        except OSError:
            received = b""
        if not received:
            self.closed = True
            if self._order:
                self._order.gone = True
            return None
        *lines, self._unread = (self._unread + received).split(b"\n")
        new = None
        for line in lines:
            said = json.loads(line)
            if self._order is None:
                new = self._order = Order(said["slot"], said["variables"], self.connection)
            else:
                self._order.wants.append(signal.Signals(said["signal"]))
        return new


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def serves() -> bool:
    """Whether this process was started for an agent that has a warm worker."""
    return ADDRESS in os.environ


def train_there(words: Sequence[str] = ()) -> int:
    """The client's end: have the agent's worker train the run, or start another program by these words. Returns the exit code.

    Without its agent the work is over: it ends the W&B agent that started it, too, or that one would go on taking runs. That one
    leads the session; whatever adopts the children of a dead one does not.
    """
    connection = socket.socket(socket.AF_UNIX)

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            connection.sendall(_line({"signal": _PASSED_ON[signal.Signals(number)]}))

    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    for number in _PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    try:
        connection.connect(os.environ[ADDRESS])
        # The key is in the agent's environment already.
        variables = {name: value for name, value in os.environ.items() if name.startswith("WANDB_") and name != "WANDB_API_KEY"}
        if words:
            variables[COMMAND] = json.dumps(words)
        connection.sendall(_line({"slot": int(os.environ[SLOT]), "variables": variables}))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        with connection.makefile() as stream:
            answer = stream.readline()
    except OSError:
        answer = ""
    if answer:
        return int(json.loads(answer)["exit"])
    print("reglab: the agent of this machine is gone; the run goes on another time", file=sys.stderr)  # noqa: T201
    if (parent := os.getppid()) == os.getsid(0):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(parent, signal.SIGTERM)
    return PREEMPTED  # its run goes on another time


if __name__ == "__main__":
    sys.exit(train_there(sys.argv[1:]))
