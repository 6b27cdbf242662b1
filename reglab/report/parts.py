"""The parts of a claim: estimates with their intervals, and the ranges in which they are claimed to lie."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from reglab.report import numbers
from reglab.report.digits import decimals
from reglab.report.numbers import NONE as _NONE
from reglab.report.stats import CONFIDENCE
from reglab.statistics.contrast import Contrast
from reglab.statistics.looks import further
from reglab.statistics.shares import SharedCases

LEVEL = 0.05
"""The probability with which a claim is wrong, alone, or all claims of a study together."""

_NEVER, _LEAST = 0.999, 1e-9
"""Levels at which a share that is still open stays so, and below which nothing is told."""


@dataclass(frozen=True)
class Claimed:
    """The range in which a part is claimed to lie, in the part's unit."""

    low: float = -math.inf
    high: float = math.inf

    def holds(self, low: float | None, high: float | None) -> bool | None:
        """Whether an interval lies inside; None where it lies across a limit, and where there is none."""
        if low is None or high is None:
            return None
        if self.low < low and high < self.high:
            return True
        return False if high < self.low or self.high < low else None


ANYTHING = Claimed()
MOST = Claimed(low=1 / 2)  # a share


UNITS = {"points": " points", "ratio": " times", "percent": " %", "seconds": " s", "number": "", "mean": ""}
"""What stands behind an estimate, by the unit of its part; a share is told as so many of the cases."""

NOTHING = {"points": 0.0, "ratio": 1.0, "number": 0.0, "share": 0.5}
"""What an estimate is where there is no difference."""


@dataclass(frozen=True)
class Part:
    """One comparison of a claim. `holds`: None where its interval leaves it open, or no run speaks to it.

    `each`: of every pair, seed by seed, or of a mean every run; of a share none. `over`: what there are `n` of. `is_early`: before its
    first look, so that nothing is decided by it. `said`: how it was compared, a line each.
    """

    what: str
    unit: str  # "points" (of per cent), "share" (of cases), "ratio" (of times), "number" (as it is); of a mean "percent", "seconds", "mean"
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    holds: bool | None
    confidence: float = CONFIDENCE  # of the interval
    claimed: Claimed = ANYTHING
    each: tuple[float, ...] = ()
    over: str = "seeds"
    is_early: bool = False
    said: tuple[str, ...] = ()

    def in_words(self) -> str:
        """`+3.1 points (+1.0 to +5.2)`."""
        assert self.estimate is not None
        if self.unit == "share":
            return f"in {round(self.estimate * self.n)} of {self.n} cases"
        interval = "one pair" if self.low is None and self.n == 1 else self.range_in_words()
        surely = "" if self.low is None or self.confidence == CONFIDENCE else f" at {percent(self.confidence)} confidence"
        return f"{self.amount()}{UNITS[self.unit]} ({interval}{surely})"

    def amount(self) -> str:
        """The estimate alone, in its unit: `+1.2`, `75 %`, `1.30`."""
        return _NONE if self.estimate is None or math.isnan(self.estimate) else self.written(self.estimate)

    def range_in_words(self) -> str:
        """`+1.0 to +5.2`."""
        if self.low is None and self.high is None:
            return "no interval"
        return " to ".join("open" if bound is None else self.written(bound) for bound in (self.low, self.high))

    def written(self, value: float) -> str:
        """A value in the unit, with the digits that the interval leaves."""
        if self.unit == "share":
            return f"{100 * value:.0f} %"
        half = None if self.low is None or self.high is None else (self.high - self.low) / 2
        if self.unit in ("number", "mean"):
            return numbers.plain(value, decimals(half, self.estimate or 0.0), signed=self.unit == "number")
        places = max(numbers.digits(half), 2 if self.unit == "ratio" else 0)
        return numbers.plain(value, places, signed=self.unit == "points")


def percent(confidence: float) -> str:
    """`95 %`, `99.55 %`, `99.9995 %`: with the digits that tell it from all."""
    left = 100 * (1 - confidence)
    places = max(0, 1 - math.floor(math.log10(left))) if left > 0 else 0
    return f"{f'{100 * confidence:.{places}f}'.rstrip('0').rstrip('.') if places else f'{100 * confidence:.0f}'} %"


class Seen(Protocol):
    """What some runs come to in a comparison."""

    @property
    def estimate(self) -> float:
        """In the unit of the part."""

    @property
    def n(self) -> int:
        """How many seeds, or cases, it is over."""

    @property
    def over(self) -> str:
        """`seeds` or `cases`."""

    @property
    def each(self) -> tuple[float, ...]:
        """Of every pair, seed by seed."""

    @property
    def p_holds(self) -> float:
        """The level, two-sided, from which on its interval lies in the range that is claimed; NaN where there is none."""

    @property
    def p_fails(self) -> float:
        """That from which on it lies outside."""

    @property
    def arms(self) -> int:
        """Of how many arms the variance is, as alpha is spent."""

    def interval(self, level: float) -> tuple[float, float] | None:
        """The interval at a two-sided level; None where nothing tells of chance."""

    def more(self, alpha: float, most: int | None) -> int | None:
        """How many more seeds are likely to settle it, of a plan of `most`, or of one that goes on; None where none."""

    def said(self, level: float) -> list[str]:
        """How it was compared, for people."""


