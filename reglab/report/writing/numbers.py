"""Numbers as people read them: with as many digits as their interval leaves, and no sign that the interval does not bear."""

import math

NONE = "–"
MINUS = "\N{MINUS SIGN}"

_MOST_DIGITS = 3
_ASKEW = 0.05
"""How far from its middle a mean may lie, in half widths, and still be told with ±."""
_NOTHING = 1e-6
"""What sums of floating-point numbers are off by."""
_USUAL = 1
"""Digits behind the point of what has no interval."""


def digits(half_width: float | None) -> int:
    """Digits behind the point: those of the first two that a half width has, where there is one."""
    if not half_width or half_width < _NOTHING or not math.isfinite(half_width):
        return _USUAL
    return min(max(1 - math.floor(math.log10(half_width)), 0), _MOST_DIGITS)


def told(mean: float | None, low: float | None, high: float | None, n: int, signed: bool = False) -> str:
    """`70.6 ± 1.1`; where it is cut off at an end of its range, or lies askew, `99.4 (97.9 to 100)`; `97.5 (all equal)` of equal seeds.

    `signed`: a difference, with its sign in front.
    """
    if mean is None:
        return NONE
    if low is None or high is None or n < 2:
        return plain(mean, _USUAL, signed)
    if high - low < _NOTHING:
        return f"{plain(mean, _USUAL, signed)} (all equal)"
    half = (high - low) / 2
    places = digits(half)
    if not lies_askew(mean, low, high):
        return f"{plain(mean, places, signed)} ± {half:.{places}f}"
    return f"{plain(mean, places, signed)} ({plain(low, places, signed)} to {plain(high, places, signed)})"


def lies_askew(mean: float, low: float, high: float) -> bool:
    """Whether a mean is too far from the middle of its interval to be told with ±."""
    return abs(mean - (low + high) / 2) > _ASKEW * (high - low) / 2


def between(low: float | None, high: float | None, signed: bool = False) -> str:
    """An interval alone: `+0.4 to +2.0`."""
    if low is None or high is None:
        return NONE
    places = digits((high - low) / 2)
    return f"{plain(low, places, signed)} to {plain(high, places, signed)}"


def plain(value: float, places: int, signed: bool = False) -> str:
    """Write a number with a real minus sign, and without one before nothing but noughts."""
    rounded = round(value, places) + 0.0
    if not math.isfinite(rounded):
        return f"{MINUS if rounded < 0 else '+' if signed else ''}∞"
    return f"{rounded:{'+' if signed and rounded else ''},.{places}f}".replace("-", MINUS)


def counted(n: int, many: str) -> str:
    """`1 seed`, `3 seeds`: so many of what `many` names."""
    return f"{n:,} {many.removesuffix('s') if n == 1 else many}"


def any_of(n: int, many: str) -> str:
    """`Either of 2 arms`, `Any of 4 arms`: one of so many, nobody knows which."""
    return f"{'Either' if n == 2 else 'Any'} of {n:,} {many}"
