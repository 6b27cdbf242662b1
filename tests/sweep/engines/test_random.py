import json

import pytest

from reglab.config import RunConfig
from reglab.sweep import assignment


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


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
def randomly(engine):
    return lambda drawn=(): engine(drawn, method="random", run_cap=9, parameters=EVERY_FORM)


def test_draws_are_reproducible(randomly):
    assert list(randomly().rest()) == list(randomly().rest())


def test_draws_differ(randomly):
    assert len({json.dumps(values) for values in randomly().rest()}) == 9


def test_it_draws_as_many_as_its_cap_and_no_more(randomly):
    made = randomly()
    assert len(list(made.rest())) == 9
    assert made.exhausted
    assert made.ask() is None


def test_a_search_goes_on_from_what_it_has_drawn(randomly):
    whole = list(randomly().rest())
    assert list(randomly(whole[:4]).rest()) == whole[4:]


def test_draws_do_not_depend_on_results(randomly, record):
    one, other = randomly(), randomly()
    one.ask(), other.ask()
    one.tell(0, record("a", summary=0.5))
    assert one.ask() == other.ask()


def test_two_sweeps_draw_differently(engine):
    keys = {"method": "random", "parameters": nested(optimizer={"lr": {"min": 0.1, "max": 0.2}})}
    assert engine(run_cap=9, **keys).ask() != engine(run_cap=8, **keys).ask()


def test_every_draw_is_a_configuration(randomly):
    for values in randomly().rest():
        config = RunConfig.parse(values)
        assert 0.1 <= config.dropout.p <= 0.8
        assert 1e-4 <= config.optimizer.lr <= 1e-2
        assert config.train.batch_size % 8 == 0


def test_a_draw_can_be_stored_and_handed_over(randomly, tmp_path, monkeypatch):
    drawn = randomly().ask()
    assert json.loads(json.dumps(drawn)) == drawn
    for name, value in assignment.hand_over("s", "r", drawn, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert assignment.received().values == drawn
