"""What a sweep pays between two runs: `reglab agent` against W&B's own agent, on the same sweep of short runs.

The peer is `wandb agent` with `reglab train` as it is: for each run a process that imports torch and wandb, and an agent
that looks every five seconds whether its run has ended. Ours keeps a warm worker, and has the next run fetched shortly
before the one under way ends. The far end of both is the tests' W&B server on this machine, so no time is lost on a network.

The figure is the period of a run (from the end of one to the end of the next) less the run's training clock.

A round is a run more of the sweep, the first of which is not counted.

    reglab bench between_runs [--rounds N] [KEY=VALUE …]
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import wandb

from benchmarks import measure as shared
from benchmarks.measure import Outcome, Result
from reglab.config import RunConfig, nested, parse_overrides
from reglab.settings import settings
from reglab.tracking.store import read_runs
from tests.loopback.server import Server
from tests.loopback.state import ENTITY

ROUNDS = 5
DEFAULTS = ["data.source=digits", "model.width=16", "train.batch_size=64", "train.epochs=8"]


def registered(overrides: Sequence[str], runs: int) -> str:
    """The path of a sweep of so many seeds, registered at the server that the environment names."""
    values = parse_overrides([*DEFAULTS, *overrides])
    RunConfig.parse(nested(values))
    sections = {name: {"parameters": {key: {"value": value} for key, value in keys.items()}} for name, keys in nested(values).items()}
    sections["train"]["parameters"]["seed"] = {"values": list(range(runs))}
    sweep = {"method": "grid", "command": ["reglab", "train"], "parameters": sections}
    return f"{ENTITY}/bench/{wandb.sweep(sweep, project='bench')}"


def waste(command: list[str], path: str, folder: Path, environment: dict[str, str]) -> list[float]:
    """Seconds of each run's period that are not training; all runs of the sweep but the first."""
    sweep = path.rpartition("/")[2]
    runs = folder / "runs"
    subprocess.run([*command, path], check=True, cwd=folder, env=environment | {"REGLAB_RUNS": str(runs)}, stderr=subprocess.DEVNULL)
    ended = sorted(read_runs(runs / sweep), key=lambda record: record.updated)
    periods = [(later.updated - earlier.updated).total_seconds() for earlier, later in pairwise(ended)]
    training = [record.summary.time_train_seconds for record in ended[1:] if record.summary]
    return [period - seconds for period, seconds in zip(periods, training, strict=True)]


def measure(overrides: Sequence[str], rounds: int | None = None) -> Iterator[Outcome]:
    runs = (rounds or ROUNDS) + 1
    peers = {"wandb agent": [sys.executable, "-m", "wandb", "agent"], "reglab agent": ["reglab", "agent"]}
    with tempfile.TemporaryDirectory() as scratch, Server() as server:
        folder = Path(scratch)
        cache, before = str(settings().cache), dict(os.environ)
        os.environ.update(server.environment(folder))
        try:
            environment = dict(os.environ) | {"REGLAB_CACHE": cache}
            seconds = {name: waste(command, registered(overrides, runs), folder, environment) for name, command in peers.items()}
            wandb.teardown()
        finally:
            os.environ.clear()
            os.environ.update(before)
    yield Result.of("between_runs", "between two runs", seconds, ("wandb agent", "reglab agent"), shared.device(), {"runs": runs})


if __name__ == "__main__":
    shared.main(measure, __doc__)
