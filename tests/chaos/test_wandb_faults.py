"""A W&B server that is down, slow, cut short, overloaded, broken or no longer takes the key, at every moment of a run.

Right: the run trains as if nothing were, its local record is that of an undisturbed one, and `reglab sync` makes it whole at W&B.
A key that is refused as a run begins is the user's: exit code 2, one line, and nothing is lost, since nothing was begun.
"""

import threading
import time
from itertools import product

import pytest

from reglab.settings import settings
from reglab.tracking import wandb_run
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.chaos.conftest import LONG, WORDS, timeless
from tests.loopback.conftest import wandb_server as wandb_server
from tests.loopback.faults import Fault

pytestmark = pytest.mark.slow

MOMENTS = ("init", "first epoch", "mid-run", "finish")
FAULTS = ("down", *Fault)
KINDS = ("UpsertBucket", "file_stream", "upload", "CreateRunFiles")
TRIALS = [*product(MOMENTS, FAULTS)] if LONG else [(MOMENTS[number % 4], fault) for number, fault in enumerate(FAULTS)]


def rows(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("history.jsonl"))


class Striking(threading.Thread):
    """Strikes when its moment has come, until it is told to end."""

    def __init__(self, server, fault, after, folder):
        super().__init__(daemon=True)
        self.server, self.fault, self.after, self.folder, self.over = server, fault, after, folder, threading.Event()

    def run(self):
        while rows(self.folder) < self.after and not self.over.is_set():
            time.sleep(0.005)
        if self.fault == "down":
            with self.server.down():
                self.over.wait()
        else:
            for kind in KINDS:
                self.server.faults.plan(kind, self.fault, times=10**6, hold_seconds=1)
            self.over.wait()
            for kind in KINDS:
                self.server.faults._planned[kind].clear()


@pytest.fixture
def undisturbed(reglab, tmp_path, monkeypatch):
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "calm"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    settings.cache_clear()
    assert reglab("train", *WORDS) == 0
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WANDB_MODE", "online")
    settings.cache_clear()
    (record,) = read_runs(tmp_path / "calm")
    return timeless(record)


@pytest.mark.parametrize(("moment", "fault"), TRIALS, ids=[f"{moment}-{fault}" for moment, fault in TRIALS])
def test_a_failing_server_costs_no_run(wandb_server, undisturbed, reglab, tmp_path, monkeypatch, capfd, moment, fault):
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 3)
    monkeypatch.setattr(wandb_run, "AGAIN_SECONDS", 2)
    runs = tmp_path / "runs"
    striking = Striking(wandb_server, fault, {"init": 0, "first epoch": 1, "mid-run": 3, "finish": 6}[moment], runs)
    striking.start()
    if moment == "init":
        time.sleep(0.1)
    code = reglab("train", *WORDS)
    striking.over.set()
    striking.join()
    said = capfd.readouterr().err
    assert "unexpected" not in said
    if moment == "init" and fault in (Fault.error_401, Fault.error_403):
        assert code == 2, said
        assert said.count("W&B does not take") == 1
        assert not [record for record in read_runs(runs) if record.state == State.finished]
        code = reglab("train", *WORDS)
    assert code == 0, said
    (record,) = read_runs(runs)
    assert record.damage is None
    assert timeless(record) == undisturbed
    wandb_server.world.silence_seconds = 0.1  # else the server waits for a run that has ended without a word to it
    time.sleep(0.3)
    assert reglab("sync") == 0, capfd.readouterr().err
    (there,) = wandb_server.world.project("reglab").runs.values()
    assert [row["epoch"] for row in there.history] == list(range(1, 7))
    assert there.summary["state"] == "finished"
