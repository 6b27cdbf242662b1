"""What a verdict would be with other margins."""

import math

import pytest

from reglab.report.claims.margins import in_margins
from reglab.report.comparisons.parts import Claimed, Part


def part(low, high, claimed, unit="points", **changes):
    return Part("a against b", unit, (low + high) / 2, low, high, 3, None, claimed=claimed, **changes)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([part(0.4, 1.3, Claimed(-2, 2))], "It holds within any margin above 1.30 points, and is contradicted below 0.40."),
        ([part(-0.4, 1.3, Claimed(-2, 2))], "It holds within any margin above 1.30 points."),
        (
            [part(0.4, 1.3, Claimed(-2, 2)), part(-1.9, 0.1, Claimed(-2, 2))],
            "Its 2 comparisons hold within any margin above 1.90 points.",
        ),
        ([part(0.97, 1.02, Claimed(0.95, 1.05), "ratio")], "It holds within any margin above 3.0 %."),
        (
            [part(0.4, 1.3, Claimed(0.5, math.inf))],
            "It holds for any bound below +0.40 points, and is contradicted above +1.30.",
        ),
        (
            [part(1.02, 1.06, Claimed(-math.inf, 1.05), "ratio")],
            "It holds for any bound above 1.060 times, and is contradicted below 1.020.",
        ),
        ([part(11, 13, Claimed(10, 20))], "It holds for any range that has +11.0 to +13.0 points in it."),
        (  # of a claim of several the one does not make the claim hold
            [part(0.4, 1.3, Claimed(0, math.inf)), part(11, 13, Claimed(10, 20))],
            "Its comparison “a against b” holds for any range that has +11.0 to +13.0 points in it.",
        ),
        (
            [part(0.4, 1.3, Claimed(-2, 2)), part(-1.9, 0.1, Claimed(-2, 2)), part(0.4, 1.3, Claimed(0, math.inf))],
            "2 of its 3 comparisons hold within any margin above 1.90 points.",
        ),
        ([part(0.4, 1.3, Claimed(0, math.inf))], ""),  # no difference is no margin
        ([part(0.4, 1.3, Claimed(-2, 2), is_early=True)], ""),
        ([part(0.4, 1.3, Claimed(-2, 2)), Part("c", "points", 1.0, None, None, 1, None, claimed=Claimed(-2, 2))], ""),
        ([part(0.3, 0.9, Claimed(0.75), "share")], ""),
    ],
)
def test_a_margin_is_told_from_where_it_would_hold(parts, said):
    assert in_margins(parts) == said
