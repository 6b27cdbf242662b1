"""What is foretold of later looks comes to pass as often as it is foretold."""

import math

import numpy as np
import pytest

from reglab.statistics.contrast import contrast
from reglab.statistics.foretold import of_difference, of_means, of_new_cases

TWO = np.array([1.0, -1.0])
ABOVE = (0.0, math.inf)


def test_what_is_foretold_comes_to_pass_as_often():
    """Of differences that may be anything, as the method takes them to be, and judged at eight seeds as they come."""
    rng = np.random.default_rng(1)
    foretold, came = [], []
    for _ in range(400):
        results = rng.standard_normal((2, 8))
        results[0] += 4 * rng.standard_normal()
        holding, failing = of_difference(contrast(results[:, :3], TWO, may_pair=False), 3, [8], ABOVE, draws=200)
        foretold.append(((holding < 0.01) | (failing < 0.01)).mean())
        last = contrast(results, TWO, may_pair=False)
        came.append(min(float(last.p_inside(*ABOVE)), float(last.p_outside(*ABOVE))) < 0.01)
    foretold, came = np.array(foretold), np.array(came)
    assert foretold.mean() == pytest.approx(came.mean(), abs=0.03)
    unsure = (foretold > 0.2) & (foretold < 0.8)
    assert foretold[unsure].mean() == pytest.approx(came[unsure].mean(), abs=0.12)


def test_a_large_difference_is_foretold_to_be_settled_and_none_is_not():
    large = np.array([[10.0, 10.1, 9.9], [0.0, 0.1, -0.1]])
    holding, failing = of_difference(contrast(large, TWO), 3, [5, 12], ABOVE)
    assert (holding < 0.001).all() and (failing > 0.5).all() and holding.shape == (1000, 2)
    alike = np.array([[0.0, 1.0, -1.0], [0.1, -0.9, 0.8]])
    holding, failing = of_difference(contrast(alike, TWO), 3, [5], ABOVE)
    assert ((holding < 0.01) | (failing < 0.01)).mean() < 0.1


def test_within_a_margin_is_foretold_for_what_lies_well_inside_and_fails_for_what_lies_outside():
    near = np.array([[0.0, 0.1, -0.1], [0.1, 0.0, -0.1]])
    holding, _ = of_difference(contrast(near, TWO), 3, [8], (-2.0, 2.0))
    assert (holding < 0.01).mean() > 0.95
    _, failing = of_difference(contrast(near + np.array([[5.0], [0.0]]), TWO), 3, [8], (-2.0, 2.0))
    assert (failing < 0.01).mean() > 0.95


def test_runs_that_are_alike_to_the_last_digit_stay_so():
    holding, failing = of_difference(contrast(np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]]), TWO), 3, [5], ABOVE)
    assert (holding == 0).all() and (failing == 1).all()


def test_the_same_is_foretold_each_time_and_other_numbers_of_another_comparison():
    found = contrast(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]]), TWO)
    first, again, other = (of_difference(found, 3, [5], ABOVE, stream=stream)[0] for stream in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


def binomial(count, of):
    """Of more than one half: the exact two-sided p, and of less."""
    count, of = int(count), int(of)
    above = sum(math.comb(of, each) for each in range(count, of + 1)) / 2**of
    below = sum(math.comb(of, each) for each in range(count + 1)) / 2**of
    return min(1.0, 2 * above), min(1.0, 2 * below)


def test_a_share_of_few_cases_is_never_settled_and_one_of_more_is():
    holding, failing = of_new_cases(1.0, 4, [4], binomial)
    assert min(holding.min(), failing.min()) > 0.05
    holding, _ = of_new_cases(1.0, 4, [4, 12], binomial)
    assert (holding[:, 0] > 0.05).all() and (holding[:, 1] < 0.05).mean() > 0.6


def test_cases_whose_means_lie_far_apart_stay_as_they_are_and_close_ones_turn():
    apart = [np.array([[1.0, 1.1, 0.9], [0.0, 0.1, -0.1]])] * 6
    holding, failing = of_means(apart, 0, [5, 12], binomial)
    assert (holding == binomial(6, 6)[0]).all() and (failing == binomial(6, 6)[1]).all()
    holding, _ = of_means(apart, 1, [5], binomial)
    assert (holding == binomial(0, 6)[0]).all()
    close = [np.array([[1.0, 0.0, 0.5], [0.4, 0.6, 0.45]])] * 6
    counts = of_means(close, 0, [12], binomial)[0]
    assert len(np.unique(counts)) > 3


def test_a_case_turns_as_often_as_it_is_foretold():
    rng = np.random.default_rng(2)
    told, came = [], []
    for _ in range(300):
        results = rng.standard_normal((2, 8)) + np.array([[3 * rng.standard_normal()], [0.0]])
        told.append((of_means([results[:, :3]], 0, [8], lambda so, of: (1 - so, so), draws=200)[0] == 0).mean())
        came.append(results[0].mean() > results[1].mean())
    assert np.mean(told) == pytest.approx(np.mean(came), abs=0.05)
    told, came = np.array(told), np.array(came)
    assert np.mean(np.where(came, told, 1 - told)) > 0.85
