"""What the answers to single test images tell: how much of the spread between seeds is the test set's, and where two arms disagree.

Answers are those of the runs of one arm that differ in their seed alone, (runs, images), bool: True where a run is right. Arms that are
taken together answer the same images, place by place. Accuracies and shares are fractions, variances their squares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reglab.statistics.shares import exact
from reglab.statistics.tails import chi2_ppf, t_isf

Answers = NDArray[np.bool_]


@dataclass(frozen=True)
class Spread:
    """Variances of the test accuracy between seeds: as `seen` on this test set, and what of it is `by_chance`, for the set is finite.

    `freedom`: degrees of freedom of `seen`, of arms that are not alike fewer than all together; `images`: of the test set.
    """

    seen: float
    by_chance: float
    freedom: float
    images: int

    @property
    def left(self) -> float:
        """Of the accuracy on all images that could be drawn, unbiased: below 0 where chance has hidden it."""
        return (self.seen - self.by_chance) * self.images / (self.images - 1)

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Of what is left, not below 0: that of a variance of normal accuracies (chi-squared), and of chance its estimate."""
        bounds = (self.seen * self.freedom / float(chi2_ppf(tail, self.freedom)) for tail in (1 - level / 2, level / 2))
        low, high = (max(0.0, bound - self.by_chance) * self.images / (self.images - 1) for bound in bounds)
        return low, high


def spread(arms: Sequence[Answers]) -> Spread | None:
    """Separate the variance between seeds into that of the test set and that of what the networks are worth (Jordan 2023).

    The accuracy of a run on n images is a mean of n answers. Its variance over seeds is the mean of their covariances over all n * n pairs
    of images: over the n of an image with itself, a variance p * (1 - p) / n in the mean, that a larger test set would have less of; and
    over the others, whose expectation is the variance of the accuracy on the distribution of images. So n / (n - 1) times what the first
    leaves of the whole is an unbiased estimate of the latter ("distribution-wise variance"), whatever the images are.
    Both are pooled over arms, by degrees of freedom; arms of unlike spread leave fewer of them (Satterthwaite 1946). None where no arm has
    two runs.
    """
    told = [arm for arm in arms if len(arm) > 1]
    if not told:
        return None
    freedoms = np.array([len(arm) - 1 for arm in told], dtype=float)
    variances = np.array([arm.mean(axis=1).var(ddof=1) for arm in told])
    freedom, images = float(freedoms.sum()), told[0].shape[1]
    seen = float(freedoms @ variances) / freedom
    by_chance = sum((len(arm) - 1) * float(_variances(arm).mean()) / images for arm in told) / freedom
    return Spread(seen, by_chance, _freedom_of_all(variances, freedoms), images)


def _freedom_of_all(variances: NDArray[np.float64], freedoms: NDArray[np.float64]) -> float:
    """Satterthwaite's, of variances that are pooled by their degrees of freedom, which are at most those of all.

    Of arms of one spread with few seeds that is too few, by a factor of 1 + 2 / freedom: an interval covers 97 to 99 % there in place of
    95, and 90 to 97 % where one arm of six to 86 has five times the spread of the others; by those of all it would cover 56 to 73 %.
    """
    squares = float(freedoms @ variances**2)
    return min(float(freedoms @ variances) ** 2 / squares, float(freedoms.sum())) if squares else float(freedoms.sum())


def _variances(arm: Answers) -> NDArray[np.float64]:
    """Of the answer to each image over seeds, (images,), unbiased."""
    runs = len(arm)
    share = arm.mean(axis=0)
    found: NDArray[np.float64] = share * (1 - share) * runs / (runs - 1)
    return found


@dataclass(frozen=True)
class ShareOfImages:
    """A share with its standard error, infinite where nothing tells it, and the degrees of freedom of that."""

    share: float
    error: float
    freedom: float
    images: int

    def interval(self, level: float = 0.05) -> tuple[float, float] | None:
        """Korn's and Graubard's (1998): the exact one of Clopper and Pearson (1934) for as many images as have this error.

        None where the error is not known. Without any error, as of none or of all images, that of the images themselves.
        """
        if math.isinf(self.error):
            return None
        size = float(self.images)
        if self.error > 0:
            wider = float(t_isf(level / 2, self.freedom) / t_isf(level / 2, self.images - 1))
            size = self.share * (1 - self.share) / (self.error * wider) ** 2
        return exact(self.share * size, size, level)


def only_right(cases: Sequence[tuple[Answers, Answers]]) -> ShareOfImages:
    """The share of images that a run of the first arm has right and one of the second has wrong, over all pairs of their runs.

    Of several cases, pairs of arms that differ in one thing alike, it is the mean. What only the first has right less what only the second
    has is the difference of their accuracies. The error is that of images and runs, which are both drawn: the variance over the images of
    the mean over pairs, and that over each side's runs, each over its number (a little more than there is, as of Owen's pigeonhole
    bootstrap, 2007: what a run has with an image is in both), with Satterthwaite's (1946) degrees of freedom. A side with one run does not
    tell how runs differ: the error is infinite.
    """
    images = cases[0][0].shape[1]
    by_image = np.zeros(images)
    parts: list[float] = []
    freedoms: list[int] = []
    for one, other in cases:
        wrong = 1 - other.mean(axis=0)
        by_image += one.mean(axis=0) * wrong / len(cases)
        for runs, shares in ((len(one), one @ wrong / images), (len(other), (1 - other) @ one.mean(axis=0) / images)):
            parts.append(float(shares.var(ddof=1)) / runs / len(cases) ** 2 if runs > 1 else math.inf)
            freedoms.append(runs - 1)
    parts.append(float(by_image.var(ddof=1)) / images)
    freedoms.append(images - 1)
    total = sum(parts)
    if not 0 < total < math.inf:
        return ShareOfImages(float(by_image.mean()), math.sqrt(total), images - 1, images)
    freedom = total**2 / sum(part**2 / each for part, each in zip(parts, freedoms, strict=True))
    return ShareOfImages(float(by_image.mean()), math.sqrt(total), freedom, images)


def between_seeds(arms: Sequence[Answers]) -> float | None:
    """The share of images that one run has right and another of its arm has wrong: the mean over ordered pairs, and over arms.

    It is what two arms that are one come to, either way. None where no arm has two runs.
    """
    told = [float(_variances(arm).mean()) for arm in arms if len(arm) > 1]
    return sum(told) / len(told) if told else None
