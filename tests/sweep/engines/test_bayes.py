import os
import signal
from statistics import mean

import pytest

from reglab.errors import ReglabError
from reglab.tracking.record import State
from reglab.tracking.results import Summary


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


def optimum_at(place):
    """What a run with this dropout comes to, where one probability is best."""
    return lambda values: 0.9 - (values["dropout"]["p1"] - place) ** 2


KEYS = {
    "method": "bayes",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": nested(
        dropout={"layers": {"value": 1}, "p1": {"min": 0.1, "max": 0.8}},
        data={"validation": {"value": 10}},
        train={"epochs": {"value": 3}},
    ),
}


def drawn_towards(engine, record, place, count=12):
    made = engine(run_cap=count, **KEYS)
    for number, values in enumerate(made.rest()):
        reached = optimum_at(place)(values)
        made.tell(number, record(f"r{number}", accuracies=[0.1, reached], summary=reached))
    return made.trials


def probabilities(trials):
    return [trial.values["dropout"]["p1"] for trial in trials]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "elsewhere"), [(0.15, 0.75), (0.75, 0.15)])
def test_it_goes_where_earlier_results_were_better(engine, record, place, elsewhere):
    found = probabilities(drawn_towards(engine, record, place))
    first, last = found[:4], found[-4:]
    assert mean(abs(p - place) for p in last) < mean(abs(p - place) for p in first)
    assert mean(abs(p - place) for p in last) < mean(abs(p - elsewhere) for p in last)


@pytest.mark.slow
def test_it_goes_on_from_its_records_as_if_it_had_never_stopped(engine, record):
    trials = drawn_towards(engine, record, 0.3, count=8)
    again = engine([trial.values for trial in trials[:6]], run_cap=8, **KEYS)
    for number, trial in enumerate(trials[:6]):
        again.tell(number, trial.record)
    assert again.ask() == trials[6].values


@pytest.mark.slow
def test_runs_under_way_count_so_that_several_at_a_time_differ(engine, record):
    trials = drawn_towards(engine, record, 0.3, count=6)
    made = engine([trial.values for trial in trials], run_cap=20, **KEYS)
    for number, trial in enumerate(trials):
        made.tell(number, trial.record)
    places = probabilities([*(made.ask() and made.trials[-1] for _ in range(3))])
    assert len({round(place, 3) for place in places}) == 3


@pytest.mark.slow
def test_every_distribution_can_be_searched_and_what_is_searched_is_drawn(engine, record):
    parameters = nested(
        optimizer={
            "lr": {"distribution": "log_normal", "mu": -6, "sigma": 1},
            "weight_decay": {"distribution": "beta", "a": 2, "b": 5},
            "name": {"values": ["adam", "sgd"], "probabilities": [0.3, 0.7]},
            "warmup_epochs": {"distribution": "q_uniform", "min": 0, "max": 2, "q": 0.5},
        },
        train={"seed": {"min": 0, "max": 10**6}, "batch_size": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8}},
        cutout={"images": {"min": 1, "max": 3}},
        data={"validation": {"value": 10}},
    )
    made = engine(**KEYS | {"parameters": parameters, "run_cap": 9})
    for number in range(9):
        values = made.ask()
        for parameter in made.parameters:
            drawn = values
            for name in parameter.names:
                drawn = drawn[name]
            low, high = parameter.distribution.limits if parameter.distribution.choices is None else (0, 0)
            assert low <= drawn <= high if parameter.distribution.choices is None else drawn in parameter.distribution.choices
        made.tell(number, record(f"r{number}", summary=0.1 * number))


@pytest.mark.slow
def test_a_seed_is_drawn_and_not_searched_and_runs_that_differ_in_nothing_else_tell_of_one_place(engine, record):
    """The luck of a seed is nothing to find: here one seed looks better than all others, at every probability."""
    parameters = KEYS["parameters"] | nested(train={"epochs": {"value": 3}, "seed": {"values": [0, 1, 2, 3]}})
    made = engine(run_cap=16, **KEYS | {"parameters": parameters})
    for number, values in enumerate(made.rest()):
        reached = optimum_at(0.3)(values) + 0.05 * (values["train"]["seed"] == 3)
        made.tell(number, record(f"r{number}", summary=reached))
    seeds = [trial.values["train"]["seed"] for trial in made.trials]
    assert [made.draw(number)["train"]["seed"] for number in range(16)] == seeds
    assert made._coordinates(made.trials[0].values) == [pytest.approx((made.trials[0].values["dropout"]["p1"] - 0.1) / 0.7)]


@pytest.mark.slow
def test_a_search_that_is_killed_is_begun_again_and_draws_the_same(engine, record):
    trials = drawn_towards(engine, record, 0.3, count=7)
    made = engine([trial.values for trial in trials[:6]], run_cap=7, **KEYS)
    for number, trial in enumerate(trials[:6]):
        made.tell(number, trial.record)
    child = made._process._child = made._process._start()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert made.ask() == trials[6].values


def test_a_search_that_dies_over_each_question_is_the_machine_s_fault_and_said(engine, record, monkeypatch):
    made = engine(run_cap=9, **KEYS)
    for number in range(5):
        made.ask()
        made.tell(number, record(f"r{number}", summary=0.5))
    monkeypatch.setattr("reglab.sweep.engines.process.sys.executable", "/bin/false")
    with pytest.raises(ReglabError, match=r"the process that searches died \(exit code 1\)"):
        made.ask()


def test_until_runs_have_ended_draws_are_random_and_no_process_is_started(engine, record):
    made, chance = engine(run_cap=9, **KEYS), engine(run_cap=9, **KEYS)
    assert [made.ask() for _ in range(8)] == [chance.draw(number) for number in range(8)]
    assert made._process._child is None


@pytest.mark.parametrize(
    ("impute", "state", "accuracies", "summary", "value"),
    [
        ("worst", State.finished, [0.2, 0.7, 0.6], 0.5, -0.7),
        ("worst", State.stopped, [0.2, 0.7, 0.6], None, -0.7),
        ("worst", State.finished, [], 0.5, -0.5),
        ("worst", State.finished, [], None, -0.1),
        ("worst", State.diverged, [0.9], None, -0.1),
        ("latest", State.failed, [0.9, 0.3], None, -0.3),
        ("best", State.failed, [0.9, 0.3], None, -0.9),
        ("best", State.failed, [], None, 0.0),
        ("worst", State.running, [0.9], None, None),
        ("worst", State.preempted, [0.9], None, None),
    ],
)
def test_what_a_run_came_to_is_its_best_and_of_a_failed_one_what_the_file_says(engine, record, impute, state, accuracies, summary, value):
    made = engine(run_cap=9, **KEYS | {"metric": KEYS["metric"] | {"impute": impute}})
    made.ask(), made.ask()
    made.tell(0, record("other", accuracies=[0.1, 0.4], summary=0.4))
    made.tell(1, record("mine", state, accuracies, summary))
    assert [outcome for _, outcome in made._outcomes()] == [-0.4, value]


def test_it_learns_from_a_metric_that_only_the_summary_holds(engine, record):
    made = engine(run_cap=9, **KEYS | {"metric": {"name": "train_clean/accuracy", "goal": "maximize"}})
    made.ask()
    summary = Summary(train_clean_accuracy=0.8, time_train_seconds=1, time_wall_seconds=1, parameters=1, epochs=1)
    made.tell(0, record("r", accuracies=[0.5]).changed(summary=summary))
    assert [outcome for _, outcome in made._outcomes()] == [-0.8]
