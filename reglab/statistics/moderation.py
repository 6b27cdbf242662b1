"""Variances of several arms, moderated: each is drawn towards what all arms have in common (Smyth 2004, as limma does it).

Three seeds tell little of an arm's variance, six arms of three seeds tell much of all. Shapes: leading dimensions are studies that are
looked at at once, the last one are arms; variances are in the squared unit of the results, degrees of freedom are numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from reglab.statistics.tails import f_sf

Array = np.ndarray[Any, np.dtype[np.float64]]

FEWEST_ARMS = 3
"""Arms with a variance of their own, below which nothing is said of what arms have in common."""

UNLIKE = 0.01
"""The probability that an arm which is as the others is taken for unlike them."""

FAR = 0.0002
"""The same, of being so unlike that it has no say in what all have in common."""

LEAST_IN_COMMON = 0.5
"""Degrees of freedom of what arms have in common for each of an arm's own. Where there are less, each arm keeps its own: with a third of
the arms failing at random, or arms of several tasks, the intervals of the others would be four times as wide as they need to be."""

_HIDING = FEWEST_ARMS + 3
"""Arms from which on one that is far from the others is looked for behind the largest of these."""

_LEAST = 1e-5
"""Of the median variance: a smaller one counts as this, since a logarithm is taken (limma's own bound)."""


@dataclass(frozen=True)
class Prior:
    """What the variances of a study have in common: the distribution of `variance` times `freedom` over a chi-square with as many degrees
    of freedom; infinite ones say that all arms have the one variance, and none at all that too few arms say what they have in common.
    `alike`: the arms by which it is told.
    """

    variance: Array  # (…,)
    freedom: Array  # (…,)
    alike: NDArray[np.bool_]  # (…, arms)


def prior(variances: Array, freedom: Array) -> Prior:
    """Fit it to the variances (…, arms) with their degrees of freedom (arms,), which may be unlike; arms without any are left out.

    Its degrees of freedom are those that the logarithms' spread leaves (Smyth 2004, section 6.2: limma's `fitFDist`). Its variance is the
    pooled one. limma's is that only where the logarithms spread less than by chance, else one by their mean, which is smaller: with few
    arms, and thousands of genes are what it is for, intervals by that one cover 92 to 94 % in place of 95 (`benchmarks/verdicts.py`).
    An arm far from all others, as one is of which a run diverged, has no say in it.
    """
    logs, chance = _logarithms(variances, freedom)
    told = _alike(variances, freedom)
    arms = told.sum(axis=-1)
    sums = np.maximum(arms, 1)
    mean = (logs * told).sum(axis=-1) / sums
    squares = ((logs - mean[..., None]) ** 2 * told).sum(axis=-1)
    spread = squares / np.maximum(arms - 1, 1) - (chance * told).sum(axis=-1) / sums
    pooled = (variances * freedom * told).sum(axis=-1) / np.maximum((freedom * told).sum(axis=-1), 1e-300)
    return Prior(pooled, np.where(arms < FEWEST_ARMS, 0.0, _freedom_of(spread)), told)


def _alike(variances: Array, freedom: Array) -> NDArray[np.bool_]:
    """Which arms say what all have in common (…, arms): an arm that is far from the others is left out, then the next.

    Of the others the largest is not looked at, where there are enough: two arms that are far would hide each other. An arm of equal
    results, as of one that is always right, tells nothing: its logarithm would be as far from the others as one likes.
    """
    told = (freedom > 0) & (variances > 0)
    for _ in range(variances.shape[-1]):
        largest = _largest(variances, told)
        several = told.sum(axis=-1, keepdims=True) >= _HIDING
        behind = _chance_of(variances, freedom, np.where(several, told & ~largest, told))
        of_largest = _chance_of(variances, freedom, np.where(several, told & ~_largest(variances, told & ~largest), told))
        chance = np.where(told, np.where(largest, of_largest, behind), np.nan)
        far = (chance < FAR) & (chance == np.nanmin(np.where(np.isnan(chance), np.inf, chance), axis=-1, keepdims=True))
        if not far.any():
            break
        told &= ~far
    return told


def _largest(variances: Array, told: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The arm of the largest variance (…, arms)."""
    places = np.where(told, variances, -np.inf).argmax(axis=-1)
    found: NDArray[np.bool_] = np.arange(variances.shape[-1]) == places[..., None]
    return found


def _chance_of(variances: Array, freedom: Array, told: NDArray[np.bool_]) -> Array:
    """The probability of a variance as large in an arm that is as all others which are told of (…, arms); NaN where these are too few."""
    logs, chance = _logarithms(variances, freedom)

    def of_others(values: Array) -> Array:
        summed: Array = (values * told).sum(axis=-1, keepdims=True) - values * told
        return summed

    arms, known = of_others(np.ones(variances.shape)), of_others(np.broadcast_to(freedom, variances.shape))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (of_others(logs**2) - of_others(logs) ** 2 / arms) / (arms - 1) - of_others(
            np.broadcast_to(chance, variances.shape)
        ) / arms
        common = of_others(variances * freedom) / known
        found = f_sf(variances / common, freedom, np.minimum(_freedom_of(np.where(arms > 1, spread, 1.0)), known))
    return np.where(arms < FEWEST_ARMS, np.nan, found)


def moderated(variances: Array, freedom: Array, common: Prior, unlike: float = UNLIKE) -> tuple[Array, Array]:
    """The variances (…, arms) drawn towards the prior, and their degrees of freedom (…, arms), which are never more than those of all arms
    together (Smyth 2004, equation 3; the bound is limma's).

    An arm whose variance is too large to be of the prior of the others keeps its own (as in the robust form of Phipson 2016, which leaves
    such an arm fewer degrees of freedom of the prior; here none): its interval is wider for it. One that is small is drawn up as any.
    All keep their own where they have too little in common. `unlike`: the probability of taking an arm that is as the others for one that
    is not.
    """
    variance, weight, total = common.variance[..., None], common.freedom[..., None], freedom.sum()
    chance = _chance_of(variances, freedom, common.alike)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(np.isinf(weight), 1.0, weight / (weight + freedom))
        drawn = share * variance + (1 - share) * variances
    keeps = (weight == 0) | (weight < LEAST_IN_COMMON * freedom) | ((freedom > 0) & (variances > 0) & (chance < unlike))
    return np.where(keeps, variances, drawn), np.where(keeps, freedom, np.minimum(weight + freedom, total))


def _logarithms(variances: Array, freedom: Array) -> tuple[Array, Array]:
    """Without what chance adds to them on the average (…, arms), and what it adds to their spread (arms,); 0 of arms without any."""
    told = freedom > 0
    logs, chance = np.zeros(variances.shape), np.zeros(freedom.shape)
    if told.any():
        known, half = variances[..., told], freedom[told] / 2
        least = _LEAST * np.median(known, axis=-1, keepdims=True)
        logs[..., told] = np.log(np.maximum(np.maximum(known, least), np.finfo(float).tiny)) - digamma(half) + np.log(half)
        chance[told] = polygamma(1, half)
    return logs, chance


def _freedom_of(spread: Array) -> Array:
    """Of the prior, by what the logarithms spread more than by chance."""
    return np.where(spread > 0, 2 * _trigamma_inverse(np.where(spread > 0, spread, 1.0)), np.inf)


def _trigamma_inverse(values: Array) -> Array:
    """Where the trigamma function has these values, all above 0 (Smyth 2004, appendix: Newton's iteration on its reciprocal)."""
    at = 0.5 + 1 / values
    for _ in range(50):
        there = polygamma(1, at)
        step = there * (1 - there / values) / polygamma(2, at)
        at = at + step
        if np.max(-step / at, initial=0.0) < 1e-8:
            break
    return np.where(values > 1e7, 1 / np.sqrt(values), np.where(values < 1e-6, 1 / values, at))
