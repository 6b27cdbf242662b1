"""The colours of figures, for whoever names them without drawing."""

from collections.abc import Sequence

from reglab.report.studies.columns import Level

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A6D00", "#6B1426")
"""For what has no order."""

RAMP = ("#999999", "#E69F00", "#C8501E", "#6B1426", "#2B0A12")
"""For ordered levels, as they rise."""


def colours(levels: Sequence[Level]) -> list[str]:
    """One for each: of numbers a darker one as they rise."""
    if len(levels) > 1 and all(isinstance(level, int | float) for level in levels):
        return [
            RAMP[round(place * (len(RAMP) - 1) / (len(levels) - 1))] if len(levels) <= len(RAMP) else _between(place / (len(levels) - 1))
            for place in range(len(levels))
        ]
    return [PALETTE[place % len(PALETTE)] for place in range(len(levels))]


def _between(share: float) -> str:
    """A colour of the ramp, between two of its own."""
    place = share * (len(RAMP) - 1)
    lower = min(int(place), len(RAMP) - 2)
    one, other = (tuple(int(RAMP[at][digit : digit + 2], 16) for digit in (1, 3, 5)) for at in (lower, lower + 1))
    return "#" + "".join(f"{round(a + (b - a) * (place - lower)):02x}" for a, b in zip(one, other, strict=True))
