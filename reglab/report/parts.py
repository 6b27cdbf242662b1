"""The parts of a claim: an estimate with its interval, and the range in which it is claimed to lie."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from reglab.report import numbers
from reglab.report.numbers import NONE as _NONE
from reglab.report.stats import CONFIDENCE


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


@dataclass(frozen=True)
class Part:
    """One comparison of a claim. `holds`: None where its interval leaves it open, or no run speaks to it.

    `each`: of every pair, seed by seed, or of a mean every run; of a share none.
    """

    what: str
    unit: str  # "points" (of per cent), "share" (of cases), "ratio" (of times), or of a mean "percent" and "seconds"
    estimate: float | None
    low: float | None
    high: float | None
    n: int  # cases, or, of a single case, seeds
    holds: bool | None
    confidence: float = CONFIDENCE  # of the interval
    claimed: Claimed = ANYTHING
    each: tuple[float, ...] = ()

    def in_words(self) -> str:
        """`+3.1 points (+1.0 to +5.2)`."""
        assert self.estimate is not None
        if self.unit == "share":
            return f"in {round(self.estimate * self.n)} of {self.n} cases"
        unit = {"points": "points", "ratio": "times", "percent": "%", "seconds": "s"}[self.unit]
        interval = "one pair" if self.low is None and self.n == 1 else self.range_in_words()
        surely = "" if self.confidence == CONFIDENCE else f" at {100 * self.confidence:.3g} % confidence"
        return f"{self.amount()} {unit} ({interval}{surely})"

    def amount(self) -> str:
        """The estimate alone, in its unit: `+1.2`, `75 %`, `1.30`."""
        return _NONE if self.estimate is None or math.isnan(self.estimate) else self._written(self.estimate)

    def range_in_words(self) -> str:
        """`+1.0 to +5.2`."""
        if self.low is None and self.high is None:
            return "no interval"
        return " to ".join("open" if bound is None else self._written(bound) for bound in (self.low, self.high))

    def _written(self, value: float) -> str:
        if self.unit == "share":
            return f"{100 * value:.0f} %"
        half = None if self.low is None or self.high is None else (self.high - self.low) / 2
        places = max(numbers.digits(half), 2 if self.unit == "ratio" else 0)
        return numbers.plain(value, places, signed=self.unit == "points")


@dataclass(frozen=True)
class Compared:
    """A part with the ids of the runs behind it. `claimed` and `at`, its interval at a confidence, are those of a mean's."""

    part: Part
    runs: frozenset[str]
    claimed: Claimed = ANYTHING
    at: Callable[[float], tuple[float, float] | None] | None = None