@dataclass(frozen=True)
class OfMeans:
    """A difference of means, or a mean. Times are compared by their logarithms. `is_partial`: some of its runs have no value that could be
    compared, as of one that never came to the target, so that nothing is decided by the others."""

    found: Contrast
    claimed: Claimed
    unit: str
    over: str
    each: tuple[float, ...] = ()
    is_partial: bool = False
    range: tuple[float, float] = (-math.inf, math.inf)  # in which such a mean can lie
    lines: Callable[[float], list[str]] | None = None  # how it was compared, by the level of the interval that is told

    @property
    def n(self) -> int:
        """Of the arm that has least."""
        return self.found.seeds

    @property
    def estimate(self) -> float:
        """In the unit of the part."""
        return self._told(float(self.found.mean))

    @property
    def is_told(self) -> bool:
        """Whether anything tells how far it is chance: one seed does not, and no two that happen to be alike."""
        return math.isfinite(float(self.found.error)) and not (self.n < 2 or (self.n == 2 and float(self.found.error) == 0))

    @property
    def p_holds(self) -> float:
        """Of its lying outside of what is claimed, doubled."""
        return float(self.found.p_inside(*self._limits)) if self.is_told and not self.is_partial else math.nan

    @property
    def p_fails(self) -> float:
        """Of its lying inside."""
        return float(self.found.p_outside(*self._limits)) if self.is_told and not self.is_partial else math.nan

    @property
    def arms(self) -> int:
        """Whose variance is known so well."""
        return max(1, int(float(self.found.freedom) / max(self.n - 1, 1)))

    def interval(self, level: float) -> tuple[float, float] | None:
        """That of a two-sided test."""
        if not self.is_told:
            return None
        low, high = (min(max(self._told(float(bound)), self.range[0]), self.range[1]) for bound in self.found.interval(level))
        return low, high

    def more(self, alpha: float, most: int | None) -> int | None:
        """By what lies between the estimate and the nearest limit."""
        away = [abs(float(self.found.mean) - limit) for limit in self._limits if math.isfinite(limit)]
        if not away or not self.is_told or self.is_partial or self.over != "seeds":
            return None
        return further(min(away), float(self.found.error), float(self.found.freedom), self.n, alpha, most)

    def said(self, level: float) -> list[str]:
        """How it was compared."""
        return self.lines(level) if self.lines else []

    @property
    def _limits(self) -> tuple[float, float]:
        """As the contrast has them."""
        limits = (self.claimed.low, self.claimed.high)
        if self.unit not in ("ratio", "seconds"):
            return limits
        low, high = (-math.inf if limit <= 0 else math.log(limit) if limit < math.inf else limit for limit in limits)
        return low, high

    def _told(self, value: float) -> float:
        return math.exp(min(value, 700)) if self.unit in ("ratio", "seconds") else value  # beyond, a float overflows


Rule = Callable[[float, float, float], bool | None]
"""Whether a share with its interval is what is claimed; None where that leaves it open."""


def in_most(share: float, low: float, high: float) -> bool | None:
    """Surely in more than half of the cases, or surely not."""
    return MOST.holds(low, high)


def almost_every(share: float, low: float, high: float, least: float = 0.75) -> bool | None:
    """Whether a share of cases is as large as is claimed, and surely above one half; None where its interval leaves it open."""
    if high < least:
        return False
    return True if share >= least and low > 1 / 2 else None


@dataclass(frozen=True)
class OfShare:
    """A share of cases, which may have runs in common."""

    cases: SharedCases
    rule: Rule
    over: str = "cases"
    each: tuple[float, ...] = ()
    arms: int = 2

    @property
    def n(self) -> int:
        """How many cases."""
        return self.cases.n

    @property
    def estimate(self) -> float:
        """From 0 to 1."""
        return self.cases.share

    @cached_property
    def p_holds(self) -> float:
        """Found by halving: an interval is the narrower, the larger its level."""
        return self._least(True)

    @cached_property
    def p_fails(self) -> float:
        """The same of its not being so."""
        return self._least(False)

    def interval(self, level: float) -> tuple[float, float] | None:
        """Of the share."""
        return self.cases.interval(level)

    def more(self, alpha: float, most: int | None) -> int | None:
        """None: what decides a share are cases, and how many of those a seed makes is the study's."""
        return None

    def said(self, level: float) -> list[str]:
        """How it was compared."""
        groups = self.cases.groups
        return [f"cases that have runs in common are not counted as independent: {groups} of {self.n} are"] if groups < self.n else []

    def _least(self, how: bool) -> float:
        def decides(level: float) -> bool:
            return self.rule(self.estimate, *self.cases.interval(level)) is how

        if not decides(_NEVER):
            return 1.0
        low, high = _LEAST, _NEVER
        if decides(low):
            return low
        while high / low > 1.001:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if decides(middle) else (middle, high)
        return high


@dataclass(frozen=True)
class Compared:
    """A comparison with the runs behind it (their ids), which can be looked at with the first so many seeds of each arm, or with all.

    `counts`: the seeds that both sides have, case by case; none where no run speaks to it.
    """

    what: str
    unit: str
    claimed: Claimed = ANYTHING
    runs: frozenset[str] = frozenset()
    counts: Sequence[int] = ()
    look: Callable[[int | None], Seen] | None = None

    @property
    def seeds(self) -> int:
        """Of the case that has most."""
        return max(self.counts, default=0)

    def part(self, level: float = LEVEL, seeds: int | None = None, holds: bool | None = None, is_early: bool = False) -> Part:
        """It as it is told, with its interval at a level."""
        if self.look is None:
            return Part(self.what, self.unit, None, None, None, 0, None, claimed=self.claimed)
        seen = self.look(seeds)
        low, high = seen.interval(level) or (None, None)
        return Part(
            self.what,
            self.unit,
            seen.estimate,
            low,
            high,
            seen.n,
            holds,
            confidence=1 - level,
            claimed=self.claimed,
            each=seen.each,
            over=seen.over,
            is_early=is_early,
            said=tuple(seen.said(level)),
        )
