"""A sweep from its file to its records, through the command and real worker processes."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import reglab
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.data.own import noise
from tests.waiting import PATIENCE, wait_for

SWEEP = {
    "method": "grid",
    "metric": {"name": "test/accuracy", "goal": "maximize"},
    "parameters": {
        "data": {"parameters": {"source": {"value": "digits"}, "train_limit": {"value": 128}, "test_limit": {"value": 64}}},
        "model": {"parameters": {"width": {"value": 4}}},
        "dropout": {"parameters": {"layers": {"values": [0, 1]}, "p": {"values": [0.2, 0.5]}}},
        "train": {"parameters": {"epochs": {"value": 2}, "batch_size": {"value": 32}}},
    },
}
"""Four cells, three runs: without dropout layers the probability does not matter."""


@pytest.fixture
def sweep(tmp_path):
    """Runs `reglab sweep run` in a process of its own: returns its exit code and what it said."""
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SWEEP))

    def run(*words, **variables):
        command = [sys.executable, "-m", "reglab", "sweep", "run", str(file), *words]
        environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1]), **variables}
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    return run


def write_images(file, seed):
    """An .npz file of noise."""
    file.parent.mkdir(exist_ok=True)
    parts = {f"{part}_images": noise(12, 12, seed=seed)[0] for part in ("train", "test")}
    np.savez(file, **parts, train_labels=np.arange(12) % 3, test_labels=np.arange(12) % 3)


@pytest.mark.slow
def test_a_sweep_takes_no_run_on_another_file_of_images_of_the_same_name(reglab, tmp_path, capsys):
    one, other = tmp_path / "a" / "data.npz", tmp_path / "b" / "data.npz"
    write_images(one, 1)
    write_images(other, 2)
    for file in (one, other):
        data = {"source": {"value": "npz"}, "file": {"value": str(file)}}
        parameters = SWEEP["parameters"] | {"data": {"parameters": data}, "dropout": {"parameters": {"layers": {"value": 0}}}}
        (tmp_path / f"on_{file.parent.name}.yaml").write_text(yaml.safe_dump(SWEEP | {"parameters": parameters}))
        assert reglab("sweep", "run", tmp_path / f"on_{file.parent.name}.yaml") == 0
    (mine,), (others,) = (read_runs(tmp_path / "runs" / name) for name in ("on_a", "on_b"))
    assert mine.run_id == others.run_id and mine.environment.data_fingerprint != others.environment.data_fingerprint
    assert reglab("sweep", "run", tmp_path / "on_a.yaml", "--name", "again") == 0
    assert read_runs(tmp_path / "runs" / "again") == [mine]  # whichever sweep has it
    assert reglab("sweep", "run", tmp_path / "on_b.yaml", "--name", "given", "--from", tmp_path / "runs" / "on_a") == 2
    write_images(one, 3)
    assert reglab("sweep", "run", tmp_path / "on_a.yaml") == 2
    assert capsys.readouterr().err.count("holds this run on other images that are called data, too") == 2


@pytest.mark.slow
def test_a_sweep_is_run_recorded_and_not_repeated(sweep, tmp_path):
    """With wandb's real client, offline."""
    code, said = sweep("--workers", "2", "train.keep_weights=true", WANDB_MODE="offline")
    assert code == 0, said
    runs = tmp_path / "runs" / "small"
    records = read_runs(runs)
    assert [record.state for record in records] == [State.finished] * 3
    assert sorted(record.label for record in records) == ["baseline", "dropout 1 at 0.2", "dropout 1 at 0.5"]
    for record in records:
        folder = runs / record.run_id
        assert [row.epoch for row in record.history] == [1, 2]
        assert record.summary.test_accuracy == record.history[-1].test_accuracy
        assert len(list((folder / "wandb").glob(f"offline-run-*-{record.run_id}"))) == 1
        assert not list(folder.glob("checkpoint*"))
        assert record.weights == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
        assert "finished, test accuracy" in (folder / "log.txt").read_text()
    assert "3 runs, 3 finished" in said
    assert re.search(r"baseline s0: finished, epoch 2/2, train \d", said)

    stored = json.loads((runs / "sweep.json").read_text())
    assert len(stored["draws"]) == 4
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/*.json*")}
    code, said = sweep("--workers", "2", "train.keep_weights=true")
    assert code == 0, said
    assert said.count("finished before") == 3
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*/*.json*")} == before


@pytest.mark.slow
def test_a_run_that_does_not_learn_is_stopped_early(tmp_path, sweep):
    """By hyperband, as it stands in W&B's file; its process is told, and keeps what it reached."""
    given = {section: dict(body["parameters"]) for section, body in SWEEP["parameters"].items()}
    given["data"] |= {"validation": {"value": 64}}
    given["dropout"] = {"layers": {"value": 0}}
    given["batchnorm"] = {"layers": {"value": 1}}
    given["optimizer"] = {"lr": {"values": [0.001, 1e-30]}}
    given["train"] |= {"epochs": {"value": 60}}
    stopping = {
        "method": "grid",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3},
        "parameters": {section: {"parameters": keys} for section, keys in given.items()},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(stopping))
    code, said = sweep("--workers", "1")  # the second is held against the first
    assert code == 0, said
    learns, idles = sorted(read_runs(tmp_path / "runs" / "small"), key=lambda record: -record.config["optimizer"]["lr"])
    assert (learns.state, len(learns.history)) == (State.finished, 60)
    assert (idles.state, idles.reason) == (State.stopped, "stopped on request")
    assert 2 <= len(idles.history) < 60
    assert idles.summary.epochs == len(idles.history)
    assert not list((tmp_path / "runs").rglob("checkpoint*"))


def importing(process):
    """Whether the server that forks the workers is importing torch."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"forkserver" in (status.parent / "cmdline").read_bytes():
                return "libtorch" in (status.parent / "maps").read_text()
        except OSError:
            continue
    return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_an_interrupt_while_torch_is_still_imported_ends_a_sweep_without_a_traceback(tmp_path):
    """Ctrl-C reaches the whole group of processes."""
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    process = subprocess.Popen(
        [sys.executable, "-m", "reglab", "sweep", "run", str(file)],
        env=os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: importing(process), lambda: process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "Traceback" not in said
    assert "interrupted; the same command finishes what is missing" in said
    assert process.returncode == 75


@pytest.mark.slow
def test_a_machine_that_shuts_down_loses_no_run(tmp_path):
    """It sends SIGTERM to the whole group: each run leaves its checkpoint, and the sweep goes on another time."""
    keys = SWEEP["parameters"] | {"train": {"parameters": SWEEP["parameters"]["train"]["parameters"] | {"epochs": {"value": 60}}}}
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SWEEP | {"parameters": keys}))
    variables = {"PYTHONPATH": str(Path(reglab.__file__).parents[1]), "WANDB_MODE": "disabled", "REGLAB_RUNS": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "reglab", "sweep", "run", str(file), "--workers", "2"]
    process = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.DEVNULL, start_new_session=True)
    folder = tmp_path / "runs" / "small"
    try:
        wait_for(lambda: sum(path.stat().st_size > 0 for path in folder.glob("*/history.jsonl")) == 2, lambda: process.poll() is not None)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 75
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    begun = read_runs(folder)
    assert {record.state for record in begun} == {State.preempted}
    assert all((folder / record.run_id / "checkpoint.pt").exists() for record in begun)
