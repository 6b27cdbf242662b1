"""What some runs come to in a comparison of a claim: how probable it is that it holds or fails, now and at looks to come."""

import itertools
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Protocol

import numpy as np

from reglab.report.comparisons.parts import ANYTHING, LEVEL, MOST, Claimed, Part
from reglab.statistics import foretold
from reglab.statistics.contrast import Contrast
from reglab.statistics.looks import further
from reglab.statistics.moderation import Array
from reglab.statistics.shares import SharedCases, exact

_NEVER, _LEAST = 0.999, 1e-9
"""Levels at which a share that is still open stays so, and below which nothing is told."""


class Seen(Protocol):
    """What some runs come to in a comparison."""

    @property
    def undecided(self) -> str:
        """Why nothing is decided by it, whatever it is; empty where something may be."""

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
    def runs(self) -> Set[str]:
        """The ids of those that it is told by."""

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

    def foretold(self, seeds: int, looks: Sequence[int], stream: int) -> tuple[Array, Array]:
        """What `p_holds` and `p_fails` may be at later looks, each (draws, looks), from a look at so many seeds; `stream` tells the draws
        of several comparisons apart."""

    def said(self, level: float) -> list[str]:
        """How it was compared, for people."""


@dataclass(frozen=True)
class OfMeans:
    """A difference of means, or a mean. Times are compared by their logarithms. `undecided`: why nothing is decided by it, as
    where some of its runs have no value that could be compared, since they never came to the target."""

    found: Contrast
    claimed: Claimed
    unit: str
    over: str
    each: tuple[float, ...] = ()
    undecided: str = ""
    range: tuple[float, float] = (-math.inf, math.inf)  # in which such a mean can lie
    runs: Set[str] = frozenset()
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
        return float(self.found.p_inside(*self._limits)) if self.is_told and not self.undecided else math.nan

    @property
    def p_fails(self) -> float:
        """Of its lying inside."""
        return float(self.found.p_outside(*self._limits)) if self.is_told and not self.undecided else math.nan

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

    @property
    def p(self) -> float | None:
        """Two-sided, of there being no difference; None where nothing tells of chance."""
        return float(self.found.p()) if self.is_told else None

    def seeds_more(self, least: float) -> int | None:
        """How many more seeds of each arm are likely to tell it from none, or, of one smaller than `least`, to show that it is about as
        small: 0 where its interval does so already, None where no number is foretold."""
        if (bounds := self.interval(LEVEL)) is None or self.over != "seeds":
            return None
        away, (low, high) = max(abs(self.estimate), least), bounds
        if not low <= 0 <= high or (high - low) / 2 <= away:
            return 0
        return further(away, float(self.found.error), float(self.found.freedom), self.n, LEVEL, None)

    def more(self, alpha: float, most: int | None) -> int | None:
        """By what lies between the estimate and the nearest limit."""
        away = [abs(float(self.found.mean) - limit) for limit in self._limits if math.isfinite(limit)]
        if not away or not self.is_told or self.undecided or self.over != "seeds":
            return None
        return further(min(away), float(self.found.error), float(self.found.freedom), self.n, alpha, most)

    def foretold(self, seeds: int, looks: Sequence[int], stream: int) -> tuple[Array, Array]:
        """Of no seeds but its own: what has no value now is taken to have none later."""
        if not self.is_told or self.undecided or self.over != "seeds":
            nothing = np.ones((foretold.DRAWS, len(looks)))
            return nothing, nothing
        return foretold.of_difference(self.found, seeds, looks, self._limits, stream=stream)

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
    """A share of cases, which may have runs in common.

    `grows`: whether each seed is a case of its own, so that more seeds are more; else `means`, where a case is decided by the largest of
    some: what each seed came to, case by case (levels, seeds), and the level that is asked about. `undecided` says why nothing is decided
    by what its runs came to, where that is so; `told`, which runs are none of its cases, and how times of others are told.
    """

    cases: SharedCases
    rule: Rule
    grows: bool = False
    means: tuple[Sequence[Array], int] | None = None
    over: str = "cases"
    each: tuple[float, ...] = ()
    arms: int = 2
    undecided: str = ""
    told: str = ""
    runs: Set[str] = frozenset()

    @property
    def n(self) -> int:
        """How many cases."""
        return self.cases.n

    @property
    def too_few(self) -> str:
        """Why it can never hold, whatever seeds are added; empty where it may."""
        return "" if self.grows else of_too_few(self.cases.groups)

    @property
    def estimate(self) -> float:
        """From 0 to 1."""
        return self.cases.share

    @cached_property
    def p_holds(self) -> float:
        """The level from which on its interval has it hold."""
        return math.nan if self.undecided else _least(self.rule, self.estimate, self.cases.interval, True)

    @cached_property
    def p_fails(self) -> float:
        """The same of its not being so."""
        return math.nan if self.undecided else _least(self.rule, self.estimate, self.cases.interval, False)

    def interval(self, level: float) -> tuple[float, float] | None:
        """Of the share."""
        return self.cases.interval(level)

    def more(self, alpha: float, most: int | None) -> int | None:
        """None: what decides a share are cases, and how many of those a seed makes is the study's."""
        return None

    def foretold(self, seeds: int, looks: Sequence[int], stream: int) -> tuple[Array, Array]:
        """As if there were as many independent cases as it is known by."""
        if self.undecided:
            nothing = np.ones((foretold.DRAWS, len(looks)))
            return nothing, nothing
        known, n = self.cases.independent, self.n
        if self.means and all(np.isfinite(case).all() for case in self.means[0]):  # what was never reached has no mean to move
            return foretold.of_means(*self.means, looks, lambda so, _: _p_values(self.rule, so * known / n, known), stream=stream)
        later = [max(known, known * look / seeds) if self.grows else known for look in looks]
        return foretold.of_new_cases(self.cases.share, known, later, partial(_p_values, self.rule), stream=stream)

    def said(self, level: float) -> list[str]:
        """How it was compared."""
        groups = self.cases.groups
        lines = [f"cases that have runs in common are not counted as independent: {groups} of {self.n} are"] if groups < self.n else []
        return [*filter(None, [self.undecided, self.told]), *lines]


