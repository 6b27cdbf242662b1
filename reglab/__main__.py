"""The `reglab` command."""

import sys

from reglab.processes import signals, streams


def main() -> None:
    """Run the command line; under `reglab agent`, have `reglab train` done by the agent's warm worker, which needs no imports here."""
    signals.wait_until_heard(sys.argv[1:])
    streams.outlive_their_reader()
    from reglab.sweep import relay

    if sys.argv[1:] == ["train"] and relay.serves():
        sys.exit(relay.train_there())
    from reglab.cli import app

    app.main()


if __name__ == "__main__":
    main()
