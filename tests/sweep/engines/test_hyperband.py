import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from reglab.sweep import engines
from reglab.sweep.definition import Definition
from reglab.sweep.engines import hyperband
from reglab.tracking.record import State
from tests.sweep import made_up


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


@pytest.fixture
def halving(engine):
    return engine(
        method="random",
        run_cap=9,
        metric={"name": "val/accuracy", "goal": "maximize"},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
        parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}, data={"validation": {"value": 10}}),
    )


GOOD, BAD = [0.5, 0.6, 0.7, 0.8], [0.1, 0.1, 0.1, 0.1]
VALUES = {"optimizer": {"lr": 0.15}}


def stopped(made, *records):
    again = engines.of(made.config, [VALUES] * len(records))
    for number, each in enumerate(records):
        again.tell(number, each)
    return again.prune()


def test_hyperband_stops_the_bad_run_and_not_the_good_one(halving, record):
    running = [record("good", State.running, GOOD), record("bad", State.running, BAD), record("better", State.running, [0.9] * 4)]
    assert stopped(halving, *running) == {"bad"}


def test_hyperband_compares_with_runs_that_have_ended(halving, record):
    ended = [record("a", State.finished, GOOD), record("b", State.stopped, GOOD)]
    assert stopped(halving, *ended, record("bad", State.running, BAD)) == {"bad"}


def test_hyperband_stops_no_run_that_has_ended(halving, record):
    ended = [record(state.value, state, BAD) for state in State if state.ended]
    assert stopped(halving, *ended, record("good", State.running, GOOD)) == set()


def test_hyperband_leaves_a_young_run_alone(halving, record):
    assert stopped(halving, record("good", State.finished, GOOD), record("young", State.running, BAD[:2])) == set()


def test_hyperband_counts_epochs_that_were_evaluated(halving, record):
    seldom = record("seldom", State.running, [None, 0.1, None, 0.1])
    assert stopped(halving, record("good", State.finished, GOOD), seldom) == set()


def test_hyperband_minimizes_a_loss(engine, record):
    made = engine(
        method="random",
        run_cap=9,
        metric={"name": "val/accuracy", "goal": "minimize"},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
        parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}, data={"validation": {"value": 10}}),
    )
    running = [record("low", State.running, BAD), record("lower", State.running, [0.05] * 4), record("high", State.running, GOOD)]
    assert stopped(made, *running) == {"high"}


def test_without_early_termination_nothing_is_stopped(engine, record):
    made = engine(method="random", run_cap=9, parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}))
    assert stopped(made, record("good", State.running, GOOD), record("bad", State.running, BAD)) == set()


def test_runs_that_have_not_begun_are_no_trouble(halving, record):
    assert stopped(halving, None, record("a", State.pending)) == set()


STOPS = [json.loads(line) for line in (Path(__file__).parent / "wandb_stops.jsonl").read_text(encoding="utf-8").splitlines()]


def to_stop(config, runs):
    definition = Definition.model_validate(config)
    records = [
        SimpleNamespace(run_id=run["name"], steps=run["history"], state=SimpleNamespace(ended=run["state"] != "running")) for run in runs
    ]
    return hyperband.to_stop(definition.early_terminate, definition.metric, records)


@pytest.mark.parametrize("case", STOPS, ids=[str(number) for number in range(len(STOPS))])
def test_what_w_and_b_stops_is_stopped(case):
    """The cases of its own tests, and some made up, with what sweeps 0.3 stops."""
    assert to_stop(case["config"], case["runs"]) == set(case["stopped"])


@pytest.mark.slow
def test_what_w_and_b_stops_among_runs_that_nobody_made_is_stopped(oracle):
    cases = made_up.stops(3000)
    theirs = oracle({"stops": config, "runs": runs} for config, runs in cases)
    assert sum(map(bool, theirs)) > 500
    for (config, runs), stopped in zip(cases, theirs, strict=True):
        assert to_stop(config, runs) == set(stopped), (config, runs)
