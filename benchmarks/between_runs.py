"""What a sweep pays between two runs: `reglab agent` against W&B's own agent, on the same sweep of short runs.

The peer is `wandb agent` with `reglab train` as it is: for each run a process that imports torch and wandb, and an agent
that looks every five seconds whether its run has ended. Ours keeps a warm worker, and has the next run fetched shortly
before the one under way ends. The far end of both is the tests' W&B server on this machine, so no time is lost on a network.

The figure is the period of a run (from the end of one to the end of the next) less the run's training clock.

    python -m benchmarks.between_runs [--runs N] [KEY=VALUE …]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import wandb

from reglab.config import RunConfig, nested, parse_overrides
from reglab.settings import settings
from reglab.tracking.store import read_runs
from reglab.training.environment import cpu_name
from tests.loopback.server import Server
from tests.loopback.state import ENTITY

DEFAULTS = ["data.source=digits", "model.width=16", "train.batch_size=64", "train.epochs=8"]


def registered(overrides: list[str], runs: int) -> str:
    """The path of a sweep of so many seeds, registered at the server that the environment names."""
    values = parse_overrides([*DEFAULTS, *overrides])
    RunConfig.parse(nested(values))
    sections = {name: {"parameters": {key: {"value": value} for key, value in keys.items()}} for name, keys in nested(values).items()}
    sections["train"]["parameters"]["seed"] = {"values": list(range(runs))}
    sweep = {"method": "grid", "command": ["reglab", "train"], "parameters": sections}
    return f"{ENTITY}/bench/{wandb.sweep(sweep, project='bench')}"


def waste(command: list[str], path: str, folder: Path, environment: dict[str, str]) -> float:
    """Seconds of a run's period that are not training, the median over the sweep's runs."""
    sweep = path.rpartition("/")[2]
    runs = folder / "runs"
    subprocess.run([*command, path], check=True, cwd=folder, env=environment | {"REGLAB_RUNS": str(runs)}, stderr=subprocess.DEVNULL)
    ended = sorted(read_runs(runs / sweep), key=lambda record: record.updated)
    periods = [(later.updated - earlier.updated).total_seconds() for earlier, later in pairwise(ended)]
    training = [record.summary.time_train_seconds for record in ended[1:] if record.summary]
    return statistics.median(period - seconds for period, seconds in zip(periods, training, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, Server() as server:
        folder = Path(scratch)
        os.environ.update(server.environment(folder))
        environment = dict(os.environ) | {"REGLAB_CACHE": str(settings().cache)}
        peers = {"wandb agent": [sys.executable, "-m", "wandb", "agent"], "reglab agent": ["reglab", "agent"]}
        seconds = {
            name: waste(command, registered(options.overrides, options.runs), folder, environment) for name, command in peers.items()
        }
        wandb.teardown()
    for name, spent in seconds.items():
        print(f"{name:14}{spent:6.1f} s between two runs")
    ratio = seconds["wandb agent"] / seconds["reglab agent"]
    print(f"ratio         {ratio:6.1f}")
    print(json.dumps({"seconds": seconds, "ratio": ratio, "runs": options.runs, "machine": cpu_name()}))


if __name__ == "__main__":
    main()
