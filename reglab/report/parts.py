"""The parts of a claim: an estimate with its interval, and the range in which it is claimed to lie."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from reglab.report.stats import CONFIDENCE


@dataclass(frozen=True)
class Part:
    """One comparison of a claim. `holds`: None where its interval leaves it open, or no run speaks to it."""

    what: str
    unit: str  # "points" (of per cent), "share" (of cases), "ratio" (of times), or of a mean "percent" and "seconds"
    estimate: float | None
    low: float | None
    high: float | None
    n: int  # cases, or, of a single case, seeds
    holds: bool | None
    confidence: float = CONFIDENCE  # of the interval

    def in_words(self) -> str:
        """`+3.1 points (+1.0 to +5.2)`."""
        assert self.estimate is not None
        if self.unit == "share":
            return f"in {round(self.estimate * self.n)} of {self.n} cases"
        form, unit = {"points": ("+.1f", "points"), "ratio": (".2f", "times"), "percent": (".1f", "%"), "seconds": (".0f", "s")}[self.unit]
        interval = "one pair" if self.low is None and self.n == 1 else _range(self.low, self.high, form)
        surely = "" if self.confidence == CONFIDENCE else f" at {100 * self.confidence:.3g} % confidence"
        return f"{self.estimate:{form}} {unit} ({interval}{surely})".replace("-", "\N{MINUS SIGN}")


def _range(low: float | None, high: float | None, form: str) -> str:
    return "no interval" if low is None or high is None else f"{low:{form}} to {high:{form}}"


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
class Compared:
    """A part with the ids of the runs behind it. `claimed` and `at`, its interval at a confidence, are those of a mean's."""

    part: Part
    runs: frozenset[str]
    claimed: Claimed = ANYTHING
    at: Callable[[float], tuple[float, float] | None] | None = None