FEWEST = next(cases for cases in itertools.count(1) if exact(cases, cases, LEVEL)[0] > 1 / 2)
"""Of fewer independent cases no share is surely above one half, not even where all of them are so."""


def of_too_few(cases: int) -> str:
    """Why a share of so many cases can never hold, which may fail; empty where it can."""
    if not 0 < cases < FEWEST:
        return ""
    return f"it is of {cases} case{'s' * (cases > 1)}, and of fewer than {FEWEST} no share is surely above one half"


@lru_cache(maxsize=10_000)
def _p_values(rule: Rule, count: float, of: int) -> tuple[float, float]:
    """Of so many independent cases being so: that the share is as is claimed, and that it is not."""
    interval = partial(exact, count, of)
    return _least(rule, count / of, interval, True), _least(rule, count / of, interval, False)


def _least(rule: Rule, share: float, interval: Callable[[float], tuple[float, float]], how: bool) -> float:
    """The least level at which a share with its interval is told to be so, or not. By halving: an interval is the narrower, the larger its
    level."""

    def decides(level: float) -> bool:
        return rule(share, *interval(level)) is how

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

    `counts`: the seeds that both sides have, case by case; none where no run speaks to it. A look has None where its seeds say nothing.
    `in_turns`: they are not runs but turns, which are looked at once, with all rounds there are. `several`: why they decide nothing,
    where several arms meet one of its levels; what is seen is undecided then, too. `are_apart`: no run speaks to it, though all of its
    levels have runs: times of unlike machines, say.
    """

    what: str
    unit: str
    claimed: Claimed = ANYTHING
    runs: frozenset[str] = frozenset()
    counts: Sequence[int] = ()
    look: Callable[[int | None], Seen | None] | None = None
    in_turns: bool = False
    several: str = ""
    are_apart: bool = False

    @property
    def seeds(self) -> int:
        """Of the case that has most."""
        return max(self.counts, default=0)

    def part(self, level: float = LEVEL, seeds: int | None = None, holds: bool | None = None, is_early: bool = False) -> Part:
        """It as it is told, with its interval at a level."""
        if self.look is None or (seen := self.look(seeds)) is None:
            return Part(self.what, self.unit, None, None, None, 0, None, claimed=self.claimed, are_apart=self.are_apart)
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
            undecided=seen.undecided,
            runs=seen.runs,
            said=tuple(seen.said(level)),
        )
