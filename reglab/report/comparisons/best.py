"""Comparisons with the best of several arms, where the same data say which is best: simultaneous intervals.

Hsu, J. C. (1984), Constrained simultaneous confidence intervals for multiple comparisons with the best, Annals of Statistics 12 (3),
1136-1144; and his Multiple Comparisons (1996), chapter 4: of arm i against the best of the others, the interval is from
-(D - w)⁻ to (D + w)⁺, where D is its mean less theirs, w = d s √(2/n), and d is the critical value of Dunnett's one-sided test.
Where all arms have the same seeds these are blocks: s² is what is left of the variance of runs when arm and seed are taken out. Else, and
of runs without seeds, it is their variance within arms, which may have unlike numbers of them (Hsu 1996, section 4.2).
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import gammaln, ndtr

from reglab.report.stats import CONFIDENCE
from reglab.statistics.contrast import but_rounding

_NORMAL_NODES, _NORMAL_WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
_NORMAL_WEIGHTS = _NORMAL_WEIGHTS / math.sqrt(2 * math.pi)
_UNIT_NODES, _UNIT_WEIGHTS = np.polynomial.legendre.leggauss(96)


@dataclass(frozen=True)
class WithTheBest:
    """One arm against the best of the others: `low` and `high` hold for all arms at once. An arm whose `high` is 0 is not the best.

    `p`: of its being the best, adjusted for all of them.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    n: int


def with_the_best(values: Mapping[str, Mapping[int, float] | Mapping[str, float]]) -> dict[str, WithTheBest]:
    """For each arm, given its values by seed: all of them, whichever other arms have. There are intervals from two seeds on."""
    if len(values) < 2:
        return {}
    runs: dict[str, dict[int | str, float]] = {arm: dict(each.items()) for arm, each in values.items()}
    seeds = list(next(iter(runs.values())))
    if len(seeds) < 2 or any(each.keys() != set(seeds) for each in runs.values()):
        return of_groups({arm: list(each.values()) for arm, each in runs.items()})
    used = {arm: [each[seed] for seed in seeds] for arm, each in runs.items()}
    left = _left({arm: statistics.fmean(each) for arm, each in used.items()})
    if (error := _error(list(used.values()))) is None:
        return {arm: WithTheBest(difference, None, None, None, len(seeds)) for arm, difference in left.items()}
    spread, freedom = error * math.sqrt(2 / len(seeds)), (len(used) - 1) * (len(seeds) - 1)
    width = critical(len(used) - 1, freedom) * spread
    return {
        arm: WithTheBest(
            difference,
            min(difference - width, 0.0),
            max(difference + width, 0.0),
            _p(difference, spread, len(used) - 1, freedom),
            len(seeds),
        )
        for arm, difference in left.items()
    }


def _left(means: Mapping[str, float]) -> dict[str, float]:
    """Each mean less the best of the others."""
    return {arm: mean - max(other for name, other in means.items() if name != arm) for arm, mean in means.items()}


def of_groups(values: Mapping[str, Sequence[float]]) -> dict[str, WithTheBest]:
    """For each arm, given the values of its runs, which have nothing in common with those of other arms.

    There are intervals where any arm has two runs that are not alike.
    """
    if len(values) < 2:
        return {}
    means = {arm: statistics.fmean(each) for arm, each in values.items()}
    left = _left(means)
    freedom = sum(map(len, values.values())) - len(values)
    within = sum(_within(each, means[arm]) for arm, each in values.items())
    if freedom < 1 or not (error := math.sqrt(within / freedom)):
        return {arm: WithTheBest(difference, None, None, None, len(values[arm])) for arm, difference in left.items()}
    spread = {
        arm: {other: error * math.sqrt(1 / len(each) + 1 / len(values[other])) for other in values if other != arm}
        for arm, each in values.items()
    }
    alike = {arm: _shares(len(each), [len(values[other]) for other in values if other != arm]) for arm, each in values.items()}
    widest = {arm: _critical(alike[arm], freedom, CONFIDENCE) for arm in values}
    high = {arm: max(0.0, min(means[arm] - means[other] + widest[arm] * each for other, each in spread[arm].items())) for arm in values}
    possible = [arm for arm in values if high[arm] > 0]
    found = {}
    for arm in values:
        others = [other for other in possible if other != arm]
        low = min((means[arm] - means[other] - widest[other] * spread[arm][other] for other in others), default=0.0)
        worst = max((means[other] - means[arm]) / each for other, each in spread[arm].items())
        p = 1.0 if worst <= 0 else 1 - _below(worst, alike[arm], freedom)
        found[arm] = WithTheBest(left[arm], min(low, 0.0), high[arm], p, len(values[arm]))
    return found


def _within(values: Sequence[float], mean: float) -> float:
    """The sum of squares of an arm, which is none where its runs are alike but for rounding."""
    squares = sum((value - mean) ** 2 for value in values)
    return squares * bool(but_rounding(np.asarray(squares / len(values)), np.asarray(mean)))


def _error(arms: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation of a run, arm and seed taken out; None where runs show none."""
    table = np.array(arms)
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    found = math.sqrt(float((residuals**2).sum()) / ((table.shape[0] - 1) * (table.shape[1] - 1)))
    return found if but_rounding(np.asarray(found**2), np.abs(table).max()) else None


def _p(difference: float, spread: float, others: int, freedom: int) -> float:
    return 1.0 if difference >= 0 else 1 - below(-difference / spread, others, freedom)


def critical(others: int, freedom: int, confidence: float = CONFIDENCE) -> float:
    """Dunnett's one-sided critical value: so many arms of equal size against one, all below it with this probability."""
    return _critical(_shares(1, [1] * others), freedom, confidence)


def below(d: float, others: int, freedom: int) -> float:
    """The probability that so many t statistics with correlation one half are all at most `d` (Dunnett 1955)."""
    return _below(d, _shares(1, [1] * others), freedom)


Shares = tuple[tuple[float, int], ...]
"""What each comparison with one arm has in common with the others, and how many have so much: two correlate by the product of theirs."""


def _shares(runs: int, others: Sequence[int]) -> Shares:
    return tuple(sorted(Counter(math.sqrt(each / (runs + each)) for each in others).items()))


@cache
def _critical(shares: Shares, freedom: int, confidence: float) -> float:
    from scipy.optimize import brentq  # a quarter of a second, for those who compare with the best

    return float(brentq(lambda d: _below(d, shares, freedom) - confidence, 0, 200))


def _below(d: float, shares: Shares, freedom: int) -> float:
    upper = 1 + 12 / math.sqrt(2 * freedom)  # of s, in units of sigma: what lies beyond has no weight
    s = 0.5 * upper * (_UNIT_NODES + 1)
    log_density = math.log(2) + freedom / 2 * math.log(freedom / 2) - gammaln(freedom / 2) + (freedom - 1) * np.log(s) - freedom * s**2 / 2
    weights = 0.5 * upper * _UNIT_WEIGHTS * np.exp(log_density)
    inside = np.ones((len(s), len(_NORMAL_NODES)))
    for share, count in shares:
        inside *= ndtr((d * s[:, None] + share * _NORMAL_NODES[None, :]) / math.sqrt(1 - share**2)) ** count
    return float(weights @ (inside @ _NORMAL_WEIGHTS) / weights.sum())
