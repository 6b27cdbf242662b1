"""W&B's own engine, an extra, in the environment that has it: this program runs there, too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reglab.errors import UserError
from reglab.sweep import engines
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


def test_without_the_extra_it_is_said_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sweeps", None)
    with pytest.raises(UserError, match=r"scheduler.engine = wandb: needs W&B's package sweeps: pip install 'reglab\[sweeps\]'"):
        engines.of(CONFIG)
