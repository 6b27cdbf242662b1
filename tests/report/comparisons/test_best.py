"""Against peers: scipy's multivariate t, and runs by chance."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_t, t

from reglab.report.comparisons.best import below, critical, of_groups, with_the_best


def test_of_one_other_arm_it_is_student_s_one_sided_value():
    assert critical(1, 10) == pytest.approx(t.ppf(0.95, 10), abs=1e-4)


@pytest.mark.parametrize(("others", "freedom", "value"), [(2, 10, 2.15), (5, 15, 2.44), (9, 20, 2.60)])
def test_critical_values_are_those_of_dunnett_s_table(others, freedom, value):
    """Dunnett (1955), table 1a, one-sided at 95 %; by scipy's own integration, to its noise."""
    shape = 0.5 + 0.5 * np.eye(others)
    d = critical(others, freedom)
    assert multivariate_t(shape=shape, df=freedom, seed=0).cdf([d] * others) == pytest.approx(0.95, abs=2e-3)
    assert below(d, others, freedom) == pytest.approx(0.95, abs=1e-8)
    assert d == pytest.approx(value, abs=0.02)


def test_seeds_are_blocks_and_intervals_are_constrained():
    """What all arms have in common from seed to seed widens nothing; no interval crosses 0 but to touch it."""
    noise = {("a", 0): 0.002, ("a", 1): -0.001, ("a", 2): 0.0, ("b", 1): 0.003, ("c", 2): 0.001}
    arms = {"a": 0.9, "b": 0.85, "c": 0.8985}
    values = {arm: {seed: mean + 0.1 * seed + noise.get((arm, seed), 0) for seed in range(3)} for arm, mean in arms.items()}
    found = with_the_best(values)
    assert found["a"].difference == pytest.approx(0.0015, abs=1e-3)
    assert found["b"].high == 0.0  # surely not the best
    assert (found["a"].low <= 0, found["a"].high > 0, found["c"].high > 0) == (True, True, True)
    assert found["b"].p < 0.001 < found["c"].p < found["a"].p == 1.0
    more = with_the_best({arm: {seed: value + 0.4 * seed for seed, value in seeds.items()} for arm, seeds in values.items()})
    assert more["c"].high == pytest.approx(found["c"].high)


def test_the_true_best_is_covered_as_often_as_is_said():
    chance = np.random.default_rng(0)
    true, rounds, missed = np.array([0.0, 0.5, 1.0, 1.2]), 400, 0
    for _ in range(rounds):
        runs = true[:, None] + chance.normal(size=4)[None, :] + chance.normal(size=(4, 4))
        found = with_the_best({str(arm): dict(enumerate(row)) for arm, row in enumerate(runs)})
        right = [true[arm] - max(np.delete(true, arm)) for arm in range(4)]
        missed += not all(found[str(arm)].low <= right[arm] <= found[str(arm)].high for arm in range(4))
    assert missed / rounds < 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


@pytest.mark.parametrize("seeds", [3, 5])
def test_arms_that_fail_at_random_hide_no_difference_between_the_others(seeds):
    """As of rates that are too high: a third of the arms twenty times as noisy as the rest, of which one is four deviations better."""
    chance, rounds, found, missed = np.random.default_rng(3), 30, 0, 0
    true, spread = np.array([4.0, 0, 0, 0, 0, 0, -60, -60, -60]), np.array([1.0] * 6 + [20.0] * 3)
    for _ in range(rounds):
        runs = true[:, None] + spread[:, None] * chance.normal(size=(9, seeds))
        compared = with_the_best({str(arm): dict(enumerate(row)) for arm, row in enumerate(runs)})
        found += sum(compared[str(arm)].high == 0 for arm in range(1, 6)) / 5
        missed += compared["0"].high == 0
    assert found / rounds > 0.5
    assert missed / rounds < 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


def test_arms_of_tasks_of_unlike_scales_are_told_by_their_own():
    """The best task's arms are the noisiest: with the spread of all, one of them was ruled out in a seventh of the studies."""
    chance, rounds, wrong = np.random.default_rng(5), 120, 0
    true, spread = np.repeat([0.0, 10.0, 100.0], 3), np.repeat([1.0, 4.0, 20.0], 3)
    for _ in range(rounds):
        runs = true[:, None] + spread[:, None] * chance.normal(size=(9, 5))
        wrong += with_the_best({str(arm): dict(enumerate(row)) for arm, row in enumerate(runs)})["8"].high == 0
    assert wrong / rounds < 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


