"""A sweep of a program that has never heard of reglab (`plain_training.py`): offline, by `reglab agent`, and by W&B's own agent."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.waiting import PATIENCE, wait_for

SCRIPT = Path(__file__).parent / "plain_training.py"

SWEEP = {
    "program": "plain_training.py",
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"values": [0.1, 0.01]}, "epochs": {"value": 3}},
    "replicates": {"key": "seed", "start": 2, "most": 3},
}


class Place:
    """A folder with the script and a sweep of it, where commands run."""

    def __init__(self, folder):
        self.folder, self.runs, self.file = folder, folder / "runs", folder / "plain.yaml"
        folder.mkdir()
        shutil.copy(SCRIPT, folder)
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "REGLAB_RUNS": str(self.runs),
        }
        self.environment.pop("WANDB_DIR", None)

    def write(self, **changes):
        content = {key: value for key, value in (SWEEP | changes).items() if value is not None}
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        return self

    def start(self, *words, **variables):
        command = [sys.executable, "-m", "reglab", *map(str, words)]
        said = (self.folder / "said.txt").open("w")
        pipes = {"stdout": subprocess.PIPE, "stderr": said, "text": True, "start_new_session": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment | variables, **pipes)

    def do(self, *words, **variables):
        """Exit code, what was printed, and what was said."""
        process = self.start(*words, **variables)
        printed, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, printed, self.said

    @property
    def said(self):
        return (self.folder / "said.txt").read_text()

    @property
    def records(self):
        return read_runs(next(self.runs.iterdir()))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    return Place(tmp_path / "desk")


@pytest.mark.slow
def test_it_is_swept_recorded_and_not_repeated(place):
    place.write()
    code, _, said = place.do("sweep", "run", "plain.yaml", "--workers", "2")
    assert code == 0, said
    assert "4 runs, 4 finished" in said
    assert "its runs are known by command and parameters" in said
    records = place.records
    assert sorted((record.config["lr"], record.seed) for record in records) == [(0.01, 0), (0.01, 1), (0.1, 0), (0.1, 1)]
    for record in records:
        assert record.state == State.finished
        assert record.program == "python plain_training.py ${args}"
        assert record.config == {"lr": record.config["lr"], "seed": record.seed, "epochs": 3, "width": 8}  # the last is the script's own
        assert [row["epoch"] for row in record.rows] == [1, 2, 3]
        assert record.logged["loss"] == record.rows[-1]["loss"]
        assert record.logged["weights"] == 49
        assert (record.summary, record.history) == (None, [])

    code, _, said = place.do("sweep", "run", "plain.yaml")
    assert (code, said.count("finished before")) == (0, 4)
    code, printed, _ = place.do("sweep", "status", "plain.yaml", "--json")
    assert (code, json.loads(printed)["counts"]) == (0, {"finished": 4})

    code, printed, _ = place.do("sweep", "status", "plain.yaml", "--seeds", "3", "--json")
    assert (code, json.loads(printed)["counts"]) == (1, {"finished": 4, "missing": 2})
    code, _, said = place.do("sweep", "run", "plain.yaml", "--seeds", "3")
    assert (code, said.count("finished before")) == (0, 4), said
    assert "6 runs, 6 finished" in said


@pytest.mark.slow
@pytest.mark.parametrize("listens", [True, False])
def test_a_sweep_that_is_told_to_leave_tells_it_and_goes_on_later(place, listens):
    """One that listens to SIGUSR1 leaves with exit code 75, and logs the rest later; one that does not is ended, and begins anew."""
    script = place.folder / "plain_training.py"
    text = script.read_text().replace('"--epochs", type=int, default=3', '"--epochs", type=int, default=100_000')
    script.write_text(text if listens else text.replace("signal.SIGUSR1", "signal.SIGWINCH"))
    place.write(parameters={"lr": {"value": 0.1}}, replicates=None)
    process = place.start("sweep", "run", "plain.yaml")
    (history,) = wait_for(lambda: [path for path in place.runs.glob("*/*/history.jsonl") if path.stat().st_size > 1000])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 75, place.said
    (record,) = place.records
    assert record.state == State.preempted
    before = len(record.rows)
    assert before == len(history.read_text().splitlines())

    script.write_text(SCRIPT.read_text())
    code, _, said = place.do("sweep", "run", "plain.yaml")
    assert code == 0, said
    (after,) = place.records
    assert after.state == State.finished
    assert [row["epoch"] for row in after.rows[before if listens else 0 :]] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "state", "reason"),
    [
        ("raise SystemExit('no such data')", State.failed, "exit code 1: no such data"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", State.crashed, "killed by SIGKILL"),
        ("sys.exit(0)", State.failed, "exit code 0, and nothing was logged"),
        ("import beside", State.finished, None),
    ],
)
def test_how_it_ended_is_recorded(place, ending, state, reason):
    (place.folder / "beside.py").touch()  # what lies beside a script is there to be imported
    script = place.folder / "plain_training.py"
    script.write_text(script.read_text().replace("torch.manual_seed(options.seed)", f"{ending}\ntorch.manual_seed(options.seed)"))
    place.write(parameters={"epochs": {"value": 1}}, replicates=None)
    code, _, said = place.do("sweep", "run", "plain.yaml")
    (record,) = place.records
    assert record.state == state, said
    assert reason is None or record.reason.startswith(reason)
    assert code == (0 if state == State.finished else 1)
    if reason:
        assert reason in said


@pytest.mark.slow
def test_hyperband_ends_what_is_not_among_the_best(place):
    """Of three rates, one too small to learn: by what is logged while it runs. Of two runs the rule lets both go on."""
    script = place.folder / "plain_training.py"
    slow = script.read_text().replace("run.log({", "__import__('time').sleep(0.05)\n        run.log({")
    script.write_text(slow)
    place.write(
        parameters={"lr": {"values": [0.1, 0.05, 1e-9]}, "epochs": {"value": 100_000}},  # more than there is time for
        replicates=None,
        early_terminate={"type": "hyperband", "min_iter": 5, "eta": 2},
    )
    process = place.start("sweep", "run", "plain.yaml", "--workers", "3")
    stopped = wait_for(lambda: list(place.runs.glob("*/*/run.json")) and [each for each in place.records if each.state.ended])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert [(record.state, record.config["lr"]) for record in stopped] == [(State.stopped, 1e-9)]


@pytest.mark.slow
def test_what_cannot_be_started_or_read_is_told_before_anything_is(place):
    place.write(program="elsewhere.py")
    code, _, said = place.do("sweep", "run", "plain.yaml")
    assert code == 2
    assert "program = elsewhere.py: not in " in said
    code, _, said = place.write().do("sweep", "run", "plain.yaml", WANDB_MODE="disabled")
    assert code == 2
    assert "set WANDB_MODE=offline" in said
    code, _, said = place.do("sweep", "plan", "plain.yaml")
    assert code == 2
    assert "a plan goes by the epochs and images of `reglab train`" in said
    assert not place.runs.exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
@pytest.mark.parametrize("command", [None, ["${interpreter}", "${program}", "--width", "4", "${args_no_boolean_flags}"]])
def test_reglab_s_agent_works_through_it(wandb_server, tmp_path, monkeypatch, command):
    monkeypatch.setenv("WANDB_MODE", "online")
    place = Place(tmp_path / "desk").write(command=command)
    code, printed, said = place.do("sweep", "create", "plain.yaml", "--project", "p")
    assert code == 0, said
    path = printed.split()[-1]
    code, _, said = place.do("agent", path, "--per-gpu", "2")
    assert code == 0, said
    runs = list(wandb_server.world.project("p").runs.values())
    assert [run.state for run in runs] == ["finished"] * 4
    assert sorted((run.values["lr"], run.values["seed"]) for run in runs) == [(0.01, 0), (0.01, 1), (0.1, 0), (0.1, 1)]
    assert {run.values["width"] for run in runs} == {4 if command else 8}
    records = {record.run_id: record for record in place.records}
    for run in runs:
        assert [row["epoch"] for row in run.history] == [row["epoch"] for row in records[run.name].rows] == [1, 2, 3]
        assert records[run.name].state == State.finished

    code, printed, said = place.do("sweep", "status", "plain.yaml", "--from", "wandb://loopback/p", "--json")
    assert (code, json.loads(printed)["counts"]) == (0, {"finished": 4}), said
    rest = place.folder / "rest.yaml"
    code, _, said = place.do("sweep", "makeup", "plain.yaml", "--from", "wandb://loopback/p", "--seeds", "3", "--out", "rest.yaml")
    assert code == 0, said
    assert yaml.safe_load(rest.read_text())["parameters"]["seed"] == {"value": 2}
    code, printed, said = place.do("sweep", "create", "rest.yaml", "--project", "p")
    assert code == 0, said

    elsewhere = subprocess.run(  # W&B's own agent takes the rest
        ["wandb", "agent", printed.split()[-1]],
        check=False,
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert elsewhere.returncode == 0, elsewhere.stderr
    code, printed, said = place.do("sweep", "status", "plain.yaml", "--from", "wandb://loopback/p", "--seeds", "3", "--json")
    assert (code, json.loads(printed)["counts"]) == (0, {"finished": 6}), said


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
@pytest.mark.parametrize("listens", [True, False])
def test_reglab_s_agent_hands_it_back_when_it_is_preempted(wandb_server, tmp_path, monkeypatch, listens):
    """One that has never heard of preemption goes back to W&B all the same."""
    monkeypatch.setenv("WANDB_MODE", "online")
    place = Place(tmp_path / "desk").write(parameters={"lr": {"value": 0.1}, "epochs": {"value": 100_000}}, replicates=None)
    script = place.folder / "plain_training.py"
    if not listens:
        script.write_text(script.read_text().replace("signal.SIGUSR1", "signal.SIGWINCH"))
    code, printed, said = place.do("sweep", "create", "plain.yaml", "--project", "p")
    assert code == 0, said
    agent = place.start("agent", printed.split()[-1])
    wait_for(lambda: any(path.stat().st_size > 1000 for path in place.runs.glob("*/*/history.jsonl")))
    agent.send_signal(signal.SIGTERM)
    agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 75, place.said
    (run,) = wandb_server.world.project("p").runs.values()
    assert run.state == "preempted"
    assert [record.state for record in place.records] == [State.preempted]
