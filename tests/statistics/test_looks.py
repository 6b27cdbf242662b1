"""Levels of looks: their error is what was asked for, whatever the design."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from reglab.statistics.looks import erring, levels, spent


def test_one_look_at_the_end_has_the_whole_level():
    assert levels((12,), 0.05) == (0.05,)
    assert levels((20,), 0.05) == (0.05,)


def test_an_early_look_has_what_may_be_spent_by_then():
    assert levels((3,), 0.05)[0] == pytest.approx(0.05 * (3 / 12) ** 1.5)
    assert spent(24) == 1


def test_after_the_last_look_nothing_is_left():
    assert levels((12, 13), 0.05)[1] == 0


@pytest.mark.parametrize("looks", [(3, 3), (5, 3), (1, 3)])
def test_looks_that_do_not_rise_are_refused(looks):
    with pytest.raises(ValueError, match="must rise"):
        levels(looks, 0.05)


@pytest.mark.parametrize("arms", [1, 2])
def test_looks_err_as_often_as_they_may_by_plain_simulation(arms):
    """Studies drawn as they come, and judged by scipy's own tests."""
    looks = (3, 5, 8, 12)
    at = levels(looks, 0.1, arms=arms)
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((2, 8000, 12))
    wrong = np.zeros(8000, dtype=bool)
    for seeds, level in zip(looks, at, strict=True):
        test = ttest_1samp(one[:, :seeds], 0, axis=1) if arms == 1 else ttest_ind(one[:, :seeds], other[:, :seeds], axis=1)
        wrong |= test.pvalue < level
    assert wrong.mean() == pytest.approx(0.1, abs=0.012)
    assert erring(looks, at, arms) == pytest.approx(0.1, rel=0.02)


def test_levels_of_more_arms_are_as_large_or_larger_and_the_sum_is_more_than_alpha():
    few, many = levels((3, 5, 8, 12), 0.05, arms=1), levels((3, 5, 8, 12), 0.05, arms=8)
    assert all(one <= other + 1e-4 for one, other in zip(few, many, strict=True))
    assert sum(few) > 0.05


def test_levels_of_a_small_alpha_are_there_too():
    at = levels((3, 5, 8, 12), 2e-5)
    assert 2e-5 <= sum(at) < 2.5e-5


def test_levels_are_the_same_each_time_and_a_look_more_changes_none_before_it():
    assert levels((3, 5), 0.05) == levels((3, 5, 9), 0.05)[:2]