@pytest.mark.parametrize("level", [0.001, 0.02, 0.049, 0.051, 0.3])
def test_an_interval_ends_at_nothing_just_where_p_is_below_a_twentieth(level):
    """With arms of unlike numbers and spreads."""
    arms = {"a": [5.0, 5.1, 4.9, 5.0], "b": [0.0, 9.0, 4.0], "c": [1.0, 1.2, 0.9, 1.1, 1.0], "d": [2.0, 2.4]}
    low, high = -30.0, 0.0
    for _ in range(60):  # to where d has this p
        middle = (low + high) / 2
        found = of_groups(arms | {"d": [5 + middle, 5.4 + middle]})
        low, high = (middle, high) if found["d"].p < level else (low, middle)
    assert (of_groups(arms | {"d": [5 + low, 5.4 + low]})["d"].high == 0) == (level < 0.05)


def test_of_one_seed_or_of_runs_without_spread_there_is_no_interval():
    assert with_the_best({"a": {0: 0.9}}) == {}
    assert with_the_best({"a": {0: 0.9}, "b": {0: 0.8}})["b"].high is None
    assert with_the_best({"a": {0: 0.9, 1: 0.9}, "b": {0: 0.8, 1: 0.8}})["b"].low is None


@pytest.mark.parametrize("scale", [1e-14, 1e-80, 1.0, 1e80])
@pytest.mark.parametrize("seeds", [{"a": "012", "b": "012"}, {"a": "012", "b": "345"}])
def test_how_far_it_is_chance_is_the_same_in_every_unit(scale, seeds):
    values = {"a": (0.90, 0.92, 0.91), "b": (0.80, 0.81, 0.83)}
    plain, other = (
        with_the_best({arm: {seed: value * by for seed, value in zip(seeds[arm], each, strict=True)} for arm, each in values.items()})["b"]
        for by in (1.0, scale)
    )
    assert (other.low, other.p) == (pytest.approx(plain.low * scale), pytest.approx(plain.p))


@pytest.mark.parametrize("scale", [1e-14, 1.0, 1e14])
@pytest.mark.parametrize("seeds", [{"a": "012", "b": "012"}, {"a": "012", "b": "345"}])
def test_runs_that_are_alike_but_for_rounding_show_no_chance(scale, seeds):
    """The mean of 0.1 three times is not 0.1."""
    values = {"a": 0.1 * scale, "b": 0.7 * scale}
    assert with_the_best({arm: dict.fromkeys(seeds[arm], each) for arm, each in values.items()})["a"].low is None


def test_where_arms_have_unlike_seeds_all_of_them_count():
    """One run that failed throws nobody's seeds away: the arms are groups of unlike sizes."""
    values = {"a": {0: 0.90, 1: 0.92, 2: 0.91, 3: 0.93}, "b": {1: 0.90, 2: 0.88}, "c": {"0": 0.80, "4": 0.82, "5": 0.81}}
    found = with_the_best(values)
    assert found == of_groups({arm: list(each.values()) for arm, each in values.items()})
    assert {arm: each.n for arm, each in found.items()} == {"a": 4, "b": 2, "c": 3}
    assert found["a"].difference == pytest.approx(0.915 - 0.89)


# Runs without seeds.


def test_groups_of_one_size_have_dunnett_s_critical_value():
    values = {"a": [3.0, 3.2, 2.8], "b": [2.0, 2.2, 1.8], "c": [0.0, 0.2, -0.2]}
    found = of_groups(values)
    width = critical(2, 6) * 0.2 * (2 / 3) ** 0.5
    assert found["a"].difference == pytest.approx(1)
    assert (found["b"].low, found["b"].high) == (pytest.approx(-1 - width), 0)
    assert (found["a"].low, found["a"].high) == (0, pytest.approx(1 + width))


def test_groups_of_unlike_sizes_hold_what_their_intervals_promise():
    """In 95 % of many studies all intervals at once cover the true differences; an arm of one run takes the spread of the others."""
    chance, means, sizes = np.random.default_rng(1), {"a": 0.0, "b": 0.3, "c": 0.5, "d": 0.5}, {"a": 2, "b": 6, "c": 3, "d": 1}
    true = {arm: mean - max(other for name, other in means.items() if name != arm) for arm, mean in means.items()}
    covered = 0
    for _ in range(400):
        found = of_groups({arm: list(means[arm] + chance.normal(size=size)) for arm, size in sizes.items()})
        covered += all(found[arm].low - 1e-9 <= true[arm] <= found[arm].high + 1e-9 for arm in means)
    assert covered / 400 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)


def test_groups_that_show_no_spread_have_no_intervals():
    assert of_groups({"a": [1.0], "b": [2.0]})["a"].low is None
    assert of_groups({"a": [1.0, 1.0], "b": [2.0, 2.0]})["a"].low is None
    assert of_groups({"a": [1.0, 2.0]}) == {}
