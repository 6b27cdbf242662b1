"""Comparisons with the best of several arms, where the same data say which is best: simultaneous intervals.

Hsu, J. C. (1984), Constrained simultaneous confidence intervals for multiple comparisons with the best, Annals of Statistics 12 (3),
1136-1144; and his Multiple Comparisons (1996), chapter 4, section 4.2 for unlike numbers of runs: of arm i against the best of the others,
the interval is from -(D - w)⁻ to (D + w)⁺, where D is its mean less theirs, and w is that of Dunnett's one-sided test of arm i.

What is chance is told as claims are judged (`arm_errors`), so arms may be unlike in it: an arm that fails half the time says nothing of the
others. Then each comparison has degrees of freedom of its own, and Dunnett's critical value becomes a level that all comparisons of an arm
have (Hasler and Hothorn 2008, Multiple contrast tests in the presence of heteroscedasticity, Biometrical Journal 50 (5), 793-800).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import gammaln, ndtr

from reglab.report.stats import CONFIDENCE
from reglab.statistics.contrast import arm_errors
from reglab.statistics.moderation import Array
from reglab.statistics.tails import t_isf, t_sf

_NORMAL_NODES, _NORMAL_WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
_NORMAL_WEIGHTS = _NORMAL_WEIGHTS / math.sqrt(2 * math.pi)
_HALF = math.sqrt(0.5)
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
    """For each arm, given its values by seed: all of them, whichever other arms have.

    There are intervals where any arm has two runs that are not alike.
    """
    seeds = list(dict.fromkeys(str(seed) for each in values.values() for seed in each))
    by_seed = [{str(seed): value for seed, value in each.items()} for each in values.values()]
    return _compared(list(values), np.array([[each.get(seed, math.nan) for seed in seeds] for each in by_seed]), True)


def of_groups(values: Mapping[str, Sequence[float]]) -> dict[str, WithTheBest]:
    """For each arm, given the values of its runs, which have nothing in common with those of other arms."""
    results = np.full((len(values), max(map(len, values.values()), default=0)), np.nan)
    for row, each in zip(results, values.values(), strict=True):
        row[: len(each)] = each
    return _compared(list(values), results, False)


def _compared(arms: Sequence[str], results: Array, may_pair: bool) -> dict[str, WithTheBest]:
    """Of results (arms, runs), NaN where there is no run."""
    if len(arms) < 2:
        return {}
    runs = (~np.isnan(results)).sum(axis=1)
    means = np.array([statistics.fmean(row[~np.isnan(row)]) for row in results])
    ahead = means[:, None] - means
    others = ~np.eye(len(arms), dtype=bool)
    left = [float(row[its].min()) for row, its in zip(ahead, others, strict=True)]
    if (chance := arm_errors(results, may_pair)) is None:
        return {arm: WithTheBest(each, None, None, None, int(n)) for arm, each, n in zip(arms, left, runs, strict=True)}
    errors, freedom = chance.of_pairs()
    families = [_Family.of(chance.shares, freedom, arm) for arm in range(len(arms))]
    widths = errors * [t_isf(family.level, row) for family, row in zip(families, freedom, strict=True)]
    high = np.maximum((ahead + widths).min(axis=1, where=others, initial=np.inf), 0.0)
    low = np.minimum((ahead - widths.T).min(axis=1, where=others & (high > 0), initial=np.inf), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        behind = np.where(errors > 0, t_sf(-ahead / errors, freedom), np.where(ahead < 0, 0.0, 1.0))
    behind = np.where(others, behind, 1.0).min(axis=1)
    return {
        arm: WithTheBest(left[place], float(low[place]), float(high[place]), families[place].p(float(behind[place])), int(runs[place]))
        for place, arm in enumerate(arms)
    }


@dataclass(frozen=True)
class _Family:
    """The comparisons of one arm with so many others, of which none may err.

    Two of them correlate by the square of `share`: that is exact of arms that are alike, and else the mean over the others, by which
    critical values come out 3 % too large at most where arms are as unlike as can be (in a few cases 1 % too small). `freedom`: the most
    that any has, which asks for most.
    """

    others: int
    freedom: float
    share: float

    @classmethod
    def of(cls, shares: Array, freedom: Array, arm: int) -> "_Family":
        """Given of all differences (arms, arms) which part of the variance is the first arm's, and the degrees of freedom."""
        mine = np.sqrt(np.delete(shares[arm], arm))
        return cls(len(mine), float(np.delete(freedom[arm], arm).max()), min(float(mine.mean()), _MOST_SHARED))

    @property
    def level(self) -> float:
        """At which each comparison is tested by itself."""
        return float(t_sf(critical(self.others, self.freedom, self.share), self.freedom))

    def p(self, least: float) -> float:
        """Of the arm being the best, given the least of the comparisons' own."""
        return 1.0 if least >= 0.5 else 1 - below(float(t_isf(least, self.freedom)), self.others, self.freedom, self.share)


_MOST_SHARED = 0.99


@cache
def critical(others: int, freedom: float, share: float = _HALF, confidence: float = CONFIDENCE) -> float:
    """Dunnett's one-sided critical value: so many arms against one, all below it with this probability."""
    from scipy.optimize import brentq  # a quarter of a second, for those who compare with the best

    one, all_of_them = (float(t_isf((1 - confidence) / count, freedom)) for count in (1, others))  # Bonferroni's is never less
    return float(brentq(lambda d: below(d, others, freedom, share) - confidence, one - 0.01, all_of_them + 0.01))


def below(d: float, others: int, freedom: float, share: float = _HALF) -> float:
    """The probability that so many t statistics are all at most `d` (Dunnett 1955); any two correlate by the square of `share`."""
    upper = 1 + 12 / math.sqrt(2 * freedom)  # of s, in units of sigma: what lies beyond has no weight
    s = 0.5 * upper * (_UNIT_NODES + 1)
    log_density = math.log(2) + freedom / 2 * math.log(freedom / 2) - gammaln(freedom / 2) + (freedom - 1) * np.log(s) - freedom * s**2 / 2
    weights = 0.5 * upper * _UNIT_WEIGHTS * np.exp(log_density)
    inside = ndtr((d * s[:, None] + share * _NORMAL_NODES[None, :]) / math.sqrt(1 - share**2)) ** others
    return float(weights @ (inside @ _NORMAL_WEIGHTS) / weights.sum())
