"""The `reglab` command."""

import os
import sys

from reglab.processes import signals, streams


def main() -> None:
    """Run the command line; under `reglab agent`, have `reglab train` done by the agent's warm worker, which needs no imports here."""
    os.environ["PYTHONSAFEPATH"] = "1"  # what this process starts imports nothing because it lies in the working folder
    signals.wait_until_heard(sys.argv[1:])
    streams.outlive_their_reader()
    from reglab.sweep import relay

    if sys.argv[1:] == ["train"] and relay.serves():
        sys.exit(relay.train_there())
    from reglab.cli import app

    app.main()


if __name__ == "__main__":
    main()
