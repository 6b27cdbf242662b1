"""From run records to estimates: pure functions. Every interval is a 95 % interval, where nothing else is said."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from reglab.config import FIELDS, SPEED_KEYS, RunConfig, at_default_speed, flat, foreign, identity
from reglab.errors import UserError
from reglab.statistics.tails import f_cdf, normal_ppf, t_isf, t_sf
from reglab.tracking.record import Environment, RunRecord, State

CONFIDENCE = 0.95

_UPPER = (1 + CONFIDENCE) / 2
_NORMAL = float(normal_ppf(_UPPER))


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval (Student's t); one value alone has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate | None":
        """None for no values."""
        if not values:
            return None
        mean, n = statistics.fmean(values), len(values)
        if n == 1:
            return cls(mean, None, None, 1)
        half = float(t_isf(1 - _UPPER, n - 1)) * statistics.stdev(values) / math.sqrt(n)
        return cls(mean, mean - half, mean + half, n)

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; None where there is no interval."""
        return None if self.high is None else self.high - self.mean

    @classmethod
    def of_shares(cls, values: Sequence[float], lowest: float = 0.0) -> "Estimate | None":
        """Of shares, or with -1 as the lowest of differences of two: the interval lies where such a mean can."""
        if (found := Estimate.of(values)) is None or found.low is None or found.high is None:
            return found
        return Estimate(found.mean, max(found.low, lowest), min(found.high, 1.0), found.n)

    @classmethod
    def of_times(cls, values: Sequence[float]) -> "Estimate | None":
        """Of what is above 0 and differs by factors: the interval is that of the mean logarithm."""
        found = Estimate.of(values)
        if found is None or found.n == 1 or min(values) <= 0:
            return found
        logarithms = Estimate.of([math.log(value) for value in values])
        assert logarithms and logarithms.low is not None and logarithms.high is not None
        low, high = (math.exp(min(bound, 700)) for bound in (logarithms.low, logarithms.high))  # beyond, a float overflows
        return Estimate(found.mean, min(low, found.mean), max(high, found.mean), found.n)


def _spread(values: Sequence[float]) -> float:
    """Their standard deviation; 0 of values that are alike but for rounding, as means of the same results are."""
    found = statistics.stdev(values)
    return found if found > 1e-12 * max(map(abs, values)) else 0.0


@dataclass(frozen=True)
class Difference(Estimate):
    """A mean of differences between paired runs. `p`: of the paired t-test, two-sided; None where there is one pair."""

    deviation: float | None
    p: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Difference | None":
        """None for no values."""
        if (estimate := Estimate.of(values)) is None:
            return None
        if estimate.n == 1:
            return cls(estimate.mean, None, None, 1, None, None)
        deviation = _spread(values)
        if deviation == 0 and estimate.n == 2:  # two that happen to be alike say nothing of the spread
            return cls(estimate.mean, None, None, 2, None, None)
        if deviation == 0:
            p = 0.0 if estimate.mean else 1.0
        else:
            p = 2 * float(t_sf(abs(estimate.mean) * math.sqrt(estimate.n) / deviation, estimate.n - 1))
        return cls(estimate.mean, estimate.low, estimate.high, estimate.n, deviation, p)


@dataclass(frozen=True)
class Unpaired(Estimate):
    """A difference of two means over runs that are no pairs (Welch 1947); `n` runs in all. `p` is two-sided."""

    p: float | None

    @classmethod
    def between(cls, one: Sequence[float], other: Sequence[float]) -> "Unpaired | None":
        """The mean of one less that of the other; None where either has no value, without an interval where either has one only."""
        if not one or not other:
            return None
        mean, n = statistics.fmean(one) - statistics.fmean(other), len(one) + len(other)
        errors = [_spread(each) ** 2 / len(each) for each in (one, other)] if min(len(one), len(other)) > 1 else []
        if not sum(errors):
            return cls(mean, None, None, n, None)
        freedom = sum(errors) ** 2 / sum(error**2 / (len(each) - 1) for error, each in zip(errors, (one, other), strict=True))
        half = float(t_isf(1 - _UPPER, freedom)) * math.sqrt(sum(errors))
        return cls(mean, mean - half, mean + half, n, 2 * float(t_sf(abs(mean) / math.sqrt(sum(errors)), freedom)))


@dataclass(frozen=True)
class TimeToTarget:
    """Time until the target accuracy, over runs of which some may never reach it: the median of Kaplan and Meier (1958).

    A run that ends without reaching it is censored at its end; one that diverged never reaches it. The median is None where
    the curve does not come down to one half. `low` and `high` are its interval (Brookmeyer and Crowley 1982, on the log-log scale of
    Borgan and Liestøl 1990, which keeps its coverage where runs are few), open where None: a few runs seldom have a `high`, and of
    fewer than six even the earliest is later than the median too often to be a `low`, each with one chance in two.
    """

    median_seconds: float | None
    low: float | None
    high: float | None
    reached: int
    n: int

    @classmethod
    def of(cls, times: Sequence[tuple[float, bool]]) -> "TimeToTarget | None":
        """Of pairs: seconds, and whether the target was reached then. None for no runs."""
        if not times:
            return None
        curve = survival(times)
        median = next((at for at, share, _ in curve if share <= 0.5 + 1e-12), None)
        # Where all have had it, Greenwood's error is none at all: the curve's end says nothing of its interval.
        bounds = [(at, *_bounds(share, error)) for at, share, error in curve if share > 0]
        low = next((at for at, least, _ in bounds if least <= 0.5), None) if 0.5 ** len(times) <= 1 - _UPPER else None
        high = next((at for at, _, most in bounds if most < 0.5), None)
        return cls(median, low, high, sum(event for _, event in times), len(times))


