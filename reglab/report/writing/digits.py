"""Numbers of any program and size, told in the digits that say something."""

from reglab.report.stats import Estimate
from reglab.report.writing.numbers import MINUS, NONE, lies_askew

_NOTHING = 1e-12
"""Of a number, what sums of floating-point numbers are off by."""

_MOST_PLACES = 8
"""Behind the point, that people read."""


def decimals(spread: float | None, size: float) -> int:
    """Places behind the point that say something: two digits of an interval's half width; without one, four of the number."""
    if spread:
        return max(0, 1 - _magnitude(spread))
    return max(0, 3 - _magnitude(size)) if size else 0


def _magnitude(value: float) -> int:
    return int(f"{abs(value):e}".partition("e")[2])


def told(estimate: Estimate | None, sign: str = "") -> str:
    """A mean with half of its interval, or with all of it where it lies askew, in the digits that say something."""
    if estimate is None:
        return NONE
    mean, low, high = estimate.mean, estimate.low, estimate.high
    if low is None or high is None:
        return number(mean, decimals(None, mean), sign)
    if high - low <= _NOTHING * abs(mean):
        return f"{number(mean, decimals(None, mean), sign)} (all equal)"
    half = (high - low) / 2
    places = decimals(half, mean)
    said = number(mean, places, sign)
    if lies_askew(mean, low, high):
        return f"{said} ({number(low, places, sign)} to {number(high, places, sign)})"
    return f"{said} ± {number(half, places)}"


def number(value: float, places: int, sign: str = "") -> str:
    """A number with so many places, where those are readable, and a real minus sign."""
    if value == 0:
        return "0"
    form = f"{sign}.3e" if abs(value) >= 10**9 or places > _MOST_PLACES else f"{sign}z,.{places}f"
    return f"{value:{form}}".replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """An interval, in the digits that its width makes sense of."""
    if low is None or high is None:
        return NONE
    places = decimals((high - low) / 2, 0)
    return f"{number(low, places, '+')} to {number(high, places, '+')}"
