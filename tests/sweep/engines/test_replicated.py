import pytest

from reglab.sweep import engines, spec
from reglab.sweep.engines.engine import Engine
from reglab.sweep.engines.replicated import Replicated
from reglab.tracking.record import State

KEYS = {
    "method": "random",
    "run_cap": 9,
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": {
        "data": {"parameters": {"validation": {"value": 10}}},
        "optimizer": {"parameters": {"lr": {"values": [0.1, 0.2, 0.3]}}},
        "train": {"parameters": {"seed": {"values": [0, 1, 2]}}},
    },
}
SEED = ("train", "seed")


class Rates(Engine):
    """Draws 0.1, 0.2, ... and is over after four."""

    @property
    def exhausted(self):
        return len(self.trials) >= 4

    def _draw(self):
        return {"optimizer": {"lr": round(0.1 * (len(self.trials) + 1), 1)}, "data": {"validation": 10}}


@pytest.fixture
def replicated():
    def make(drawn=(), **more):
        return Replicated(KEYS | more, drawn, SEED, Rates)

    return make


def drawn(engine, count):
    return [(values["optimizer"]["lr"], values["train"]["seed"]) for values in (engine.ask() for _ in range(count))]


def heard(engine):
    """What the engine within knows of each configuration: its state, and the metric."""
    return [trial.record and (trial.record.state, trial.record.came_to.get("val/accuracy")) for trial in engine._within.trials]


def test_each_configuration_is_drawn_with_every_seed_before_the_next(replicated):
    engine = replicated()
    assert drawn(engine, 7) == [(0.1, 0), (0.1, 1), (0.1, 2), (0.2, 0), (0.2, 1), (0.2, 2), (0.3, 0)]
    assert "seed" not in str(engine._within.trials)


def test_the_engine_hears_the_mean_once_every_seed_has_ended(replicated, record):
    engine = replicated()
    drawn(engine, 4)
    engine.tell(0, record("a", accuracies=[0.9, 0.5], summary=0.5))
    engine.tell(1, record("b", state=State.stopped, accuracies=[0.3]))
    engine.tell(3, record("d", accuracies=[0.2], summary=0.2))
    assert heard(engine) == [None, None]
    engine.tell(2, record("c", state=State.running, accuracies=[0.6]))
    assert heard(engine) == [None, None]
    engine.tell(2, record("c", accuracies=[0.6], summary=0.6))
    assert heard(engine) == [(State.finished, pytest.approx((0.9 + 0.3 + 0.6) / 3)), None]


def test_one_seed_that_diverged_is_a_configuration_that_does_and_one_that_failed_is_left_out(replicated, record):
    engine = replicated()
    drawn(engine, 9)
    for number, state in enumerate([State.finished, State.diverged, State.finished, State.finished, State.failed, State.finished]):
        engine.tell(number, record(str(number), state=state, accuracies=[0.5]))
    for number in (6, 7, 8):
        engine.tell(number, record(str(number), state=State.failed))
    assert [state for state, _ in heard(engine)] == [State.diverged, State.finished, State.failed]
    assert heard(engine)[1][1] == 0.5


def test_it_goes_on_from_what_it_drew(replicated):
    whole = replicated()
    values = [whole.ask() for _ in range(9)]
    for count in range(9):
        again = replicated(values[:count])
        assert again.ask() == values[count]


def test_more_seeds_are_drawn_for_the_configurations_that_there_are_first(replicated):
    first = replicated()
    values = [first.ask() for _ in range(4)]  # 0.1 with all seeds, 0.2 with one
    more = {"parameters": KEYS["parameters"] | {"train": {"parameters": {"seed": {"values": [0, 1, 2, 3]}}}}}
    assert drawn(replicated(values, **more), 5) == [(0.1, 3), (0.2, 1), (0.2, 2), (0.2, 3), (0.3, 0)]


def test_it_is_over_with_its_cap_or_with_the_engine_within(replicated):
    assert len(list(replicated().rest())) == 9
    assert len(list(replicated(run_cap=100).rest())) == 12
    assert replicated(run_cap=8)._within.config["run_cap"] == 3


def test_the_engine_within_knows_of_no_seed_and_of_no_early_end(replicated):
    within = replicated(early_terminate={"type": "hyperband", "min_iter": 1})._within.config
    assert "train" not in within["parameters"] and "early_terminate" not in within
    assert KEYS["parameters"]["train"]["parameters"]["seed"]


def test_early_termination_compares_runs(replicated, record):
    engine = replicated(early_terminate={"type": "hyperband", "min_iter": 1})
    drawn(engine, 6)
    for number, accuracy in enumerate([0.9, 0.8, 0.7, 0.6, 0.5, 0.1]):
        engine.tell(number, record(str(number), state=State.running, accuracies=[accuracy]))
    assert engine.prune() == {"3", "4", "5"}


def test_a_sweep_file_with_replicates_has_it_and_a_grid_has_its_seeds_as_any_parameter(tmp_path):
    import yaml

    plain = KEYS | {
        "replicates": {"key": "train.seed", "start": 2},
        "parameters": {k: v for k, v in KEYS["parameters"].items() if k != "train"},
    }
    path = tmp_path / "mine.yaml"
    for method, cap in (("random", 6), ("grid", None)):
        path.write_text(yaml.safe_dump({key: value for key, value in (plain | {"method": method, "run_cap": cap}).items() if value}))
        found = spec.read(path)
        assert isinstance(found.search(), Replicated) == (method == "random")
    assert not isinstance(engines.of(KEYS), Replicated)
