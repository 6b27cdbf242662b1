import json
import math
import random
from pathlib import Path

import pytest
from scipy import stats

from reglab.sweep import distributions
from reglab.sweep.definition import assembled, parameters_of

PEERS = {
    "int_uniform": ({"min": 2, "max": 6}, stats.randint(2, 7)),
    "uniform": ({"min": 0.5, "max": 2.5}, stats.uniform(0.5, 2)),
    "log_uniform": ({"min": -3, "max": 1}, stats.loguniform(math.exp(-3), math.e)),
    "log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    "inv_log_uniform": ({"min": -3, "max": 1}, stats.loguniform(math.exp(-1), math.exp(3))),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    "normal": ({"mu": 1, "sigma": 2}, stats.norm(1, 2)),
    "log_normal": ({"mu": -1, "sigma": 0.5}, stats.lognorm(0.5, scale=math.exp(-1))),
    "beta": ({"a": 2, "b": 3}, stats.beta(2, 3)),
}
QUANTIZED = {f"q_{name}": (keys | {"q": 0.25}, peer) for name, (keys, peer) in PEERS.items() if f"q_{name}" in distributions.KINDS}


def made(name, keys):
    return distributions.of({"distribution": name} | keys)


def test_every_distribution_of_numbers_is_looked_at_here():
    numeric = {name for name, kind in distributions.KINDS.items() if kind.is_numeric}
    assert numeric == PEERS.keys() | QUANTIZED.keys()


@pytest.mark.parametrize("name", PEERS)
def test_draws_are_distributed_as_the_name_says(name):
    keys, peer = PEERS[name]
    chance, drawn = random.Random(name), []
    for _ in range(2000):
        drawn.append(made(name, keys).at(chance.random()))
    if name == "int_uniform":
        counts = [drawn.count(value) for value in range(2, 7)]
        assert sum(counts) == 2000
        assert stats.chisquare(counts).pvalue > 0.001
    else:
        assert stats.kstest(drawn, peer.cdf).pvalue > 0.001


@pytest.mark.parametrize("name", QUANTIZED)
def test_a_quantized_draw_is_the_nearest_step_to_what_is_drawn_without(name):
    keys, _ = QUANTIZED[name]
    exact = made(name.removeprefix("q_"), PEERS[name.removeprefix("q_")][0])
    for share in (0.01, 0.2, 0.5, 0.77, 0.99):
        drawn = made(name, keys).at(share)
        assert drawn / 0.25 == round(drawn / 0.25)
        assert abs(drawn - exact.at(share)) <= 0.125


@pytest.mark.parametrize("name", PEERS | QUANTIZED)
def test_a_share_is_the_quantile_s_inverse_and_draws_lie_within_the_limits(name):
    keys, _ = (PEERS | QUANTIZED)[name]
    distribution = made(name, keys)
    low, high = distribution.limits
    for share in (0.02, 0.31, 0.5, 0.98):
        value = distribution.at(share)
        assert low <= value <= high
        assert distribution.covers(value)
        if distribution.is_continuous:
            assert distribution.share(value) == pytest.approx(share)


def test_a_whole_step_makes_whole_draws_and_another_does_not():
    assert isinstance(made("q_uniform", {"min": 0, "max": 9, "q": 2}).at(0.4), int)
    assert isinstance(made("q_uniform", {"min": 0, "max": 9}).at(0.4), float)


def test_choices_are_drawn_with_their_probabilities():
    distribution = distributions.of({"values": ["a", "b", "c"], "probabilities": [0.2, 0, 0.8]})
    drawn = [distribution.at(step / 1000) for step in range(1000)]
    assert [drawn.count(value) for value in "abc"] == [200, 0, 800]
    assert distribution.at(1.0) == "c"


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize(("definition", "ends"), [({"values": [3, 1, 2]}, (3, 2)), ({"min": 4, "max": 9}, (4, 9))])
def test_the_ends_of_what_is_drawn_are_the_first_and_the_last(definition, ends, share):
    assert distributions.of(definition).at(share) == ends[int(share)]


def test_a_number_that_no_computer_holds_is_infinite_and_no_crash():
    assert made("log_normal", {"mu": 1000}).at(0.5) == math.inf
    assert made("q_log_normal", {"mu": 1000}).at(0.5) == math.inf


STORED = json.loads((Path(__file__).parent / "engines" / "wandb_draws.json").read_text(encoding="utf-8"))


def drawn_from(config, seed):
    chance, parameters = random.Random(seed), parameters_of(config)
    return assembled(parameters, [parameter.distribution.at(chance.uniform(0.0, 1.0)) for parameter in parameters])


def test_w_and_b_s_engine_draws_the_same_from_the_same_seed():
    """All distributions, as sweeps 0.3 drew them: what an earlier version of this program drew with that engine is drawn again."""
    for seed, theirs in enumerate(STORED["draws"]):
        ours = drawn_from(STORED["config"], seed)
        for name, value in theirs.items():
            assert ours[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name
            assert type(ours[name]) is type(value), name


@pytest.mark.slow
def test_w_and_b_s_engine_draws_the_same_a_thousand_times(oracle):
    seeds = list(range(1000, 2000))
    (theirs,) = oracle([{"draws": STORED["config"], "seeds": seeds}])
    for seed, drawn in zip(seeds, theirs, strict=True):
        for name, value in drawn.items():
            assert drawn_from(STORED["config"], seed)[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)
