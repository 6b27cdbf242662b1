"""Restricted mean times."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from reglab.statistics.restricted import common_end, restricted_difference, restricted_mean


def test_where_all_have_happened_it_is_the_mean_with_students_interval():
    times = [3.0, 5.0, 9.0, 10.0]
    found = restricted_mean([(at, True) for at in times], 10.0)
    assert found.mean == pytest.approx(np.mean(times))
    assert found.interval() == pytest.approx(tuple(ttest_1samp(times, 0).confidence_interval()))


def test_the_area_below_the_curve_of_censored_times_by_hand():
    """1 until 2, 3/4 until 6, 3/8 until 8."""
    found = restricted_mean([(2, True), (4, False), (6, True), (8, False)], 8)
    assert found.mean == pytest.approx(2 + 4 * 0.75 + 2 * 0.375)
    variance = (found.mean - 2) ** 2 / (4 * 3) + (2 * 0.375) ** 2 / (2 * 1)
    assert found.error == pytest.approx(math.sqrt(2 * variance))


def test_a_run_that_never_gets_there_counts_with_the_whole_time():
    assert restricted_mean([(2, True), (math.inf, False)], 10).mean == 6


def test_a_difference_of_two_groups_is_welchs_where_nothing_is_censored():
    one, other = [3.0, 5.0, 9.0], [4.0, 8.0, 9.0, 9.0]
    found = restricted_difference([(at, True) for at in one], [(at, True) for at in other])
    peer = ttest_ind(one, other, equal_var=False)
    assert found.until == common_end([(at, True) for at in one], [(at, True) for at in other]) == 9
    assert found.interval() == pytest.approx(tuple(peer.confidence_interval()))


def test_the_end_is_the_last_time_of_which_every_group_tells():
    ended, censored, never = [(2, True), (5, True)], [(3, True), (9, False)], [(4, True), (math.inf, False)]
    assert common_end(ended, censored) == 9  # all of the first had it by 5
    assert common_end(ended, ended) == common_end(ended, never) == 5
    assert common_end(ended, [(7, True), (8, True)]) == 8
    assert common_end(censored, never) == 9
    assert restricted_mean(ended, 9).mean == 3.5


def test_one_event_says_nothing_of_its_chance_and_beyond_all_times_nothing_is_said():
    assert restricted_mean([(2, True), (5, False)], 5).error == math.inf
    with pytest.raises(ValueError, match="no time reaches 9"):
        restricted_mean([(2, True), (5, False)], 9)


@pytest.mark.parametrize("runs", [4, 10])
def test_intervals_of_censored_times_cover_the_truth(runs):
    """Exponential times up to 1.5 of their mean, a fifth of them censored before."""
    rng, end, hits = np.random.default_rng(0), 1.5, 0
    truth = 1 - math.exp(-end)
    for _ in range(600):
        times, stops = rng.exponential(1, runs), rng.choice([0.8, 2.0], runs, p=[0.2, 0.8])
        seen = [(min(at, stop), bool(at <= stop)) for at, stop in zip(times, stops, strict=True)]
        low, high = restricted_mean([*seen[:-1], (max(seen[-1][0], 2.0), False) if max(seen)[0] < end else seen[-1]], end).interval()
        hits += low <= truth <= high
    assert hits / 600 > 0.85
