"""Sweeps whose runs a scheduler chooses: offline, and online with W&B's own clients, from the file to its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import reglab
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.loopback.state import ENTITY
from tests.sweep.conftest import oracle_python as oracle_python
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.slow

OBJECTIVES = [{"name": "test/accuracy", "goal": "maximize"}, {"name": "time/train_seconds", "goal": "minimize"}]
FIXED = {
    "data": {"source": "digits", "train_limit": 64, "test_limit": 32},
    "model": {"width": 4},
    "train": {"epochs": 2, "batch_size": 32},
}
SWEEP = {
    "method": "custom",
    "command": ["reglab", "train"],
    "run_cap": 4,
    "metrics": OBJECTIVES,
    "scheduler": {"engine": "optuna"},
    "parameters": {name: {"parameters": {key: {"value": value} for key, value in keys.items()}} for name, keys in FIXED.items()}
    | {"optimizer": {"parameters": {"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}}}},
}
BY_FUNCTION = {key: value for key, value in SWEEP.items() if key != "parameters"} | {
    "scheduler": {"engine": "optuna", "source": "space.py", "search_space": "space"}
}
SPACE = f"""
def space(trial):
    return {FIXED!r} | {{"optimizer": {{"lr": trial.suggest_float("optimizer.lr", 1e-4, 0.1, log=True)}}}}


