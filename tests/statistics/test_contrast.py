"""Contrasts: Student's and Welch's where there is nothing more to know, shorter where there is, and paired where it pays."""

import numpy as np
import pytest
from scipy.stats import f_oneway, ttest_ind, ttest_rel

from reglab.statistics.contrast import arm_means, contrast

TWO = np.array([1.0, -1.0])


def results(arms, seeds, common=0.0, studies=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (arms, seeds) if studies is None else (studies, arms, seeds)
    shared = rng.standard_normal((*shape[:-2], 1, seeds))
    return np.sqrt(1 - common) * rng.standard_normal(shape) + np.sqrt(common) * shared


def test_two_arms_alone_are_compared_as_welch_does():
    values = results(2, 6)
    found, peer = contrast(values, TWO), ttest_ind(values[0], values[1], equal_var=False)
    assert not found.paired
    assert float(found.p()) == pytest.approx(peer.pvalue)
    assert found.interval(0.05) == pytest.approx(tuple(peer.confidence_interval()))


def test_arms_of_unequal_seeds_are_compared_and_a_missing_run_is_no_zero():
    values = results(2, 6)
    values[0, 4:] = np.nan
    assert float(contrast(values, TWO).p()) == pytest.approx(ttest_ind(values[0, :4], values[1], equal_var=False).pvalue)


def test_two_arms_of_correlated_seeds_are_paired_as_student_does():
    values = results(2, 8, common=0.97)
    found, peer = contrast(values, TWO), ttest_rel(values[0], values[1])
    assert found.paired
    assert float(found.correlation) > 0.8
    assert float(found.p()) == pytest.approx(peer.pvalue)


def test_arms_of_one_variance_have_the_degrees_of_freedom_of_all():
    values = results(3, 4) * 0 + np.array([[0, 1, 2, 3], [1, 2, 3, 4.5], [5, 6, 7, 8.2]])[:, [0, 2, 1, 3]]
    values[1] = values[1][[2, 0, 3, 1]]  # no common order of seeds
    found = contrast(values, np.array([1.0, -1.0, 0.0]))
    assert found.freedom == pytest.approx(9)
    both = contrast(values[:2], TWO)
    assert found.error * 2.26 < both.error * 2.45
    assert f_oneway(*values).pvalue < 0.05  # an arm's own mean is no part of its variance


def test_pairing_is_left_alone_where_three_seeds_cannot_pay_for_it():
    values = np.stack([results(2, 3, common=0.4, seed=seed) for seed in range(300)])
    assert contrast(values, TWO).paired.mean() < 0.1
    assert contrast(results(6, 3, common=0.9, studies=300), np.array([1.0, -1, 0, 0, 0, 0])).paired.mean() > 0.7


def test_runs_without_common_seeds_are_no_pairs():
    values = np.full((2, 6), np.nan)
    values[0, :3], values[1, 3:] = [1, 2, 3], [2, 3, 4]
    found = contrast(values, TWO)
    assert (bool(found.paired), found.correlation) == (False, None)
    assert float(found.mean) == -1


@pytest.mark.parametrize("margin", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_equivalence_at_a_level_is_an_interval_within_the_margin(margin, level):
    found = contrast(results(3, 5, studies=200), np.array([1.0, -1.0, 0.0]))
    low, high = found.interval(level)
    assert ((found.p_inside(-margin, margin) < level) == ((low > -margin) & (high < margin))).all()


def test_an_interval_ends_where_its_p_is_the_level():
    found = contrast(results(4, 3), np.array([1.0, -1.0, 0.0, 0.0]))
    for bound in found.interval(0.03):
        assert float(found.p(float(bound))) == pytest.approx(0.03)


def test_results_that_are_all_alike_have_no_error():
    found = contrast(np.array([[0.1] * 3, [0.3] * 3, [0.3] * 3]), np.array([1.0, -1.0, 0.0]))
    assert (float(found.error), float(found.p())) == (0, 0)
    assert found.interval(0.05) == pytest.approx((-0.2, -0.2))


def test_the_mean_of_an_arm_that_is_as_the_others_is_the_contrast_with_all_weight_on_it():
    values = results(5, 4)
    values[1, 2:], values[3, 1:] = np.nan, np.nan
    found = arm_means(values)
    lows, highs = found.interval(0.05)
    for arm in range(5):
        one = contrast(values, np.eye(5)[arm], may_pair=False)
        assert (lows[arm], highs[arm]) == pytest.approx(one.interval(0.05))
        assert (found.mean[arm], found.freedom[arm]) == pytest.approx((float(one.mean), float(one.freedom)))


def test_several_pairs_of_arms_are_one_difference():
    values = results(4, 50)
    found = contrast(values, np.array([0.5, 0.5, -0.5, -0.5]))
    assert float(found.mean) == pytest.approx(values[:2].mean() - values[2:].mean())


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (3, 3), (6, 3), (6, 5)])
@pytest.mark.parametrize("compared", [(1, -1), (1, -1, -1, 1)])
def test_intervals_cover_what_they_say(arms, seeds, compared):
    if len(compared) > arms:
        pytest.skip("too few arms")
    weights = np.zeros(arms)
    weights[: len(compared)] = compared
    low, high = contrast(results(arms, seeds, studies=4000), weights).interval(0.05)
    assert 0.93 < ((low < 0) & (high > 0)).mean() < 0.97