def _bounds(share: float, error: float) -> tuple[float, float]:
    """The interval of a share between 0 and 1 with this standard error, symmetric on the scale of log(-log(share))."""
    half = _NORMAL * error / (share * abs(math.log(share)))
    return share ** math.exp(half), share ** math.exp(-half)


def survival(times: Iterable[tuple[float, bool]]) -> list[tuple[float, float, float]]:
    """Kaplan and Meier's curve: at each time of an event, the share that has not had it, with its standard error (Greenwood's)."""
    ordered = sorted(times)
    curve, share, variance = [], 1.0, 0.0
    for at in sorted({seconds for seconds, event in ordered if event}):
        there = sum(seconds >= at for seconds, _ in ordered)
        events = sum(seconds == at and event for seconds, event in ordered)
        share *= 1 - events / there
        variance += events / (there * (there - events)) if there > events else math.inf
        curve.append((at, share, share * math.sqrt(variance) if share else 0.0))
    return curve


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p-values, in the order given; None stays None and is no member of the family."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted


MOST_SEEDS = 1000


ASSURANCE = 0.8
"""The probability with which a promise about further seeds is kept."""


def seeds_to_settle(difference: Difference, least: float = 0.01) -> int | None:
    """How many more pairs would tell a difference from none, or, of one smaller than `least`, show that it is about as small.

    None as of `further_seeds`; 0 where its interval does so already.
    """
    if difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high:
        return 0
    return further_seeds(difference, max(abs(difference.mean), least))


def further_seeds(difference: Difference, half_width: float = 0.01) -> int | None:
    """How many more pairs bring a difference's interval down to this half width, with a probability of `ASSURANCE`.

    The spread of the pairs there is uncertain, and so is that of those to come: the squares that m more add to the sum of squares, over
    the variance there, are m times a variable of Fisher's F with m and n - 1 degrees of freedom.
    None where one pair says nothing of the spread, or where more than `MOST_SEEDS` would be needed.
    """
    if difference.deviation is None:
        return None
    n, variance = difference.n, difference.deviation**2
    if variance == 0 or float(t_isf(1 - _UPPER, n - 1)) * difference.deviation / math.sqrt(n) <= half_width:
        return 0
    there = np.arange(n + 1, MOST_SEEDS + 1)
    allowed = there * (there - 1) * (half_width / t_isf(1 - _UPPER, there - 1)) ** 2 / variance - (n - 1)  # of the squares to come, over it
    kept = np.flatnonzero(f_cdf(allowed / (there - n), there - n, n - 1) >= ASSURANCE)
    return int(there[kept[0]]) - n if len(kept) else None


# Runs, and what they measure.


def counts(record: RunRecord) -> bool:
    """Whether a run's results are results: it came to its planned end."""
    return record.state == State.finished and record.summary is not None


def machine(environment: Environment) -> str:
    """The machine and what it ran, in words."""
    parts = [environment.device, environment.precision, f"torch {environment.torch}", f"reglab {environment.commit or environment.reglab}"]
    if environment.cuda is None:
        parts.append(f"{environment.threads} thread{'s' if environment.threads > 1 else ''}")
    if environment.compiled:
        parts.append("compiled")
    if environment.captured:
        parts.append("CUDA graphs")
    return ", ".join(parts)


def place(record: RunRecord) -> str | None:
    """What must agree for the times of two runs to be comparable, in words; None of a run that never began."""
    if record.environment is None:
        return None
    return machine(record.environment) + (", shared cores" if record.summary and record.summary.shared_its_cores else "")


def built(record: RunRecord) -> RunConfig | None:
    """The configuration of a run; None of one that could not be built."""
    try:
        return RunConfig.parse(record.config)
    except UserError:
        return None


def arm(record: RunRecord) -> str:
    """The arm of a run, whatever its speed: its identity, or that of the same run at the default speed; its name where it has none."""
    there = flat(record.config)
    if all(there.get(key, FIELDS[key].default) == FIELDS[key].default for key in SPEED_KEYS):
        return record.identity or record.run_id
    config = built(record)
    if config is None or foreign(config):  # whose code may be another one now
        return record.identity or record.run_id
    return arm_of(config)


def arm_of(config: RunConfig) -> str:
    """What the arm of a run will be that is not there yet."""
    return identity(config) if foreign(config) else identity(at_default_speed(config))