def grid(sweep):
    import optuna
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.GridSampler({{"optimizer.lr": [0.001, 0.01]}}))
"""


@pytest.fixture
def start(tmp_path):
    """Starts a command in the folder of the sweep file that has these keys."""
    (tmp_path / "space.py").write_text(SPACE)
    scripts = str(Path(sys.executable).parent)
    root = str(Path(reglab.__file__).parents[1])
    started = []

    def begin(*words, **variables):
        path = os.pathsep.join([root, *([variables.pop("PYTHONPATH")] if "PYTHONPATH" in variables else [])])
        environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": path} | variables
        with (tmp_path / f"{len(started)}.txt").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", *words], cwd=tmp_path, env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def swept(wandb_server, start, tmp_path):
    """Registers a sweep, has it searched and trained by these commands to its end; returns its runs by name."""

    def sweep(keys, create, schedule, agent, **variables):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(keys))
        online = {"WANDB_MODE": "online"}
        assert start(*create, "--project", "p", "mine.yaml", **online).wait(PATIENCE) == 0
        ((name, there),) = wandb_server.world.project("p").sweeps.items()
        scheduler = start(*schedule, "--batch-size", "2", "--poll-interval", "1", f"{ENTITY}/p/{name}", **online, **variables)
        worker = start(*agent, f"{ENTITY}/p/{name}", **online)
        assert scheduler.wait(PATIENCE) == 0, (tmp_path / "1.txt").read_text()
        assert worker.wait(PATIENCE) == 0, (tmp_path / "2.txt").read_text()
        assert there.state == "FINISHED"
        assert not wandb_server.refused
        return [run for run in wandb_server.world.project("p").runs.values() if run.sweep == name]

    return sweep


def rates(runs):
    return [run.values["optimizer"]["lr"] for run in runs]


def test_two_objectives_and_nested_parameters_offline(start, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SWEEP))
    assert start("reglab", "sweep", "run", "mine.yaml", "--workers", "2").wait(PATIENCE) == 0
    records = read_runs(tmp_path / "runs" / "mine")
    assert [record.state for record in records] == [State.finished] * 4
    assert len({record.config["optimizer"]["lr"] for record in records}) == 4
    stored = (tmp_path / "runs" / "mine" / "sweep.json").read_text()
    (tmp_path / "runs" / "mine" / "sweep.json").unlink()
    assert start("reglab", "sweep", "run", "mine.yaml").wait(PATIENCE) == 0
    assert len(read_runs(tmp_path / "runs" / "mine")) == 4  # the records alone say that all is done

    def draws(text):
        return sorted(values["optimizer"]["lr"] for values in json.loads(text)["draws"])

    assert draws((tmp_path / "runs" / "mine" / "sweep.json").read_text()) == draws(stored)


def test_a_study_that_has_drawn_all_there_is_ends_the_sweep_without_a_cap(start, tmp_path):
    """Nothing is left undone then: the exit code is 0, the next time as well."""
    keys = {key: value for key, value in SWEEP.items() if key not in ("metrics", "run_cap")}
    keys |= {"metric": OBJECTIVES[0], "scheduler": {"engine": "optuna", "source": "space.py", "optimizer": "grid"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(keys))
    for _ in range(2):
        assert start("reglab", "sweep", "run", "mine.yaml").wait(PATIENCE) == 0
        records = read_runs(tmp_path / "runs" / "mine")
        assert sorted(record.config["optimizer"]["lr"] for record in records) == [0.001, 0.01]


def test_w_and_b_s_own_three_commands_with_a_function_that_nests_what_it_returns(swept):
    runs = swept(BY_FUNCTION, ["wandb", "sweep"], ["wandb", "sweep-scheduler"], ["wandb", "agent"])
    finished = [run for run in runs if run.state == "finished"]
    assert len(finished) >= 4
    assert len(set(rates(finished))) == len(finished)
    assert all(run.summary["test/accuracy"] and run.summary["time/train_seconds"] for run in finished)


def test_reglab_s_scheduler_nests_what_the_file_says_and_keeps_the_cap(swept, tmp_path):
    runs = swept(SWEEP, ["reglab", "sweep", "create"], ["reglab", "sweep", "schedule"], ["reglab", "agent"])
    assert [run.state for run in runs] == ["finished"] * 4
    assert len(set(rates(runs))) == 4
    said = (tmp_path / "1.txt").read_text()
    assert said.count("optimizer.lr") == 4
    assert "the sweep finished or was canceled (" in said
    assert "reglab sweep schedule loopback/p/" in (tmp_path / "0.txt").read_text()


def test_w_and_b_s_own_engine_is_asked_by_its_own_scheduler(swept, oracle_python, tmp_path):
    """Its package, and what it needs beyond this environment's, come from the oracle's: its metadata asks for numpy below 2."""
    there = subprocess.run([oracle_python, "-c", "import sweeps; print(sweeps.__path__[0])"], capture_output=True, text=True, check=True)
    packages = Path(there.stdout.strip()).parent
    (tmp_path / "extra").mkdir()
    for name in ("sweeps", "jsonref.py", "proxytypes.py"):
        (tmp_path / "extra" / name).symlink_to(packages / name)
    keys = {key: value for key, value in SWEEP.items() if key != "metrics"}
    keys |= {"method": "bayes", "scheduler": {"engine": "wandb"}, "metric": OBJECTIVES[0]}
    extra = str(tmp_path / "extra")
    runs = swept(keys, ["wandb", "sweep"], ["wandb", "sweep-scheduler"], ["wandb", "agent"], PYTHONPATH=extra)
    assert len([run for run in runs if run.state == "finished"]) >= 4
    assert all(1e-4 <= rate <= 0.1 for rate in rates(runs))


def test_a_scheduler_that_is_asked_to_end_says_so_and_goes_on(wandb_server, start, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SWEEP))
    online = {"WANDB_MODE": "online"}
    assert start("reglab", "sweep", "create", "--project", "p", "mine.yaml", **online).wait(PATIENCE) == 0
    ((name, sweep),) = wandb_server.world.project("p").sweeps.items()
    words = ["reglab", "sweep", "schedule", "--batch-size", "2", "--poll-interval", "1", f"{ENTITY}/p/{name}"]
    first = start(*words, **online)
    wait_for(lambda: len(sweep.enqueued) == 2, lambda: first.poll() is not None)
    first.terminate()
    assert first.wait(PATIENCE) == 75
    assert sweep.state != "FINISHED"
    again = start(*words, **online)
    worker = start("wandb", "agent", f"{ENTITY}/p/{name}", **online)
    assert again.wait(PATIENCE) == 0, (tmp_path / "2.txt").read_text()
    assert worker.wait(PATIENCE) == 0
    runs = [run for run in wandb_server.world.project("p").runs.values() if run.sweep == name]
    assert [run.state for run in runs] == ["finished"] * 4
    assert len(set(rates(runs))) == 4
