"""W&B's agent of one slot: the process that takes runs from the server, and brings each to this machine's own agent."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from reglab.sweep.remote import RemoteSweep
from reglab.tracking.store import LOG
from reglab.tracking.wandb_library import STARTED_BY


def start(sweep: RemoteSweep, folder: Path, count: int | None, address: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start one that takes `count` runs, or all; its files and what it says go to `folder`. `address` leads its runs to the relay."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # W&B's client of this process
    variables = {
        "WANDB_DIR": str(folder.resolve()),
        "WANDB_AGENT_DISABLE_FLAPPING": "true",  # this machine's agent has rules of its own for runs that die
        "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",  # the sweep's command is `reglab`
    }
    command = [sys.executable, "-P", "-m", "reglab.tracking.wandb_library", "agent", sweep.path]  # nothing of this folder
    if sweep.program:
        variables[STARTED_BY] = json.dumps([sys.executable, "-P", "-m", "reglab.sweep.relay"])
    command += [] if count is None else ["--count", str(count)]
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            env={**own, **variables, **address},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a terminal's Ctrl-C is for this process alone
        )
