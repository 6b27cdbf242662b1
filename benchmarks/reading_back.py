"""Reading a large project back from W&B: reglab against W&B's own Api, on the same runs.

The peer is what the documentation shows: `Api().runs(…)`, and `scan_history()` for each run. Ours asks for fifty runs at a
time, histories included, and keeps what has ended. The far end of both is the tests' W&B server on this machine, in a process
of its own; over a network the number of requests weighs more than here. The peer reads a part of the runs only;
seconds are those of a run. Both read once.

    reglab bench reading_back
"""

import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import measure as shared
from benchmarks.measure import Outcome, Result
from reglab.config import RunConfig, identity
from reglab.tracking.results import Epoch

RUNS, EPOCHS, PEER_RUNS = 10_000, 20, 100
API = "W&B's Api"
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
    from reglab.tracking.wandb_api import Project
    from reglab.tracking.wandb_project import records
    from tests.loopback.state import ENTITY

    return sum(bool(record.history) for record in records(Project(ENTITY, PROJECT)))


def peer(runs: int) -> int:
    """The same with W&B's Api, of the first so many runs."""
    import wandb

    from tests.loopback.state import ENTITY

    found = wandb.Api().runs(f"{ENTITY}/{PROJECT}", per_page=50)
    return sum(bool(list(found[number].scan_history())) for number in range(runs))


CASES: dict[str, tuple[Callable[..., int], tuple[int, ...]]] = {
    "first read": (ours, ()),
    "second read": (ours, ()),
    API: (peer, (PEER_RUNS,)),
}


def measure(overrides: Sequence[str] = (), rounds: int | None = None) -> Iterator[Outcome]:
    """Takes no overrides and has one round."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as scratch:
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(Path(scratch), RUNS, EPOCHS, there), daemon=True)
        server.start()
        os.environ.update(here.recv() | {"REGLAB_CACHE": str(Path(scratch) / "cache")})
        seconds, facts = {}, dict[str, Any]()
        try:
            for name, (read, arguments) in CASES.items():
                spent, memory, count = shared.in_a_process(read, *arguments)
                here.send(True)
                seconds[name] = [spent / count]
                facts |= {f"runs of {name}": count, f"requests of {name}": here.recv(), f"peak GB of {name}": memory}
        finally:
            here.send(False)
            server.join()
            os.environ.clear()
            os.environ.update(before)
    for name in ("first read", "second read"):
        yield Result.of("reading_back", name, seconds, (API, name), shared.device(), facts)


if __name__ == "__main__":
    shared.main(measure, __doc__)
