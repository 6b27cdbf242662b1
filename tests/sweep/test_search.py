import json
import warnings
from statistics import mean

import pytest
import yaml

from reglab.config import RunConfig, run_id
from reglab.sweep import assignment, spec
from reglab.sweep.search import Search
from reglab.tracking.record import Epoch, RunRecord, State, Summary


@pytest.fixture
def search(tmp_path):
    """The search of a sweep file with these keys."""

    def make(**keys):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(keys))
        return Search(spec.read(path).config)

    return make


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


def record(name, state=State.finished, accuracies=(), summary=None):
    rows = [
        Epoch(
            epoch=number,
            train_loss=1,
            train_accuracy=0.5,
            val_accuracy=accuracy,
            lr=0.1,
            time_train_seconds=number,
            time_wall_seconds=number,
            throughput_images_per_second=1,
        )
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    if summary is not None:
        summary = Summary(val_accuracy=summary, time_train_seconds=1, time_wall_seconds=1, parameters=1, epochs=len(rows))
    return RunRecord(run_id=name, sweep="s", label="", identity="", seed=0, config={}, state=state, history=rows, summary=summary)


def test_a_grid_is_complete(search):
    cells = search(
        method="grid",
        parameters={
            "arm": {"value": None},
            **nested(
                batchnorm={"layers": {"values": [0, 1, 2, 3]}},
                dropout={"layers": {"values": [0, 1]}, "p": {"values": [0.2, 0.5]}},
                train={"seed": {"values": [0, 1]}, "epochs": {"value": 3}},
            ),
        },
    ).grid()
    assert len(cells) == 4 * 2 * 2 * 2
    seen = {(c["batchnorm"]["layers"], c["dropout"]["layers"], c["dropout"]["p"], c["train"]["seed"]) for c in cells}
    assert len(seen) == len(cells)
    assert all(c["train"]["epochs"] == 3 and c["arm"] is None for c in cells)
    assert len({run_id(RunConfig.parse(cell)) for cell in cells}) == 4 * 3 * 2  # without dropout layers p does not matter


def test_a_grid_comes_one_seed_after_the_other(search):
    found = search(
        method="grid", parameters=nested(train={"seed": {"values": [2, 0, 1]}}, batchnorm={"layers": {"values": [0, 1, 2]}})
    ).grid()
    assert [cell["train"]["seed"] for cell in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [{cell["batchnorm"]["layers"] for cell in found[start : start + 3]} for start in (0, 3, 6)] == [{0, 1, 2}] * 3


def test_a_grid_is_the_same_each_time(search):
    made = search(method="grid", parameters=nested(train={"seed": {"values": [0, 1]}}, batchnorm={"layers": {"values": [0, 1, 2]}}))
    assert made.grid() == made.grid()


EVERY_FORM = nested(
    dropout={"layers": {"min": 1, "max": 3}, "p": {"min": 0.1, "max": 0.8}},
    optimizer={
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "weight_decay": {"distribution": "q_uniform", "min": 0.0, "max": 0.5, "q": 0.1},
        "name": {"values": ["adam", "sgd"]},
    },
    train={
        "seed": {"distribution": "int_uniform", "min": 0, "max": 1000},
        "batch_size": {"distribution": "q_uniform", "min": 8, "max": 64, "q": 8},
    },
)


@pytest.fixture
def randomly(search):
    return search(method="random", run_cap=9, parameters=EVERY_FORM)


def test_random_draws_are_reproducible(randomly):
    assert [randomly.draw([({}, None)] * number) for number in range(4)] == [randomly.draw([({}, None)] * number) for number in range(4)]


def test_random_draws_depend_on_how_many_there_were(randomly):
    draws = [json.dumps(plain(randomly.draw([({}, None)] * number))) for number in range(6)]
    assert len(set(draws)) == 6


def plain(values):
    """Numbers of numpy as Python's own."""
    return json.loads(json.dumps(values, default=lambda number: number.item()))


def test_random_draws_do_not_depend_on_results(randomly):
    drawn = [({"optimizer": {"lr": 0.001}}, record("a", summary=0.5))]
    assert randomly.draw(drawn) == randomly.draw([({}, None)])


def test_two_sweeps_draw_differently(search):
    one = search(method="random", run_cap=9, parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}))
    other = search(method="random", run_cap=8, parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}))
    assert one.draw([]) != other.draw([])


@pytest.mark.parametrize("number", range(5))
def test_every_draw_is_a_configuration(randomly, number):
    config = RunConfig.parse(randomly.draw([({}, None)] * number))
    assert 0.1 <= config.dropout.p <= 0.8
    assert 1e-4 <= config.optimizer.lr <= 1e-2
    assert config.train.batch_size % 8 == 0


def test_a_draw_can_be_stored_and_handed_over(randomly, tmp_path, monkeypatch):
    """The engine draws numbers of numpy, which neither JSON nor YAML can write."""
    drawn = randomly.draw([])
    assert json.loads(json.dumps(drawn)) == drawn
    for name, value in assignment.hand_over("s", "r", drawn, tmp_path / "parameters.yaml").items():
        monkeypatch.setenv(name, value)
    assert assignment.received().values == drawn


