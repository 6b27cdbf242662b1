"""From run records to estimates: pure functions. Every interval is a 95 % interval, where nothing else is said."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.config import FIELDS, SPEED_KEYS, RunConfig, at_default_speed, flat, foreign, identity
from reglab.errors import UserError
from reglab.statistics.contrast import arm_means
from reglab.statistics.tails import normal_ppf
from reglab.tracking.record import RunRecord, State

CONFIDENCE = 0.95

_UPPER = (1 + CONFIDENCE) / 2
_NORMAL = float(normal_ppf(_UPPER))


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval; one value alone has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int


def estimates(arms: Sequence[Sequence[float]]) -> list[Estimate | None]:
    """The mean of each arm over its seeds, by what the variances of all have in common (`arm_means`). None of an arm without values."""
    there = [values for values in arms if values]
    if not there:
        return [None] * len(arms)
    results = np.full((len(there), max(map(len, there))), np.nan)
    for row, values in enumerate(there):
        results[row, : len(values)] = values
    found = arm_means(results)
    lows, highs = found.interval(1 - CONFIDENCE)
    told = iter(
        Estimate(float(mean), float(low), float(high), len(values)) if len(values) > 1 else Estimate(float(mean), None, None, 1)
        for mean, low, high, values in zip(found.mean, lows, highs, there, strict=True)
    )
    return [next(told) if values else None for values in arms]


def share_estimates(arms: Sequence[Sequence[float]], lowest: float = 0.0) -> list[Estimate | None]:
    """The same of shares, or with -1 as the lowest of differences of two: the intervals lie where such a mean can."""
    return [
        replace(found, low=max(found.low, lowest), high=min(found.high, 1.0))
        if found and found.low is not None and found.high is not None
        else found
        for found in estimates(arms)
    ]


def time_estimates(arms: Sequence[Sequence[float]]) -> list[Estimate | None]:
    """The same of what is above 0 and differs by factors: the intervals are those of the mean logarithms. An arm with a time of 0 or less
    is told by itself, as any numbers are."""
    logarithms = estimates([[math.log(value) for value in values] if min(values, default=0) > 0 else [] for values in arms])
    return [_of_times(values, found) if found else estimates([values])[0] for values, found in zip(arms, logarithms, strict=True)]


def _of_times(values: Sequence[float], logarithm: Estimate) -> Estimate:
    mean = statistics.fmean(values)
    if logarithm.low is None or logarithm.high is None:
        return replace(logarithm, mean=mean)
    if logarithm.low == logarithm.high:  # of equal times, which the logarithm would round
        return Estimate(mean, mean, mean, logarithm.n)
    low, high = (math.exp(min(bound, 700)) for bound in (logarithm.low, logarithm.high))  # beyond, a float overflows
    return Estimate(mean, min(low, mean), max(high, mean), logarithm.n)


@dataclass(frozen=True)
class TimeToTarget:
    """Time until the target accuracy, over runs of which some may never reach it: the median of Kaplan and Meier (1958).

    A run that ends without reaching it is censored at its end; one that diverged never reaches it. The median is None where
    the curve does not come down to one half. `low` and `high` are its interval (Brookmeyer and Crowley 1982, on the log-log scale of
    Borgan and Liestøl 1990, which keeps its coverage where runs are few), open where None: a few runs seldom have a `high`, and of
    fewer than six even the earliest is later than the median too often to be a `low`, each with one chance in two. Where the curve
    lies at one half for a while, as of an even number of runs, the median is the middle of that, and where it does so to the end, none.
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
        # Where all have had it, Greenwood's error is none at all: the curve's end says nothing of its interval.
        bounds = [(at, *_bounds(share, error)) for at, share, error in curve if share > 0]
        low = next((at for at, least, _ in bounds if least <= 0.5), None) if 0.5 ** len(times) <= 1 - _UPPER else None
        high = next((at for at, _, most in bounds if most < 0.5), None)
        return cls(_median(curve), low, high, sum(event for _, event in times), len(times))


def _median(curve: Sequence[tuple[float, float, float]]) -> float | None:
    for place, (at, share, _) in enumerate(curve):
        if share < 0.5 - 1e-12:
            return at
        if share <= 0.5 + 1e-12:
            return (at + curve[place + 1][0]) / 2 if place + 1 < len(curve) else None
    return None


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


# Runs, and what they measure.

_SHARED, _GONE_ON = ", shared ", ", gone on from elsewhere"
"""In the name of a machine that runs had with others, and of one that they ended on."""


def counts(record: RunRecord) -> bool:
    """Whether a run's results are results: it came to its planned end."""
    return record.state == State.finished and record.summary is not None


def short_machines(names: Iterable[str]) -> dict[str, str]:
    """Machines, in the order in which they stand everywhere, by the shortest words that tell them apart: the device, and of precision,
    versions and threads what differs."""
    parts = {name: name.split(", ") for name in sorted(set(names))}
    everywhere = set.intersection(*map(set, parts.values())) if parts else set()
    short = {name: [device, *(word for word in rest if word not in everywhere)] for name, (device, *rest) in parts.items()}
    return {name: ", ".join(words).replace("NVIDIA ", "").replace("(R)", "").replace("(TM)", "") for name, words in short.items()}


def place(record: RunRecord) -> str | None:
    """What must agree for the times of two runs to be comparable, in words; None of a run that never began."""
    if record.environment is None:
        return None
    return record.environment.machine + marked(record)


def marked(record: RunRecord) -> str:
    """What stands behind the device of a run that shared it, `, shared cores` or `, shared GPU`, or that went on there."""
    return (f"{_SHARED}{record.summary.shared}" if is_shared(record) and record.summary else "") + _GONE_ON * has_moved(record)


def is_marked(machine: str) -> bool:
    """Whether this is a machine of runs whose times are comparable with none."""
    return _SHARED in machine or _GONE_ON in machine


def is_quiet(record: RunRecord) -> bool:
    """Whether its times are those of one machine of its own, from its start to its end."""
    return not (is_shared(record) or has_moved(record))


def is_shared(record: RunRecord) -> bool:
    """Whether others ran on its cores or on its GPU."""
    return bool(record.summary and record.summary.shared)


def has_moved(record: RunRecord) -> bool:
    """Whether it went on elsewhere, as on another device, with other threads or by other code: its seconds are of several machines."""
    return bool(record.environment and record.environment.elsewhere)


def built(record: RunRecord) -> RunConfig | None:
    """The configuration of a run; None of one that could not be built."""
    found = _parsed(record)
    return found if isinstance(found, RunConfig) else None


def not_built(record: RunRecord) -> str | None:
    """Why there is none, as of keys that are unknown here; None where there is."""
    found = _parsed(record)
    return None if isinstance(found, RunConfig) else str(found).partition(": ")[0]


def _parsed(record: RunRecord) -> RunConfig | UserError:
    try:
        return RunConfig.parse(record.config)
    except UserError as error:
        return error


def arm(record: RunRecord) -> str:
    """The arm of a run, whatever its speed: its identity, or that of the same run at the default speed; its name where it has none."""
    there = flat(record.config)
    if all(there.get(key, FIELDS[key].default) == FIELDS[key].default for key in SPEED_KEYS):
        return record.identity or record.run_id
    config = built(record)
    if config is None or foreign(config) or record.identity != identity(config):  # whose code may be another one now, or was revised
        return record.identity or record.run_id
    return arm_of(config)


def arm_of(config: RunConfig) -> str:
    """What the arm of a run will be that is not there yet."""
    return identity(config) if foreign(config) else identity(at_default_speed(config))
