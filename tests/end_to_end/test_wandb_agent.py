"""W&B's real agent runs `reglab train`, from a folder that is not the project's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import wandb

from reglab.tracking.record import State
from reglab.tracking.store import read_run
from tests.loopback.faults import Fault
from tests.waiting import PATIENCE, wait_for

KEYS = {
    "data": {"source": "digits", "train_limit": 64, "test_limit": 32},
    "model": {"width": 4},
    "train": {"epochs": 2, "batch_size": 32},
}
SWEEP = {
    "method": "grid",
    "command": ["reglab", "train"],
    "parameters": {section: {"parameters": {key: {"value": value} for key, value in keys.items()}} for section, keys in KEYS.items()}
    | {"dropout": {"parameters": {"layers": {"values": [1, 0]}}}},  # one layer without a probability cannot be built
}


@pytest.mark.slow
def test_the_agent_s_runs_train_and_one_that_cannot_be_built_says_why(wandb_server, tmp_path):
    sweep = wandb.sweep(SWEEP, project="p")
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "REGLAB_RUNS": str(tmp_path / "runs"), "WANDB_MODE": "online"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    agent = [sys.executable, "-m", "wandb", "agent", f"p/{sweep}"]
    subprocess.run(agent, cwd=elsewhere, env=environment, timeout=PATIENCE, check=True, capture_output=True)
    runs = {run.values["dropout"]["layers"]: run for run in wandb_server.world.project("p").runs.values()}
    assert {layers: run.state for layers, run in runs.items()} == {1: "failed", 0: "finished"}

    trained, broken = (read_run(tmp_path / "runs" / sweep / runs[layers].name) for layers in (0, 1))
    assert trained.state == State.finished
    assert [row["epoch"] for row in runs[0].history] == [1, 2]
    assert [row["train/loss"] for row in runs[0].history] == [row.train_loss for row in trained.history]
    assert runs[0].values["identity"] == trained.identity
    assert broken.state == State.failed
    assert "dropout.layers = 1 has no dropout.p1" in broken.reason
    assert runs[1].summary["reason"] == broken.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "state", "there"), [(signal.SIGUSR1, State.preempted, "preempted"), (signal.SIGTERM, State.stopped, "finished")]
)
def test_a_stop_is_told_from_a_preemption(wandb_server, tmp_path, told, state, there):
    """Through the agent, with --forward-signals: SIGUSR1 preempts, SIGTERM stops. A stop from the page is one, too."""
    keys = {section: {"parameters": {key: {"value": value} for key, value in keys.items()}} for section, keys in KEYS.items()}
    keys["train"]["parameters"]["epochs"] = {"value": 4000}
    sweep = wandb.sweep({"method": "grid", "command": ["reglab", "train"], "parameters": keys}, project="p")
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "REGLAB_RUNS": str(tmp_path / "runs"), "WANDB_MODE": "online"}
    agent = [sys.executable, "-m", "wandb", "agent", "--forward-signals", "--count", "1", f"p/{sweep}"]
    process = subprocess.Popen(agent, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: any(path.stat().st_size for path in (tmp_path / "runs").glob("*/*/history.jsonl")))
        process.send_signal(told)
        (run,) = wandb_server.world.project("p").runs.values()
        wait_for(lambda: not run.alive)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run.state == there
    record = read_run(tmp_path / "runs" / sweep / run.name)
    assert record.state == state
    assert run.summary["state"] == state
    assert [row["epoch"] for row in run.history] == list(range(1, len(record.history) + 1))


@pytest.mark.slow
def test_a_run_that_begins_while_w_and_b_is_away_ends_alike_on_both_sides(wandb_server, tmp_path):
    """It was failed here, and pending there."""
    sweep = wandb.sweep({**SWEEP, "parameters": {**SWEEP["parameters"], "dropout": {"parameters": {"layers": {"value": 0}}}}}, project="p")
    wandb_server.faults.plan("RunResumeStatus", Fault.error_500, times=8)  # longer than a run waits for W&B
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "REGLAB_RUNS": str(tmp_path / "runs"), "WANDB_MODE": "online"}
    agent = [sys.executable, "-m", "wandb", "agent", "--count", "1", f"p/{sweep}"]
    done = subprocess.run(agent, cwd=tmp_path, env=environment, timeout=PATIENCE, check=True, capture_output=True, text=True)
    assert "W&B does not answer (" in done.stderr
    assert wandb_server.faults.left() == 0
    (run,) = wandb_server.world.project("p").runs.values()
    record = read_run(tmp_path / "runs" / sweep / run.name)
    assert (run.state, run.sweep, record.state) == ("finished", sweep, State.finished)
    assert [row["epoch"] for row in run.history] == [1, 2]
