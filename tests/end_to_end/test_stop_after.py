"""A study in calls of some seconds each, and on another machine that has nothing but the records."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import reglab
from reglab.tracking.record import State
from reglab.tracking.store import ARCHIVE, HISTORY, RECORD, read_runs, write_archive
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

TINY = ("data.train_limit=128", "data.test_limit=64", "model.width=4", "train.batch_size=32")
STUDY = ("study", "run", "--quick", "--only", "augmentation", "--workers", "2", "cell=augment.policy=none", "train.seed=[0,1]", *TINY)
"""Two runs, four steps an epoch."""


@pytest.fixture
def reglab_on(tmp_path):
    """Runs `reglab` on one of several machines, a folder each: returns its exit code, what it said, and the seconds it took."""

    def run(machine, *words):
        folder = tmp_path / machine
        folder.mkdir(exist_ok=True)
        environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1]), "REGLAB_RUNS": str(folder / "runs")}
        command = [sys.executable, "-m", "reglab", *words]
        began = time.monotonic()
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=PATIENCE, cwd=folder)
        return done.returncode, done.stdout + done.stderr, time.monotonic() - began

    return run


def trained(machine):
    """The epochs that each run's own processes say they trained."""
    logs = {log.parent.name: log.read_text().splitlines() for log in machine.rglob("log.txt")}
    return {run: [int(line.split()[1].split("/")[0]) for line in lines if line.startswith("epoch ")] for run, lines in logs.items()}


def test_a_study_with_a_limit_ends_before_its_runs_and_goes_on_at_the_very_step(reglab_on, tmp_path):
    code, said, startup = reglab_on("measured", *STUDY, "train.epochs=10")
    assert code == 0, said
    (first, _) = read_runs(tmp_path / "measured" / "runs")
    limit = max(10.0, 4 * (startup - first.summary.time_wall_seconds))  # a busy machine imports torch for many seconds
    began, *_, ended = [row.time_wall_seconds for row in first.history]
    epochs = round(0.8 * limit / ((ended - began) / 9))  # twice what fits between startup and notice

    for attempt in range(5):  # a machine that others have left is faster than it was when it was measured
        machine, words = f"attempt {attempt}", (*STUDY, f"train.epochs={epochs}")
        code, said, _ = reglab_on(machine, *words, "--stop-after", f"{limit}s")
        if code == 75 and "0 of 2 runs are done" in said:
            break
        epochs *= 2
    assert code == 75, said
    assert "the time is up: 0 of 2 runs are done, 2 left, about " in said, said
    assert "the same command goes on" in said
    runs = tmp_path / machine / "runs" / "study-quick"
    begun = read_runs(runs)
    assert {record.state for record in begun} == {State.preempted}
    assert all((runs / "augmentation" / record.run_id / "checkpoint.pt").exists() for record in begun)
    assert any(record.history for record in begun)

    code, said, _ = reglab_on(machine, *words, "--stop-after", "60m")
    assert code == 0, said
    assert [record.state for record in read_runs(runs)] == [State.finished] * 2
    assert list(trained(runs).values()) == [list(range(1, epochs + 1))] * 2


def test_on_another_machine_nothing_is_trained_again_that_the_records_hold(reglab_on, tmp_path):
    words = (*STUDY, "train.epochs=2")
    code, said, _ = reglab_on("here", *words)
    assert code == 0, said
    runs = tmp_path / "here" / "runs" / "study-quick"
    for path in [path for name in (RECORD, HISTORY) for path in runs.rglob(name)]:
        copy = tmp_path / "copied" / path.relative_to(tmp_path / "here")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    write_archive(tmp_path / "report" / ARCHIVE, read_runs(runs))

    for machine, source in (("copied", ()), ("by report", ("--from", str(tmp_path / "report"))), ("by folder", ("--from", str(runs)))):
        code, said, _ = reglab_on(machine, *words, *source, "--stop-after", "1m")
        assert code == 0, said
        assert said.count("finished before") == 2
        assert not trained(tmp_path / machine)
        assert len(read_runs(tmp_path / machine / "runs")) == 2
