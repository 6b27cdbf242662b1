"""Reading a large project back from W&B: reglab against W&B's own Api, on the same runs.

The peer is what the documentation shows: `Api().runs(…)`, and `scan_history()` for each run. Ours asks for fifty runs at a
time, histories included, and keeps what has ended. The far end of both is the tests' W&B server on this machine, in a process
of its own; over a network the number of requests weighs more than here. The peer reads a part of the runs only.

    python -m benchmarks.reading_back [--runs N] [--epochs N] [--peer-runs N]
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reglab.config import RunConfig, identity
from reglab.tracking.record import Epoch
from reglab.training.environment import cpu_name

PROJECT = "large"


def serve(home: Path, runs: int, epochs: int, pipe: Connection) -> None:
    """A W&B server with a project of so many finished runs. Answers every word with the number of requests since the last."""
    from tests.loopback.server import Server
    from tests.loopback.state import HISTORY, Run

    history = [json.dumps({"_step": number} | _row(number).metrics()) for number in range(1, epochs + 1)]
    with Server() as server:
        project = server.world.project(PROJECT)
        for seed in range(runs):
            config = RunConfig.parse({"train": {"seed": seed, "epochs": epochs}})
            beside = {"schema_version": 1, "identity": identity(config), "label": config.label, "created": "2026-01-01T00:00:00Z"}
            summary = {"state": "finished", "updated": "2026-01-02T00:00:00Z", "test/accuracy": 0.7, "parameters": 1, "epochs": epochs}
            run = Run(
                name=f"run{seed}",
                state="finished",
                config={key: {"value": value} for key, value in (config.model_dump(mode="json") | beside).items()},
                summary=summary | {"time/train_seconds": 1.0, "time/wall_seconds": 2.0},
            )
            run.streams[HISTORY] = history
            project.add(run)
        pipe.send(server.environment(home))
        before = 0
        while pipe.recv():
            pipe.send(len(server.requests) - before)
            before = len(server.requests)


def _row(number: int) -> Epoch:
    return Epoch(
        epoch=number,
        train_loss=1 / number,
        train_accuracy=0.5,
        test_loss=1 / number,
        test_accuracy=0.5,
        gap=0.0,
        lr=0.001,
        time_train_seconds=number,
        time_wall_seconds=2.0 * number,
        throughput_images_per_second=1000.0,
        agc_clipped_fraction=0.1,
        dropout_rate=0.2,
    )


def ours() -> int:
    """Read every run with its epochs, one after the other; returns how many."""
    from reglab.tracking.wandb_project import Project, records
    from tests.loopback.state import ENTITY

    return sum(bool(record.history) for record in records(Project(ENTITY, PROJECT)))


def peer(runs: int) -> int:
    """The same with W&B's Api, of the first so many runs."""
    import wandb

    from tests.loopback.state import ENTITY

    found = wandb.Api().runs(f"{ENTITY}/{PROJECT}", per_page=50)
    return sum(bool(list(found[number].scan_history())) for number in range(runs))


def in_a_process(read: Callable[..., int], *arguments: int) -> tuple[float, float, int]:
    """Seconds, peak memory in GB, and runs read, of a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (read, *arguments))


def _measured(read: Callable[..., int], *arguments: int) -> tuple[float, float, int]:
    start = time.perf_counter()
    count = read(*arguments)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--peer-runs", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(Path(scratch), options.runs, options.epochs, there), daemon=True
        )
        server.start()
        os.environ.update(here.recv() | {"REGLAB_CACHE": str(Path(scratch) / "cache")})
        found = {}
        cases: dict[str, tuple[Any, ...]] = {"first read": (ours,), "second read": (ours,), "W&B's Api": (peer, options.peer_runs)}
        for name, (read, *arguments) in cases.items():
            seconds, memory, count = in_a_process(read, *arguments)
            here.send(True)
            found[name] = {"runs": count, "seconds": seconds, "requests": here.recv(), "peak_gb": memory}
            print(f"{name:12}{count:7,} runs{seconds:8.1f} s{found[name]['requests']:7,} requests{memory:6.2f} GB")
        here.send(False)
        server.join()
    ratio = found["W&B's Api"]["seconds"] / options.peer_runs / (found["first read"]["seconds"] / options.runs)
    print(f"W&B's Api takes {ratio:.0f} times as long for a run")
    print(json.dumps({"ratio": ratio, "machine": cpu_name()} | found))


if __name__ == "__main__":
    main()
