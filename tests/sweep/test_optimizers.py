"""W&B's optimizers as its scheduler drives them: asked, told, started again."""

import subprocess
import sys

import pytest
import wandb

from reglab.sweep import optimizers
from reglab.sweep.optimizers import RunConfig, RunState, RunWithMetrics, SweepInfo
from tests.loopback.state import ENTITY
from tests.waiting import PATIENCE, wait_for

CONFIG = {
    "method": "custom",
    "scheduler": {"engine": "optuna"},
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {
        "optimizer": {"parameters": {"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}, "name": {"value": "sgd"}}},
        "seed": {"values": [0, 1]},
    },
}

SPACE = """
def by_path(trial):
    return {"optimizer": {"lr": trial.suggest_float("optimizer.lr", 0.1, 0.9)}, "train": {"seed": trial.suggest_int("train.seed", 0, 9)}}

def by_tail(trial):
    return {"optimizer": {"lr": trial.suggest_float("lr", 0.1, 0.9)}, "train": {"seed": trial.suggest_int("seed", 0, 9)}}

def otherwise(trial):
    return {"optimizer": {"lr": trial.suggest_float("rate", 0.1, 0.9)}}
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """The optimizer of a sweep file with these keys."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.py").write_text(SPACE)

    def made(**keys):
        return optimizers.make_optimizer(SweepInfo("s", "s", "e", "p", CONFIG | keys, "c"))

    return made


def run(values, state=RunState.FINISHED, **summary):
    return RunWithMetrics(RunConfig.from_values(values), state, "name", summary, [])


def by_function(name):
    return {"scheduler": {"engine": "optuna", "source": "space.py", "search_space": name}, "parameters": {}}


def test_parameters_are_flat_to_the_optimizer_and_nested_to_the_run(make):
    optimizer = make()
    (suggested,) = optimizer.ask_n_runs(1)
    values = suggested.config.flat_dict()
    assert values["optimizer"]["name"] == "sgd"
    assert 1e-4 <= values["optimizer"]["lr"] <= 0.1
    assert values["seed"] in (0, 1)
    assert set(optimizer.inner.study.trials[0].params) == {"optimizer.lr", "optimizer.name", "seed"}


def test_a_scheduler_that_is_started_again_tells_its_study_of_the_runs_that_there_are(make):
    """A run says more of itself than what the sweep draws, and a whole number where it was drawn a float."""
    optimizer = make()
    whole = {"optimizer": {"lr": 0.01, "name": "sgd", "eps": 1e-7}, "seed": 1, "identity": "x"}
    optimizer.tell_existing_finished_run(run(whole, **{"val/accuracy": 0.7}))
    under_way = optimizer.tell_existing_active_run(run(whole | {"seed": 0}, RunState.RUNNING))
    optimizer.tell_run(under_way, run({}, **{"val/accuracy": 0.9}))
    trials = optimizer.inner.study.trials
    assert [(trial.params["seed"], trial.params["optimizer.lr"], trial.value) for trial in trials] == [(1, 0.01, 0.7), (0, 0.01, 0.9)]


@pytest.mark.parametrize("name", ["by_path", "by_tail"])
def test_a_function_s_study_learns_what_the_run_was_and_no_draw_beside_it(make, name):
    optimizer = make(**by_function(name))
    optimizer.tell_existing_finished_run(run({"optimizer": {"lr": 0.25}, "train": {"seed": 7}}, **{"val/accuracy": 0.7}))
    (trial,) = optimizer.inner.study.trials
    assert (sorted(trial.params.values()), trial.value) == ([0.25, 7], 0.7)


def test_a_function_whose_names_are_not_the_run_s_is_refused_and_nothing_is_learnt(make):
    optimizer = make(**by_function("otherwise"))
    with pytest.raises(ValueError, match=r"search_space = otherwise: name each suggestion by its path, as in trial.suggest_float\('optim"):
        optimizer.tell_existing_finished_run(run({"optimizer": {"lr": 0.25}}, **{"val/accuracy": 0.7}))
    assert [trial.state.name for trial in optimizer.inner.study.trials] == ["FAIL"]


def test_no_more_runs_are_chosen_than_the_cap_says_and_then_the_sweep_ends(make):
    optimizer = make(run_cap=4)
    optimizer.tell_existing_finished_run(run({"optimizer": {"lr": 0.01, "name": "sgd"}, "seed": 1}, **{"val/accuracy": 0.7}))
    first, second, third = optimizer.ask_n_runs(10)
    assert optimizer.ask_n_runs(10) is None  # for now: some may come to nothing
    optimizer.forget_run(third.run_id)
    (fourth,) = optimizer.ask_n_runs(10)
    for each in (first, second):
        optimizer.tell_run(each.run_id, run({}, **{"val/accuracy": 0.8}))
    assert optimizer.ask_n_runs(10) is None
    optimizer.tell_run(fourth.run_id, run({}, RunState.FAILED))
    assert optimizer.ask_n_runs(10) == []


def test_several_objectives_are_all_told(make):
    metrics = [{"name": "val/accuracy", "goal": "maximize"}, {"name": "time/train_seconds"}]
    optimizer = make(metrics=metrics, metric=None)
    (suggested,) = optimizer.ask_n_runs(1)
    optimizer.tell_run(suggested.run_id, run({}, **{"val/accuracy": 0.7, "time/train_seconds": 3.0}))
    (trial,) = optimizer.inner.study.trials
    assert trial.values == [0.7, 3.0]
    assert [direction.name for direction in optimizer.inner.study.directions] == ["MAXIMIZE", "MINIMIZE"]


@pytest.mark.slow
def test_it_is_w_and_b_s_own_command():
    asked = [sys.executable, "-m", "reglab.sweep.optimizers", "--help"]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert "Usage: wandb sweep-scheduler" in process.stdout.read()


@pytest.mark.slow
def test_it_ends_when_whoever_started_it_is_gone(wandb_server):
    sweep = wandb.sweep(CONFIG, project="p")
    asked = [sys.executable, "-m", "reglab.sweep.optimizers", "--poll-interval=1", f"{ENTITY}/p/{sweep}"]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: wandb_server.world.project("p").sweeps[sweep].enqueued, lambda: process.poll() is not None)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