def optimum_at(place):
    """What a run with this dropout comes to, where one probability is best."""
    return lambda values: 0.9 - (values["dropout"]["p1"] - place) ** 2


def drawn_towards(search, place, count=14):
    made = search(
        method="bayes",
        run_cap=count,
        metric={"name": "val/accuracy", "goal": "maximize"},
        parameters=nested(
            dropout={"layers": {"value": 1}, "p1": {"min": 0.1, "max": 0.8}},
            data={"validation": {"value": 10}},
            train={"epochs": {"value": 3}},
        ),
    )
    drawn = []
    for number in range(count):
        values = made.draw(drawn)
        reached = optimum_at(place)(values)
        drawn.append((values, record(f"r{number}", accuracies=[0.1, reached], summary=reached)))
    return [values["dropout"]["p1"] for values, _ in drawn]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("place", "elsewhere"), [(0.15, 0.75), (0.75, 0.15)])
def test_bayes_goes_where_earlier_results_were_better(search, place, elsewhere):
    found = drawn_towards(search, place)
    first, last = found[:4], found[-4:]
    assert mean(abs(p - place) for p in last) < mean(abs(p - place) for p in first)
    assert mean(abs(p - place) for p in last) < mean(abs(p - elsewhere) for p in last)


@pytest.mark.filterwarnings("ignore")
def test_bayes_draws_are_reproducible_given_the_same_results(search):
    assert drawn_towards(search, 0.3, count=6) == drawn_towards(search, 0.3, count=6)


@pytest.mark.filterwarnings("ignore")
def test_bayes_learns_from_a_metric_that_only_the_summary_holds(search):
    made = search(
        method="bayes",
        run_cap=9,
        metric={"name": "train_clean/accuracy", "goal": "maximize"},
        parameters=nested(dropout={"layers": {"value": 1}, "p1": {"min": 0.1, "max": 0.8}}),
    )

    def next_after(results):
        drawn = []
        for number, (p1, accuracy) in enumerate(results):
            ended = record(f"r{number}", accuracies=[0.5])
            summary = Summary(train_clean_accuracy=accuracy, time_train_seconds=1, time_wall_seconds=1, parameters=1, epochs=1)
            drawn.append(({"dropout": {"layers": 1, "p1": p1}}, ended.changed(summary=summary)))
        return made.draw(drawn)["dropout"]["p1"]

    places = [0.1 + 0.1 * number for number in range(8)]
    low, high = (next_after([(p1, 0.9 - (p1 - best) ** 2) for p1 in places]) for best in (0.24, 0.66))
    assert abs(low - 0.24) < 0.15
    assert abs(high - 0.66) < 0.15


def test_the_engine_s_fitting_troubles_are_not_the_user_s(search):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn_towards(search, 0.75)


@pytest.fixture
def hyperband(search):
    return search(
        method="random",
        run_cap=9,
        metric={"name": "val/accuracy", "goal": "maximize"},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
        parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}, data={"validation": {"value": 10}}),
    )


GOOD, BAD = [0.5, 0.6, 0.7, 0.8], [0.1, 0.1, 0.1, 0.1]
VALUES = {"optimizer": {"lr": 0.15}}


def stopped(made, *records):
    return made.to_stop([(VALUES, each) for each in records])


def test_hyperband_stops_the_bad_run_and_not_the_good_one(hyperband):
    running = [record("good", State.running, GOOD), record("bad", State.running, BAD), record("better", State.running, [0.9] * 4)]
    assert stopped(hyperband, *running) == {"bad"}


def test_hyperband_compares_with_runs_that_have_ended(hyperband):
    ended = [record("a", State.finished, GOOD), record("b", State.stopped, GOOD)]
    assert stopped(hyperband, *ended, record("bad", State.running, BAD)) == {"bad"}


def test_hyperband_stops_no_run_that_has_ended(hyperband):
    ended = [record(state.value, state, BAD) for state in State if state.ended]
    assert stopped(hyperband, *ended, record("good", State.running, GOOD)) == set()


def test_hyperband_leaves_a_young_run_alone(hyperband):
    assert stopped(hyperband, record("good", State.finished, GOOD), record("young", State.running, BAD[:2])) == set()


def test_hyperband_counts_epochs_that_were_evaluated(hyperband):
    seldom = record("seldom", State.running, [None, 0.1, None, 0.1])
    assert stopped(hyperband, record("good", State.finished, GOOD), seldom) == set()


def test_hyperband_minimizes_a_loss(search):
    made = search(
        method="random",
        run_cap=9,
        metric={"name": "val/accuracy", "goal": "minimize"},
        early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2},
        parameters=nested(optimizer={"lr": {"min": 0.1, "max": 0.2}}, data={"validation": {"value": 10}}),
    )
    running = [record("low", State.running, BAD), record("lower", State.running, [0.05] * 4), record("high", State.running, GOOD)]
    assert stopped(made, *running) == {"high"}


def test_without_early_termination_nothing_is_stopped(randomly):
    assert stopped(randomly, record("good", State.running, GOOD), record("bad", State.running, BAD)) == set()


def test_runs_that_have_not_begun_are_no_trouble(hyperband):
    assert hyperband.to_stop([(VALUES, None), (VALUES, record("a", State.pending))]) == set()
