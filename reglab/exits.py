"""Exit codes. 0 is done; whoever starts `reglab` (SkyPilot, systemd, a script) decides by the others what to do."""

import signal

FAILED = 1
"""Something went wrong that is not the user's doing, or a run failed."""

BAD_INPUT = 2
"""The input cannot be used as given."""

FAILS = 3
"""Of `reglab judge`: what was asked is not so."""

UNDECIDED = 4
"""Of `reglab judge`: these runs do not tell yet."""

PREEMPTED = 75
"""Ended before it was done (EX_TEMPFAIL, try again), on request or by a fault of the machine's, such as a full disk: the same command
goes on, in a sweep on W&B on any machine."""

INTERRUPTED = 130
"""Ctrl-C on a command that has nothing to go on with: the shells' 128 + SIGINT."""

SERVER_LOST = 255
"""Of a worker: what multiprocessing says of a fork whose server is gone. It may even live on."""


def killed_by(exitcode: int) -> str | None:
    """The signal that ended a process, in words; None of one that ended by itself."""
    return f"killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else None
