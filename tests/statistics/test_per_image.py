"""Answers to single images: what is said of variances and shares holds where the truth is known, for it was drawn."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from reglab.statistics.per_image import between_seeds, only_right, spread


def drawn(rng, images, runs, worth=0.0, more=0.0):
    """Answers of two arms: images are more or less hard, seeds differ by `worth`, the second arm is better by `more`, on the log-odds."""
    hard = 6 + 4 * rng.standard_normal(images)
    return tuple(rng.random((runs, images)) < expit(hard + better + worth * rng.standard_normal((runs, 1))) for better in (0, more))


def truth(worth=0.0, more=0.0):
    """The share that only the first gets right, and the variance of its accuracy, over all images and seeds: by quadrature."""
    places, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    hard = 6 + 4 * places
    one, other = (expit(hard + better + worth * places[:, None]) for better in (0, more))  # (seeds, images)
    return (weights @ one * (1 - weights @ other)) @ weights, weights @ (one @ weights) ** 2 - (weights @ one @ weights) ** 2


# The spread between seeds


def test_the_spread_is_that_of_covariances_over_pairs_of_images():
    """By the definition: chance is the images with themselves, what is left is the mean over the others."""
    (arm, _) = drawn(np.random.default_rng(0), 40, 5, worth=1.0)
    covariances = np.cov(arm.T.astype(float))
    found = spread([arm])
    assert found.seen == pytest.approx(covariances.mean())
    assert found.by_chance == pytest.approx(np.trace(covariances) / 40**2)
    assert found.left == pytest.approx(np.mean([covariances[i, j] for i, j in itertools.permutations(range(40), 2)]))
    assert (found.freedom, found.images) == (4, 40)


def test_arms_are_pooled_by_their_degrees_of_freedom():
    arms = [drawn(np.random.default_rng(seed), 60, runs, worth=1.0)[0] for seed, runs in enumerate((2, 5, 1))]
    alone = [spread([arm]) for arm in arms[:2]]
    found = spread(arms)
    assert found.freedom == pytest.approx((alone[0].seen + 4 * alone[1].seen) ** 2 / (alone[0].seen ** 2 + 4 * alone[1].seen ** 2))
    assert found.seen == pytest.approx((alone[0].seen + 4 * alone[1].seen) / 5)
    assert found.by_chance == pytest.approx((alone[0].by_chance + 4 * alone[1].by_chance) / 5)
    assert spread(arms[2:]) is spread([]) is None


@pytest.mark.parametrize("worth", [0.0, 0.6])
def test_what_is_left_is_unbiased_and_its_interval_covers_it(worth):
    """1,000 studies of two arms with four seeds, on 300 images each: where seeds are worth the same, all is chance."""
    rng = np.random.default_rng(1)
    _, variance = truth(worth)
    found = [spread(drawn(rng, 300, 4, worth)) for _ in range(1000)]
    error = np.std([each.left for each in found]) / np.sqrt(len(found))
    assert np.mean([each.left for each in found]) == pytest.approx(variance, abs=4 * error)
    intervals = [each.interval() for each in found]
    assert np.mean([low <= variance <= high for low, high in intervals]) > 0.92
    if worth == 0:
        assert np.mean([each.seen for each in found]) == pytest.approx(np.mean([each.by_chance for each in found]), rel=0.1)
        assert np.mean([low > 0 for low, _ in intervals]) < 0.05  # of the noise of a test set nothing is made


def test_the_interval_of_arms_of_unlike_spread_covers_what_is_left_of_all():
    """300 studies of twelve arms with four seeds, of which three differ far more from seed to seed: by the degrees of freedom of all the
    interval would cover it in four of five."""
    rng = np.random.default_rng(2)
    worths = [0.1] * 9 + [0.8] * 3
    variance = np.mean([truth(worth)[1] for worth in worths])
    found = [spread([drawn(rng, 300, 4, worth)[0] for worth in worths]) for _ in range(300)]
    covered = [low <= variance <= high for low, high in (each.interval() for each in found)]
    alike = [low <= variance <= high for low, high in (replace(each, freedom=36).interval() for each in found)]
    assert np.mean(covered) > 0.9
    assert np.mean(alike) < 0.85


def test_seeds_that_agree_differ_by_nothing():
    arm = np.tile(np.arange(50) < 40, (3, 1))
    found = spread([arm])
    assert (found.seen, found.by_chance, *found.interval()) == pytest.approx((0, 0, 0, 0), abs=1e-12)


# Who is right where


def test_the_shares_are_those_over_all_pairs_of_runs_and_differ_by_the_accuracies():
    one, other = drawn(np.random.default_rng(2), 90, 3, 0.5, more=1.0)
    pairs = [(a & ~b).mean() for a in one for b in other[:2]]
    assert only_right([(one, other[:2])]).share == pytest.approx(np.mean(pairs))
    shares = [only_right([pair]).share for pair in ((one, other), (other, one))]
    assert shares[0] - shares[1] == pytest.approx(one.mean() - other.mean())


def test_of_several_cases_it_is_the_mean():
    cases = [drawn(np.random.default_rng(seed), 90, 3, 0.5, more=1.0) for seed in (3, 4)]
    assert only_right(cases).share == pytest.approx(np.mean([only_right([case]).share for case in cases]))
    assert only_right(cases * 2).error < only_right(cases).error


def test_two_seeds_of_one_arm_differ_by_what_two_arms_do_that_are_one():
    one, other = drawn(np.random.default_rng(5), 4000, 6)
    seeds = between_seeds([one, other])
    assert seeds == pytest.approx(np.mean([(a & ~b).mean() for arm in (one, other) for a, b in itertools.permutations(arm, 2)]))
    low, high = only_right([(one, other)]).interval()
    assert low < seeds < high
    assert between_seeds([one[:1]]) is None


@pytest.mark.parametrize(("worth", "more", "runs"), [(0.0, 0.0, 3), (0.3, 0.5, 3), (1.0, 0.0, 3), (0.3, 0.5, 20)])
def test_the_interval_covers_the_share(worth, more, runs):
    """Over images and seeds: 600 pairs of arms on 355 images; with few seeds the error is theirs, with many that of the images."""
    rng = np.random.default_rng(6)
    share, _ = truth(worth, more)
    intervals = [only_right([drawn(rng, 355, runs, worth, more)]).interval() for _ in range(600)]
    assert np.mean([low <= share <= high for low, high in intervals]) > 0.93


def test_one_run_of_an_arm_has_no_interval():
    one, other = drawn(np.random.default_rng(7), 50, 3)
    assert only_right([(one[:1], other)]).interval() is None
    assert only_right([(one[:1], other)]).share > 0


@pytest.mark.parametrize(("right", "low", "high"), [(False, 0, 1 - 0.025 ** (1 / 200)), (True, 0.025 ** (1 / 200), 1)])
def test_a_share_of_none_or_all_images_has_the_interval_of_the_images(right, low, high):
    one, other = np.full((3, 200), right), np.zeros((3, 200), bool)
    assert only_right([(one, other)]).interval() == pytest.approx((low, high))
