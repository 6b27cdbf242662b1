"""The interval of a share of cases that have runs in common: such cases are no independent ones."""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
from scipy.stats import beta

_DRAWS = 4000


def shared_interval(cases: Sequence[bool], runs: Sequence[Collection[Hashable]], level: float = 0.05) -> tuple[float, float]:
    """The interval of the share of `cases` (n,) that are so, where case by case `runs` names the runs that it was decided by.

    Runs are drawn again, not cases, and a case counts as often as all of its runs were drawn (Owen 2007, the pigeonhole bootstrap); of
    the percentiles and the exact interval (Clopper and Pearson 1934) of as many cases as there are groups without a run in common, the
    wider bound counts on either side: a few runs drawn again know nothing of those that are not there. Raises ValueError for no case.
    """
    if not cases:
        raise ValueError("a share of no cases has no interval")
    share, groups = sum(cases) / len(cases), _groups(runs)
    count = share * groups
    low = float(beta.ppf(level / 2, count, groups - count + 1)) if count > 0 else 0.0
    high = float(beta.ppf(1 - level / 2, count + 1, groups - count)) if count < groups else 1.0
    names = {name: place for place, name in enumerate(sorted({name for each in runs for name in each}, key=str))}
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_DRAWS)
    weights = np.stack([np.prod(drawn[:, [names[name] for name in each]], axis=1) for each in runs], axis=1)
    there = weights.sum(axis=1) > 0
    if not there.any():
        return low, high
    shares = (weights[there] @ np.asarray(cases, dtype=float)) / weights[there].sum(axis=1)
    percentiles = np.quantile(shares, [level / 2, 1 - level / 2])
    return min(low, float(percentiles[0])), max(high, float(percentiles[1]))


def _groups(runs: Sequence[Collection[Hashable]]) -> int:
    """How many groups of cases have no run in common."""
    found: list[set[Hashable]] = []
    for each in runs:
        touched = [group for group in found if not group.isdisjoint(each)]
        found = [group for group in found if group.isdisjoint(each)] + [set(each).union(*touched)]
    return len(found)
