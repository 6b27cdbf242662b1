"""How the processes that train are started: as forks of one server, which has imported everything once."""

import multiprocessing
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext

from reglab.processes import signals, sockets


def context(preloaded: Sequence[str]) -> ForkServerContext:
    """What starts forks of a server that has imported these modules, and ends with the process that it forks for."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([*preloaded, "reglab.processes.server_exit"])
    return found


@contextmanager
def undisturbed() -> Iterator[None]:
    """Start forks while it is open: what is sent to this process waits so long, and never ends the server or a fork of it.

    A terminal's Ctrl-C and its end, a machine's shutdown and a cluster's notice go to every process of a group. Blocked here, they are
    blocked in the server and its forks: the process that starts them hears them, and tells each what it wants; what it tells waits
    until the fork listens. Raises UserError where no folder is fit for the server's socket.
    """
    usual, folder = tempfile.tempdir, sockets.folder()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals.ALL - {signal.SIGINT, signal.SIGTERM})
    try:
        resource_tracker.ensure_running()  # it ignores these two by itself, and would unblock them
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.ALL)
        tempfile.tempdir = folder
        yield
    finally:
        tempfile.tempdir = usual
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
