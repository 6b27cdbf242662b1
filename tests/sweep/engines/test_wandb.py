"""W&B's own engine, an extra, in the environment that has it: this program runs there, too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reglab.errors import ReglabError, UserError
from reglab.sweep import engines
from reglab.sweep.engines import process
from reglab.sweep.engines.random import Random

CONFIG = {
    "method": "random",
    "run_cap": 6,
    "scheduler": {"engine": "wandb"},
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {
        "dropout": {"parameters": {"layers": {"value": 1}, "p1": {"min": 0.1, "max": 0.8}}},
        "optimizer": {
            "parameters": {"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}, "name": {"values": ["adam", "sgd"]}}
        },
    },
}

SCRIPT = """
import json, sys
from reglab.sweep import engines
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Summary
engine = engines.of(json.loads(sys.argv[1]))
for number, values in enumerate(engine.rest()):
    reached = 0.9 - (values["dropout"]["p1"] - 0.3) ** 2
    summary = Summary(val_accuracy=reached, time_train_seconds=1, time_wall_seconds=1, parameters=1, epochs=1)
    ended = RunRecord(run_id=str(number), sweep="s", label="", identity="", seed=0, config={}, state=State.finished, summary=summary)
    engine.tell(number, ended)
print(json.dumps([trial.values for trial in engine.trials]))
"""


@pytest.fixture
def drawn(oracle_python):
    """All that W&B's engine draws for a sweep whose best probability is 0.3."""

    def draw(config):
        here = os.environ | {"PYTHONPATH": str(Path(engines.__file__).parents[3])}
        done = subprocess.run([oracle_python, "-c", SCRIPT, json.dumps(config)], capture_output=True, text=True, check=True, env=here)
        return json.loads(done.stdout)

    return draw


@pytest.mark.slow
def test_random_draws_are_those_of_our_own_engine(drawn):
    assert drawn(CONFIG) == [Random(CONFIG).draw(number) for number in range(6)]


@pytest.mark.slow
def test_bayesian_draws_are_reproducible_and_learn(drawn):
    bayes = CONFIG | {"method": "bayes", "run_cap": 12}
    once = drawn(bayes)
    assert once == drawn(bayes)
    places = [abs(values["dropout"]["p1"] - 0.3) for values in once]
    assert sum(places[-4:]) < sum(places[:4])


def test_without_the_extra_it_is_said_how_to_have_it(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()  # of sweep files
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(UserError, match=r"scheduler.engine = wandb: needs W&B's package sweeps: pip install 'reglab\[sweeps\]'"):
        engines.of(CONFIG)


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A package `sweeps` whose `next_run` does what the lines say."""

    def make(lines):
        package = tmp_path / "sweeps"
        package.mkdir()
        (package / "__init__.py").write_text(f"import time\nSweepRun = dict\ndef next_run(config, runs):\n    {lines}\n")
        (package / "bayes_search.py").write_text("")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.syspath_prepend(str(tmp_path))

    return make


def test_a_draw_that_takes_too_long_is_ended_and_said_to(made_up, monkeypatch):
    made_up("time.sleep(60)")
    monkeypatch.setattr(process, "ANSWER_SECONDS", 2.0)
    with pytest.raises(ReglabError, match=r"^scheduler.engine = wandb: the process that searches gave no answer within 2 s, and was ended"):
        engines.of(CONFIG).ask()


def test_what_the_engine_cannot_do_is_said_in_a_line(made_up):
    made_up("raise ValueError('no such\\nmethod')")
    with pytest.raises(UserError, match=r"^scheduler.engine = wandb: no such method$"):
        engines.of(CONFIG).ask()


def test_it_hears_of_each_run_what_is_searched_on(made_up, record):
    made_up("return type('Run', (), {'config': {'told': {'value': runs}}})")
    engine = engines.of(CONFIG | {"run_cap": 9}, [{"p1": 0.2}, {"p1": 0.3}])
    engine.tell(0, record("a", accuracies=[0.1, 0.8], summary=0.9))
    told = [
        {"config": {"p1": {"value": 0.2}}, "name": "a", "state": "finished", "summaryMetrics": {"val/accuracy": 0.9}},
        {"config": {"p1": {"value": 0.3}}, "name": None, "state": "pending", "summaryMetrics": {}},
    ]
    histories = [[{"val/accuracy": 0.1}, {"val/accuracy": 0.8}], []]
    assert engine.ask() == {"told": [each | {"sampledHistory": rows} for each, rows in zip(told, histories, strict=True)]}
    engine.close()
