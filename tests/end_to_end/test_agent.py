"""`reglab agent` on several machines, each a folder of its own: they share W&B's server and the place of checkpoints, nothing else."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

from reglab.config import RunConfig
from reglab.data import sources
from reglab.processes.signals import Signals
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.tracking.store import read_run
from reglab.training.run import Run
from tests.loopback.faults import Fault
from tests.training import trained
from tests.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")]

KEYS = {
    "data": {"source": "digits", "train_limit": 128, "test_limit": 64},
    "model": {"width": 4},
    "batchnorm": {"layers": 1},
    "dropout": {"layers": 2, "p": 0.1},
    "train": {"batch_size": 32, "epochs": 30, "checkpoint_every": 0.1},
}


def grid(**searched):
    """A sweep file over some keys: `grid(train={"seed": [0, 1]})`."""
    sections = {name: {key: {"value": value} for key, value in keys.items()} for name, keys in KEYS.items()}
    for name, keys in searched.items():
        sections[name] |= {key: {"values": values} for key, values in keys.items()}
    parameters = {name: {"parameters": keys} for name, keys in sections.items()}
    return {"method": "grid", "command": ["reglab", "train"], "parameters": parameters}


class Machine:
    """A folder; `start` runs reglab there."""

    def __init__(self, folder, checkpoints):
        self.folder, self.runs, self.checkpoints = folder, folder / "runs", checkpoints
        folder.mkdir()
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "REGLAB_RUNS": str(self.runs),
            "REGLAB_CHECKPOINTS": str(checkpoints),
            "WANDB_DIR": str(folder),
        }

    def start(self, *words, **variables):
        self.process = subprocess.Popen(
            ["reglab", *words],
            cwd=self.folder,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "said.txt").open("a"),
            text=True,
            start_new_session=True,
        )
        return self

    def wait(self):
        self.output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    @property
    def said(self):
        return (self.folder / "said.txt").read_text()

    def begun(self):
        """The records of the runs that are under way here, some epochs on."""
        found = [read_run(path.parent) for path in self.runs.glob("*/*/run.json")]
        return [record for record in found if record and record.state == State.running and len(record.history) >= 2]

    def processes(self):
        """Its processes and theirs: those of W&B's client have sessions of their own."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parts[2])] = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found = [self.process.pid]
        for parent in found:
            found += [pid for pid, its in parents.items() if its == parent]
        return found

    def worker(self, run_id):
        """The process that trains a run: it writes the run's log."""
        for pid in self.processes():
            with suppress(OSError):
                if Path(f"/proc/{pid}/fd/1").readlink().parent.name == run_id:
                    return pid
        return None

    def lose_power(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()


@pytest.fixture
def new_machine(tmp_path, wandb_server):
    """Makes machines; whatever is left of them at the end is killed."""
    made = []

    def make(name):
        made.append(Machine(tmp_path / name, tmp_path / "checkpoints"))
        return made[-1]

    yield make
    for each in made:
        if hasattr(each, "process") and each.process.poll() is None:
            each.lose_power()


@pytest.fixture
def create(tmp_path, new_machine):
    """Registers a sweep through the command; returns its path."""

    def register(sweep):
        file = tmp_path / "sweep.yaml"
        file.write_text(yaml.safe_dump(sweep))
        desk = new_machine("desk").start("sweep", "create", str(file), "--project", "p")
        assert desk.wait() == 0, desk.said
        return desk.output.split()[-1]

    return register


def test_two_agents_work_through_a_grid_of_eight_through_preemption_failure_and_faults(new_machine, create, wandb_server, tmp_path):
    path = create(grid(data={"validation": [0, 8, 16, 5000, 24, 32, 40, 48]}))  # there are no 5,000 images to hold out
    for kind, fault in (("UpsertBucket", Fault.error_500), ("Heartbeat", Fault.error_429), ("file_stream", Fault.refuse)):
        wandb_server.faults.plan(kind, fault, times=2)
    first, second = new_machine("first").start("agent", path), new_machine("second").start("agent", path)
    wait_for(first.begun)
    wandb_server.faults.plan("file_stream", Fault.cut, times=2)
    wandb_server.faults.plan("UpsertBucket", Fault.cut)
    first.process.send_signal(signal.SIGTERM)
    assert first.wait() == 75, first.said
    assert "killed" not in first.said
    assert second.wait() == 1, second.said  # one of the sweep's runs failed
    assert wandb_server.faults.left() == 0

    runs = list(wandb_server.world.project("p").runs.values())
    assert sorted(run.state for run in runs) == ["failed"] + ["finished"] * 7
    (failed,) = [run for run in runs if run.state == "failed"]
    assert failed.values["data"]["validation"] == 5000
    assert "5000" in failed.summary["reason"]
    assert len({run.values["data"]["validation"] for run in runs}) == 8
    assert sorted(len(run.handed_out) for run in runs) == [1] * 7 + [2]
    for run in runs:
        assert [row["epoch"] for row in run.history] == ([] if run is failed else list(range(1, 31)))
    assert "7 finished, 1 failed" in second.said

    desk = new_machine("reader").start("report", "build", "--from", "wandb://loopback/p", "--out", str(tmp_path / "report"))
    assert desk.wait() == 0, desk.said
    table = (tmp_path / "report" / "runs.csv").read_text(encoding="utf-8")
    assert len([line for line in table.splitlines() if ",finished," in line]) == 7


EPOCHS = 80


def test_runs_that_lose_their_machine_go_on_elsewhere_at_the_very_step(new_machine, create, wandb_server, tmp_path, cache, make_record):
    """One machine is preempted, one loses its power; the third has nothing but the checkpoints and W&B."""
    path = create(grid(train={"seed": [0, 1], "epochs": [EPOCHS]}))
    first, second = (new_machine(name).start("agent", path) for name in ("first", "second"))
    (killed,), (preempted,) = wait_for(lambda: (begun := [each.begun() for each in (second, first)]) and all(begun) and begun)
    first.process.send_signal(signal.SIGTERM)
    second.lose_power()
    assert first.wait() == 75, first.said

    world = wandb_server.world
    world.silence_seconds = 0.5  # the server gives up soon
    runs = world.project("p").runs
    wait_for(lambda: world.settle(runs.values()) or runs[killed.run_id].state == "crashed")
    world.silence_seconds = 300
    assert runs[preempted.run_id].state == "preempted"
    reached = {run_id: len(runs[run_id].history) for run_id in runs}
    assert all(epochs < EPOCHS for epochs in reached.values())

    third = new_machine("third").start("agent", path)
    assert third.wait() == 0, third.said
    assert f"{killed.run_id} was left by a machine that died" in third.said
    assert {run.state for run in runs.values()} == {"finished"}
    for record in (preempted, killed):
        there = runs[record.run_id]
        assert [row["epoch"] for row in there.history] == list(range(1, EPOCHS + 1))
        config = RunConfig.parse(record.config)
        run = Run(config, sources.load(config.data, cache), torch.device("cpu"))
        undisturbed = trained.train(run, make_record(run), None, [], File(tmp_path / "undisturbed" / record.run_id), Signals())
        expected = [without_times(row.metrics()) for row in undisturbed.history]
        assert [without_times(row) for row in there.history] == expected
        assert [without_times(row.metrics()) for row in read_run(third.runs / path.split("/")[-1] / record.run_id).history] == expected
        assert there.summary["train_clean/accuracy"] == undisturbed.summary.train_clean_accuracy
        seconds = [row["time/train_seconds"] for row in there.history]
        assert seconds == sorted(seconds)  # the clocks went on
    assert not list((tmp_path / "checkpoints").rglob("*.pt*"))


def test_a_worker_that_is_killed_goes_on_from_its_checkpoint_on_the_same_machine(new_machine, create, wandb_server):
    path = create(grid(train={"seed": [0], "epochs": [EPOCHS]}))
    machine = new_machine("first").start("agent", path)
    (begun,) = wait_for(machine.begun)
    wait_for(lambda: any(machine.checkpoints.rglob("*.pt")))
    os.kill(machine.worker(begun.run_id), signal.SIGKILL)
    assert machine.wait() == 0, machine.said
    assert "killed by SIGKILL" in machine.said
    (run,) = wandb_server.world.project("p").runs.values()
    assert (run.state, run.exitcode, len(run.handed_out)) == ("finished", 0, 1)
    assert [row["epoch"] for row in run.history] == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_preemption_while_w_and_b_is_away_leaves_the_checkpoint_in_time_and_no_process(new_machine, create, wandb_server, number):
    machine = new_machine("first").start("agent", create(grid(train={"seed": [0], "epochs": [EPOCHS * 10]})))
    (begun,) = wait_for(machine.begun)
    processes = machine.processes()
    with wandb_server.down():
        time.sleep(1)
        machine.process.send_signal(number)
        assert machine.wait() == 75, machine.said
        wait_for(lambda: not any(map(is_alive, processes)))
    assert len(processes) >= 4
    assert "preempted" in machine.said
    assert "killed" not in machine.said
    (folder,) = machine.runs.glob(f"*/{begun.run_id}")
    assert read_run(folder).state == State.preempted
    assert list(machine.checkpoints.rglob("*.pt"))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def without_times(row):
    return {key: value for key, value in row.items() if not key.startswith(("time/", "throughput/", "_"))}


def test_a_key_is_in_nothing_that_anyone_reads(new_machine, create, wandb_server, tmp_path):
    """Not in a log, a record, a checkpoint, an error or the list of processes."""
    path = create(grid(train={"seed": [0]}))
    key = os.environ["WANDB_API_KEY"]
    agent = new_machine("first").start("--debug", "agent", path)
    wait_for(agent.begun)
    shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in agent.processes()]
    agent.process.send_signal(signal.SIGTERM)
    assert agent.wait() == 75
    broken = new_machine("second").start("--debug", "agent", path, WANDB_BASE_URL="http://127.0.0.1:1", WANDB_INIT_TIMEOUT="5")
    assert broken.wait() in (1, 2)
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(shown) >= 4
    assert len(list((tmp_path / "checkpoints").rglob("*.pt"))) == 1
    assert not [content for content in (*shown, *written, agent.output.encode()) if key.encode() in content]
