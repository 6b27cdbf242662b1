"""Numbers of any program and size, told in the digits that say something."""

from reglab.report.numbers import NONE
from reglab.report.stats import Estimate


def decimals(spread: float | None, size: float) -> int:
    """Places behind the point that say something: two digits of an interval's half width; without one, four of the number."""
    if spread:
        return max(0, 1 - _magnitude(spread))
    return max(0, 3 - _magnitude(size)) if size else 0


def _magnitude(value: float) -> int:
    return int(f"{abs(value):e}".partition("e")[2])


def told(estimate: Estimate | None, sign: str = "") -> str:
    """A mean with half of its interval, in the digits that say something."""
    if estimate is None:
        return NONE
    places = decimals(estimate.half_width, estimate.mean)
    said = number(estimate.mean, places, sign)
    return said if estimate.half_width is None else f"{said} ± {number(estimate.half_width, places)}"


def number(value: float, places: int, sign: str = "") -> str:
    """A number with so many places, where those are readable."""
    if value == 0:
        return "0"
    if abs(value) >= 10**9 or (value and places > 8):
        return f"{value:{sign}.3e}"
    return f"{value:{sign}z,.{places}f}"


def interval(low: float | None, high: float | None) -> str:
    """An interval, in the digits that its width makes sense of."""
    if low is None or high is None:
        return NONE
    places = decimals((high - low) / 2, 0)
    return f"{number(low, places, '+')} to {number(high, places, '+')}"
