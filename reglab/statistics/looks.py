"""Alpha spent over looks: at which level to decide when the same question is asked again as seeds are added.

The level of each look follows from what its number of seeds may have spent by then (Lan and DeMets 1983, with the power family of Kim and
DeMets 1987), and from the looks that were taken. The joint distribution is that of Student's t on growing samples, with the degrees of
freedom that the design has, and not a normal one: with three seeds those differ.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import chdtri

from reglab.statistics.moderation import Array
from reglab.statistics.tails import t_isf

MOST_SEEDS = 12
"""Of a plan that nobody made."""

RISE = 1.5
"""The power of the share of seeds to which alpha is spent: looks at 3, 5, 8 and 12 of 12 seeds have .13, .27, .54 and 1 of it."""

_DRAWS = 8_000
_STEPS = 3
_ASSURANCE = 0.8
LONGEST = 1000
"""Seeds of a plan that goes on for as long as it takes."""
_MOST_ARMS = 12
"""Beyond which more arms change no level in its second digit."""


def spent(seeds: int, most: int = MOST_SEEDS) -> float:
    """The share of alpha that may be spent by a look at so many seeds of a plan of `most`."""
    return min(1.0, math.pow(seeds / most, RISE))


def levels(looks: Sequence[int], alpha: float, most: int = MOST_SEEDS, arms: int = 2, taken: Sequence[float] = ()) -> tuple[float, ...]:
    """The two-sided level of each look, at rising numbers of seeds an arm, so that all together err with a probability of `alpha` at most.

    `arms`: how many arms of as many seeds the variance is of (1: of differences of pairs). `taken`: the levels that the first looks had,
    where those are known. Raises ValueError for looks that do not rise.
    """
    if list(looks) != sorted({*looks}) or (looks and looks[0] < 2):
        raise ValueError(f"looks must rise from 2 seeds on: {looks}")
    found = tuple(taken)
    for place in range(len(found), len(looks)):
        found = (*found, _level(tuple(looks[: place + 1]), found, alpha, most, max(1, min(arms, _MOST_ARMS))))
    return found


@lru_cache(maxsize=512)
def _level(looks: tuple[int, ...], before: tuple[float, ...], alpha: float, most: int, arms: int) -> float:
    """Of the last of some looks, behind those before it."""
    now = alpha * spent(looks[-1], most)
    if not before:
        return now
    left = now - alpha * spent(looks[-2], most)
    if left <= 0:  # of a plan that is over
        return 0.0
    level = left
    for _ in range(_STEPS):  # what the look adds is its level times a share that hardly depends on it
        level = min(now, max(left, level + now - erring(looks, (*before, level), arms)))
    return level


def further(away: float, error: float, freedom: float, seeds: int, alpha: float, most: int | None = MOST_SEEDS) -> int | None:
    """How many more seeds an arm would settle a difference that lies `away` from where it would be none, as a look at `seeds` saw it.

    `error` and `freedom` are those of that look. With a probability of four in five, by an upper bound of the spread; None where no number
    of the plan would. Without `most` the plan goes on for as long as it takes, and ends there.
    """
    if away <= 0 or not math.isfinite(error):
        return None
    wide = error * math.sqrt(freedom / float(chdtri(freedom, _ASSURANCE)))
    for there in range(seeds + 1, (most or LONGEST) + 1):
        level = alpha * (spent(there, most or there) - spent(seeds, most or there))
        if float(t_isf(level / 2, freedom * (there - 1) / (seeds - 1))) * wide * math.sqrt(seeds / there) <= away:
            return there - seeds
    return None


def erring(looks: Sequence[int], at: Sequence[float], arms: int = 2, draws: int = _DRAWS) -> float:
    """The probability that any of some looks, each at its two-sided level, sees a difference where there is none.

    Not by drawing studies and waiting for the rare ones: each look's own probability is its level, so studies are drawn in which it errs,
    and each counts by how many looks err in it (the mixture of Naiman and Priebe 2001, of Owen, Maximov and Chertkov 2019). Its error is
    below one per cent of the result, however small the levels are.
    """
    limits = [_beyond(np.float64(level), arms * (seeds - 1)) if level > 0 else np.inf for seeds, level in zip(looks, at, strict=True)]
    total = 0.0
    for place, level in enumerate(at):
        if level > 0:
            rng = np.random.default_rng(place)  # the same numbers each time: a level is a function of its question
            seen = np.abs(_given(looks, place, level, arms, draws, rng)) > np.asarray(limits)[:, None]
            seen[place] = True  # but for rounding
            total += level * float((1 / seen.sum(axis=0)).mean())
    return total


def _beyond(level: Array | np.float64, freedom: float) -> Array:
    """Student's t of a two-sided level."""
    found: Array = t_isf(level / 2, freedom)
    return found


def _given(looks: Sequence[int], place: int, level: float, arms: int, draws: int, rng: np.random.Generator) -> Array:
    """Student's t at every look (looks, draws), of samples without a difference in which the look at `place` errs at its level."""
    seeds, freedom = looks[place], arms * (looks[place] - 1)
    at = _beyond(level * (1 - rng.random(draws)), freedom)
    sides = rng.standard_normal((min(arms, 2), draws, looks[-1]))
    others = rng.chisquare(max(arms - 2, 1), (draws, looks[-1])) * (arms > 2)  # what a seed more adds to the squares of the other arms
    others[:, 0] = 0  # one seed has none
    # Basu's theorem: the size of all squares says nothing of t, nor does the direction of the residuals.
    there = sides[..., :seeds]
    residuals = there - there.mean(axis=-1, keepdims=True)
    squares = (residuals**2).sum(axis=(0, -1)) + others[:, :seeds].sum(axis=-1)
    of_all = rng.chisquare(freedom + 1, draws)
    scale = np.sqrt(of_all * freedom / (freedom + at**2) / squares)
    difference = at * np.sqrt(of_all / (freedom + at**2)) * np.sqrt(len(sides) / seeds)
    middle = rng.standard_normal(draws) * np.sqrt(1 / (len(sides) * seeds)) * (len(sides) > 1)  # the mean of both sides
    means = np.stack([middle + difference / 2, middle - difference / 2]) if len(sides) > 1 else difference[None]
    sides[..., :seeds] = residuals * scale[:, None] + means[..., None]
    others[:, :seeds] *= scale[:, None] ** 2
    return np.stack([_t(sides[..., :count], others[:, :count], arms) for count in looks])


def _t(sides: Array, others: Array, arms: int) -> Array:
    count = sides.shape[-1]
    means = sides.mean(axis=-1)
    squares = ((sides - means[..., None]) ** 2).sum(axis=(0, -1)) + others.sum(axis=-1)
    difference = means[0] - means[1] if len(sides) > 1 else means[0]
    found: Array = difference / np.sqrt(squares / (arms * (count - 1)) * len(sides) / count)
    return found
