"""Moderated variances: against limma's own formulas, and where they fall back."""

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from reglab.statistics.moderation import _trigamma_inverse, moderated, prior


def drawn(arms, freedom, own, studies=1, seed=0):
    """Variances of arms whose true ones are a prior of `own` degrees of freedom around 2."""
    rng = np.random.default_rng(seed)
    true = 2 * own / rng.chisquare(own, (studies, arms))
    return true * rng.chisquare(freedom, (studies, arms)) / freedom


def test_the_degrees_of_freedom_of_many_arms_are_found_again():
    """As limma finds them: its `fitFDist` is for thousands."""
    for own in (3.0, 10.0):
        found = prior(drawn(20_000, 4, own), np.full(20_000, 4.0))
        assert found.freedom[0] == pytest.approx(own, rel=0.1)
        assert found.variance[0] == pytest.approx(2 * own / (own - 2), rel=0.1)  # the mean of the variances that there are


def test_the_moments_are_those_of_smyth_written_out_for_unequal_degrees_of_freedom():
    variances, freedom = np.array([1.0, 9.0, 0.2, 3.0, 40.0]), np.array([2.0, 2.0, 4.0, 1.0, 3.0])
    logs = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    spread = np.sum((logs - logs.mean()) ** 2) / 4 - np.mean(polygamma(1, freedom / 2))
    assert spread > 0
    found = prior(variances, freedom)
    assert polygamma(1, found.freedom / 2) == pytest.approx(spread)
    assert found.variance == pytest.approx(np.sum(variances * freedom) / freedom.sum())


def test_trigamma_is_inverted_over_all_its_range():
    values = np.array([1e-8, 1e-3, 0.1, 1.0, 50.0, 1e9])
    assert polygamma(1, _trigamma_inverse(values)) == pytest.approx(values, rel=1e-6)


def test_variances_that_spread_less_than_by_chance_are_pooled():
    variances, freedom = np.array([1.0, 1.1, 0.9, 1.0]), np.full(4, 2.0)
    found = prior(variances, freedom)
    assert np.isinf(found.freedom)
    values, freedoms = moderated(variances, freedom, found)
    assert values == pytest.approx(np.ones(4))
    assert freedoms == pytest.approx(8)  # those of all arms, and no more


def test_two_arms_say_nothing_of_what_arms_have_in_common():
    variances, freedom = np.array([1.0, 4.0]), np.full(2, 2.0)
    values, freedoms = moderated(variances, freedom, prior(variances, freedom))
    assert (list(values), list(freedoms)) == ([1, 4], [2, 2])


def test_an_arm_that_is_unlike_the_others_keeps_its_own_and_one_that_is_small_is_drawn_up():
    variances, freedom = np.array([1.0, 1.2, 0.9, 1.1, 0.4, 80.0]), np.array([6.0] * 4 + [4.0] * 2)
    values, freedoms = moderated(variances, freedom, prior(variances, freedom))
    assert (values[5], freedoms[5]) == (80, 4)
    assert values[4] > 0.5


def test_arms_without_a_spread_leave_a_prior_of_none():
    for variances in (np.zeros(4), np.array([0.0, 0.0, 0.0, 1.0])):
        found = prior(variances, np.full(4, 2.0))
        values, freedoms = moderated(variances, np.full(4, 2.0), found)
        assert np.isfinite(values).all() and (freedoms > 0).all()


def test_an_arm_of_one_seed_has_the_variance_of_the_others():
    variances, freedom = np.array([1.0, 1.1, 0.9, 0.0]), np.array([2.0, 2.0, 2.0, 0.0])
    values, freedoms = moderated(variances, freedom, prior(variances, freedom))
    assert values[3] == pytest.approx(1)
    assert freedoms[3] == 6


def test_two_wild_arms_do_not_hide_each_other():
    """Variances of test accuracy as they were: of one arm a run of two had collapsed, of another one of three nearly."""
    variances = np.array([13.8, 0.64, 0.05, 2.05, 0.55, 0.16, 145.2, 0.10, 0.05, 0.19, 0.58, 0.16])
    freedom = np.array([2.0, 1, 2, 2, 1, 2, 1, 2, 2, 2, 2, 2])
    common = prior(variances, freedom)
    assert common.variance < 0.6
    found, _ = moderated(variances, freedom, common)
    assert found[[0, 6]] == pytest.approx(variances[[0, 6]])
    assert (np.delete(found, [0, 3, 6]) < 0.6).all()


def test_an_arm_of_equal_results_takes_nothing_from_what_the_others_have_in_common():
    variances, freedom = np.array([1.0, 1.3, 0.8, 1.1, 0.0]), np.array([2.0, 2.0, 3.0, 4.0, 3.0])
    with_it, without = prior(variances, freedom), prior(variances[:4], freedom[:4])
    assert (with_it.variance, with_it.freedom) == (pytest.approx(without.variance), without.freedom)
    assert list(with_it.alike) == [True, True, True, True, False]
    drawn, known = moderated(variances, freedom, with_it)
    assert (drawn[4], known[4]) == (pytest.approx(with_it.variance), pytest.approx(14.0))
    nothing = prior(np.zeros(4), np.full(4, 2.0))
    assert moderated(np.zeros(4), np.full(4, 2.0), nothing)[0].tolist() == [0.0] * 4
