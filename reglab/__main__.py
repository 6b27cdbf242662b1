"""The `reglab` command."""

import signal
import sys

_REQUESTS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
"""What W&B's agent or a sweep may tell a run, as soon as it has started it: `reglab.training.preemption` is not imported yet."""


def main() -> None:
    """Run the command line; under `reglab agent`, have `reglab train` done by the agent's warm worker, which needs no imports here."""
    if sys.argv[1:2] == ["train"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)  # they wait until the run listens; at once they would end it
    from reglab.sweep import relay

    if sys.argv[1:] == ["train"] and relay.serves():
        sys.exit(relay.train_there())
    from reglab.cli import app

    app.main()


if __name__ == "__main__":
    main()
