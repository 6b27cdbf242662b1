"""`cloud/gpu_check.sh` from end to end: what a GPU would be asked for, and what stays of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reglab.tracking.record import State
from reglab.tracking.store import read_run

ROOT = Path(__file__).parents[3]
FINITE = ROOT / "tests" / "fake_gpu" / "finite"
TINY = ["data.source=digits", "data.train_limit=128", "data.test_limit=64", "model.width=4", "train.batch_size=64"]
NUMBERS = {"agc": 2, "epoch_256": 4, "epoch_128": 2, "bounds": 1, "overhead": 1}
"""Of each benchmark's rows."""

ENDS = {State.finished, State.preempted, State.pending}
"""Of the study's runs: all have finished, unless the machine became slower than its short run had foretold."""

UNHURRIED = dict.fromkeys(["TESTS", "BENCHMARKS", "STUDY"], "1500")


@pytest.fixture
def gpu_check(tmp_path):
    """Runs the script, and prints what it says: returns its exit code, and the folder of what it kept."""

    def run(*words, **variables):
        path = os.pathsep.join(filter(None, [str(FINITE), os.environ.get("PYTHONPATH")]))
        places = {"OUT": str(tmp_path / "out"), "REGLAB_RUNS": str(tmp_path / "runs"), "PYTHON": sys.executable, "PYTHONPATH": path}
        asked = {"NAME": "check", "REGLAB_DEVICE": "cuda", "ROUNDS": "1", "IMAGES": "512"} | variables
        command = ["bash", str(ROOT / "cloud" / "gpu_check.sh"), *words, *TINY]
        done = subprocess.run(command, env=os.environ | places | asked, capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr)
        return done.returncode, tmp_path / "out"

    return run


@pytest.fixture
def records(tmp_path):
    """Of the runs of a sweep, by its name."""
    return lambda name: [record for path in (tmp_path / "runs" / name).glob("*/run.json") if (record := read_run(path.parent))]


def test_the_check_tests_measures_and_trains_all_that_it_is_asked_for(gpu_check, records):
    code, out = gpu_check(**UNHURRIED)
    assert code == 0
    passed = re.search(r"^(\d+) passed, ", (out / "tests.txt").read_text(), re.MULTILINE)
    assert passed and int(passed[1]) > 40
    measured = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    assert {name: len(measured[name]) for name in NUMBERS} == NUMBERS
    assert {row["case"] for row in measured["kernels"]} == {"imagenet, batch 256", "cifar, batch 256"}
    assert all(row["facts"].get("one CUDA graph a step", True) for name in NUMBERS for row in measured[name])
    (pace,) = records("check-pace")
    assert len(pace.history) == 5
    study = records("check")
    assert {record.seed for record in study} == {0}
    assert {record.state for record in study} <= ENDS
    finished = [record for record in study if record.state == State.finished]
    assert finished and all(record.environment.captured for record in finished)
    (epochs,) = {len(record.history) for record in finished}
    assert 1 <= epochs <= 200
