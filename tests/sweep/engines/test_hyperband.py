import pytest

from reglab.sweep import engines
from reglab.tracking.record import State


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


@pytest.fixture
def hyperband(engine):
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


def test_hyperband_stops_the_bad_run_and_not_the_good_one(hyperband, record):
    running = [record("good", State.running, GOOD), record("bad", State.running, BAD), record("better", State.running, [0.9] * 4)]
    assert stopped(hyperband, *running) == {"bad"}


def test_hyperband_compares_with_runs_that_have_ended(hyperband, record):
    ended = [record("a", State.finished, GOOD), record("b", State.stopped, GOOD)]
    assert stopped(hyperband, *ended, record("bad", State.running, BAD)) == {"bad"}


def test_hyperband_stops_no_run_that_has_ended(hyperband, record):
    ended = [record(state.value, state, BAD) for state in State if state.ended]
    assert stopped(hyperband, *ended, record("good", State.running, GOOD)) == set()


def test_hyperband_leaves_a_young_run_alone(hyperband, record):
    assert stopped(hyperband, record("good", State.finished, GOOD), record("young", State.running, BAD[:2])) == set()


def test_hyperband_counts_epochs_that_were_evaluated(hyperband, record):
    seldom = record("seldom", State.running, [None, 0.1, None, 0.1])
    assert stopped(hyperband, record("good", State.finished, GOOD), seldom) == set()


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


def test_runs_that_have_not_begun_are_no_trouble(hyperband, record):
    assert stopped(hyperband, None, record("a", State.pending)) == set()
