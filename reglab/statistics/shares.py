"""The interval of a share of cases that have runs in common: such cases are no independent ones."""

from collections.abc import Collection, Hashable, Sequence
from functools import cached_property

import numpy as np

from reglab.statistics.tails import beta_ppf

_DRAWS = 4000
_HALVINGS = 12


class SharedCases:
    """Cases (n,) of which some are so, where case by case `runs` names the runs that it was decided by. `share` of them are so;
    `groups` of them have no run in common.

    Raises ValueError for no case.
    """

    def __init__(self, cases: Sequence[bool], runs: Sequence[Collection[Hashable]]):
        if not cases:
            raise ValueError("a share of no cases has no interval")
        self.n, self.share, self.groups = len(cases), sum(cases) / len(cases), _groups(runs)
        drawn_together = _drawn_together(runs)
        count = 1 + max(place for each in drawn_together for place in each)
        drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_DRAWS)
        weights = np.stack([np.prod(drawn[:, each], axis=1) for each in drawn_together], axis=1)
        there = weights.sum(axis=1) > 0
        self._shares = (weights[there] @ np.asarray(cases, dtype=float)) / weights[there].sum(axis=1)

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Of their share, at this two-sided level.

        Runs are drawn again, not cases, and a case counts as often as all of its runs were drawn (Owen 2007, the pigeonhole bootstrap); of
        the percentiles and the exact interval (Clopper and Pearson 1934) of as many cases as there are groups without a run in common, the
        wider bound counts on either side: a few runs drawn again know nothing of those that are not there.
        """
        low, high = exact(self.share * self.groups, self.groups, level)
        if not len(self._shares):
            return low, high
        percentiles = np.quantile(self._shares, [level / 2, 1 - level / 2])
        return min(low, float(percentiles[0])), max(high, float(percentiles[1]))

    @cached_property
    def independent(self) -> float:
        """By how many independent cases it is known, at most `groups`: their exact interval is as wide as its own at the 5 % level."""
        low, high = self.interval()
        fewest, most = 1.0, float(self.groups)
        for _ in range(_HALVINGS):
            middle = (fewest + most) / 2
            its_low, its_high = exact(self.share * middle, middle, 0.05)
            fewest, most = (middle, most) if its_high - its_low > high - low else (fewest, middle)
        return most


def exact(count: float, of: float, level: float) -> tuple[float, float]:
    """The interval of a share by independent cases, `count` of so many being so, at a two-sided level (Clopper and Pearson 1934)."""
    low = float(beta_ppf(level / 2, count, of - count + 1)) if count > 0 else 0.0
    high = float(beta_ppf(1 - level / 2, count + 1, of - count)) if count < of else 1.0
    return low, high


def _drawn_together(runs: Sequence[Collection[Hashable]]) -> list[list[int]]:
    """Case by case the numbers of what is drawn: a run, or several that are in the same cases, and so tell no more than one."""
    within: dict[Hashable, list[int]] = {}
    for case, each in enumerate(runs):
        for name in set(each):
            within.setdefault(name, []).append(case)
    numbers = {cases: number for number, cases in enumerate(sorted(set(map(tuple, within.values()))))}
    return [sorted({numbers[tuple(within[name])] for name in each}) for each in runs]


def _groups(runs: Sequence[Collection[Hashable]]) -> int:
    """How many groups of cases have no run in common."""
    found: list[set[Hashable]] = []
    for each in runs:
        touched = [group for group in found if not group.isdisjoint(each)]
        found = [group for group in found if group.isdisjoint(each)] + [set(each).union(*touched)]
    return len(found)
