"""The parts of a claim: estimates with their intervals, and the ranges in which they are claimed to lie."""

import math
from collections.abc import Set
from dataclasses import dataclass

from reglab.report.stats import CONFIDENCE
from reglab.report.writing import numbers
from reglab.report.writing.digits import decimals
from reglab.report.writing.numbers import NONE as _NONE

LEVEL = 0.05
"""The probability with which a claim is wrong, alone, or all claims of a study together."""


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
    first look, so that nothing is decided by it. `undecided`: why nothing is, whatever its interval, as of times on shared cores. `said`:
    how it was compared, a line each. `runs`: the ids of those, or of the turns, that it is told by. `are_apart`: there are
    runs of all its levels, none of which can be compared.
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
    undecided: str = ""
    said: tuple[str, ...] = ()
    runs: Set[str] = frozenset()
    are_apart: bool = False

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
