"""What the verdict on a claim would be with other margins, as its intervals tell it."""

import math
from collections.abc import Sequence

from reglab.report.comparisons.parts import NOTHING, UNITS, Claimed, Part
from reglab.report.writing import numbers


def in_margins(parts: Sequence[Part]) -> str:
    """A sentence for each margin that some comparisons have in common: from where on all of them hold, and, of a claim of one, from where
    on it fails (of several that takes wider intervals). Nothing where none has a margin, or one that has it lacks an interval."""
    groups: dict[tuple[Claimed, str], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.claimed, part.unit), []).append(part)
    told = (_sentence(claimed, unit, group, len(parts)) for (claimed, unit), group in groups.items() if unit in UNITS)
    return " ".join(filter(None, told))


def _sentence(claimed: Claimed, unit: str, group: Sequence[Part], among: int) -> str:
    ends = [(part.low, part.high) for part in group if part.low is not None and part.high is not None]
    if len(ends) < len(group) or any(part.is_early or part.undecided for part in group):
        return ""
    nothing, like = NOTHING.get(unit), group[0]  # a bound at which there is no difference is no margin
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    who, is_one = _who(group, among), among == 1
    if nothing is not None and math.isfinite(claimed.high) and math.isclose(claimed.high - nothing, nothing - claimed.low):
        above, below = max(nothing - lowest, highest - nothing), max(lowest - nothing, nothing - highest, 0.0)
        scale, name = (100.0, " %") if unit == "ratio" else (1.0, UNITS[unit])
        fails = f", and is contradicted below {_written(scale * below, like, scale)}" if is_one and below else ""
        return f"{who} within any margin above {_written(scale * above, like, scale)}{name}{fails}."
    if not any(math.isfinite(bound) and bound != nothing for bound in (claimed.low, claimed.high)):
        return ""
    if math.isfinite(claimed.low) and math.isfinite(claimed.high):
        return f"{who} for any range that has {like.written(lowest)} to {like.written(highest)}{UNITS[unit]} in it."
    end, side, other = (lowest, "below", "above") if math.isfinite(claimed.low) else (highest, "above", "below")
    beyond = highest if side == "below" else lowest
    fails = f", and is contradicted {other} {like.written(beyond)}" if is_one else ""
    return f"{who} for any bound {side} {like.written(end)}{UNITS[unit]}{fails}."


def _who(group: Sequence[Part], among: int) -> str:
    """What holds: the claim itself only where it has no other comparison."""
    if among == 1:
        return "It holds"
    if len(group) == 1:
        return f"Its comparison “{group[0].what}” holds"
    return f"Its {among} comparisons hold" if len(group) == among else f"{len(group)} of its {among} comparisons hold"


def _written(value: float, like: Part, scale: float) -> str:
    half = None if like.low is None or like.high is None else scale * (like.high - like.low) / 2
    return numbers.plain(value, numbers.digits(half))
