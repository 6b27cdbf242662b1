"""The mean time until something happens, up to a time: it is there where a median is not, since some runs never get there.

Times are (n,), in a unit of their own; of each, whether it happened then, or was not seen to until then (censored).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reglab.statistics.tails import t_isf

Times = Sequence[tuple[float, bool]]


@dataclass(frozen=True)
class Restricted:
    """A restricted mean time, or a difference of two, in the unit of the times; `until` is the time up to which it is one.

    `error` and `freedom` are those of Student's t; an infinite error says that too few events tell how far it is chance.
    """

    mean: float
    error: float
    freedom: float
    until: float

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """At this two-sided level."""
        half = float(t_isf(level / 2, self.freedom)) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half


def common_end(*groups: Times) -> float:
    """The last time of which every group tells: the earliest of those up to which each does, and where all tell of any time, the latest
    that there is (as in R's survRM2). Raises ValueError for groups without any."""
    until = min(map(_tells_until, groups))
    return until if until < math.inf else max(at for group in groups for at, _ in group if at < math.inf)


def _tells_until(times: Times) -> float:
    """Up to where the curve is known: for ever, where it has come down to nothing, or one is known never to get there."""
    last = max(at for at, _ in times)
    return math.inf if all(event for at, event in times if at == last) else last


def restricted_mean(times: Times, until: float) -> Restricted:
    """The area below Kaplan and Meier's curve up to `until` (Klein and Moeschberger 2003, equations 4.5.1 and 4.5.2).

    Its error has their factor of m / (m - 1) for m events, and so many degrees of freedom less one: where all have happened by then, it is
    the mean with Student's interval. Raises ValueError where no run is left of which the curve tells up to `until`.
    """
    if not times or _tells_until(times) < until:
        raise ValueError(f"no time reaches {until}: the curve says nothing of it")
    steps, share, before = [], 1.0, 0.0
    area = 0.0
    for at in sorted({at for at, event in times if event and at <= until}):
        area += share * (at - before)
        there = sum(each >= at for each, _ in times)
        events = sum(each == at and event for each, event in times)
        steps.append((area, events, there))
        share, before = share * (1 - events / there), at
    area += share * (until - before)
    happened = sum(events for _, events, _ in steps)
    error = math.hypot(
        *((area - so_far) * math.sqrt(events / (there * (there - events))) for so_far, events, there in steps if there > events)
    )
    if happened < 2:
        return Restricted(area, math.inf if happened else 0.0, 1.0, until)
    return Restricted(area, error * math.sqrt(happened / (happened - 1)), happened - 1.0, until)


def restricted_difference(one: Times, other: Times, until: float | None = None) -> Restricted:
    """What the first group takes longer than the other, up to `until`, or up to their common end (Royston and Parmar 2011; Welch's t)."""
    end = common_end(one, other) if until is None else until
    mine, its = restricted_mean(one, end), restricted_mean(other, end)
    error = math.hypot(mine.error, its.error)
    if not 0 < error < math.inf:
        return Restricted(mine.mean - its.mean, error, 1.0, end)
    freedom = 1 / ((mine.error / error) ** 4 / mine.freedom + (its.error / error) ** 4 / its.freedom)
    return Restricted(mine.mean - its.mean, error, freedom, end)
