"""The two sides of a comparison, and the arms beside them that tell of the variance: results by seed, of runs of reglab or of any."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from reglab.report.writing import numbers
from reglab.statistics.contrast import Contrast, contrast
from reglab.statistics.moderation import Array

SIGNS = (1, -1, -1, 1)
"""How each arm of a case counts: of one its mean, of two what the first has more, of four how much more that is than of the last two."""


def combined(values: Sequence[float]) -> float:
    """What the values of the arms of a case come to."""
    return sum(sign * value for sign, value in zip(SIGNS, values, strict=False))


@dataclass(frozen=True)
class One:
    """A run's result. `diverged`: it has none of its own, and counts as chance."""

    run: str
    seed: str | None
    value: float
    diverged: bool = False


def by_seed(arms: Iterable[Iterable[One]]) -> list[float]:
    """What the arms of a case come to in each seed that all of them have; nothing of runs that have no seeds."""
    values = [{each.seed: each.value for each in results if each.seed is not None} for results in arms]
    return [combined([arm[seed] for arm in values]) for seed in values[0] if all(seed in arm for arm in values)]


@dataclass(frozen=True)
class ArmResults:
    """The results of runs that differ in their seeds only, in the order of these."""

    results: tuple[One, ...]


@dataclass(frozen=True)
class Sides:
    """`arms` are all there are; `cases` the places of those that are compared, which have all else in common: one, two or four, as `SIGNS`
    has them. `scale` times a result is in the unit of the comparison.
    """

    arms: Sequence[ArmResults]
    cases: Sequence[Sequence[int]]
    scale: float

    @property
    def compared(self) -> list[ArmResults]:
        """The arms of all sides, case by case."""
        return [self.arms[place] for case in self.cases for place in case]

    @property
    def least(self) -> int:
        """Seeds of the arm that has least among those that are compared."""
        return min(len(arm.results) for arm in self.compared)

    @property
    def diverged(self) -> int:
        """How many of their runs diverged."""
        return sum(each.diverged for arm in {id(arm): arm for arm in self.compared}.values() for each in arm.results)

    @property
    def has_seeds(self) -> bool:
        """Whether every run says its seed."""
        return all(each.seed is not None for arm in self.compared for each in arm.results)

    def first(self, seeds: int) -> Self:
        """The same with so many seeds of each arm."""
        return replace(self, arms=[replace(arm, results=arm.results[:seeds]) for arm in self.arms])

    def without_diverged(self) -> Self | None:
        """None where a side is left with nothing."""
        rest = replace(self, arms=[_but_diverged(arm) for arm in self.arms])
        return rest if rest.least else None

    def matrix(self) -> tuple[Array, Array]:
        """Results (arms, seeds) in the unit, and the weight of each arm. The seeds of what is compared come first; other columns, as all of
        them where runs have no seeds, are no seed's."""
        seeds = list(dict.fromkeys(each.seed for arm in self.compared for each in arm.results if each.seed is not None))
        columns = {seed: place for place, seed in enumerate(seeds)}
        compared = {id(arm) for arm in self.compared}
        told = [arm if id(arm) in compared else _but_diverged(arm) for arm in self.arms]  # beside the question, chance is no spread
        arms = [arm for arm in told if arm.results]
        rest = [[each for each in arm.results if each.seed not in columns] for arm in arms]
        values = np.full((len(arms), len(seeds) + max(map(len, rest))), np.nan)
        for row, (arm, others) in enumerate(zip(arms, rest, strict=True)):
            for each in arm.results:
                if each.seed in columns:
                    values[row, columns[each.seed]] = each.value * self.scale
            values[row, len(seeds) : len(seeds) + len(others)] = [each.value * self.scale for each in others]
        weights, places = np.zeros(len(arms)), {id(arm): row for row, arm in enumerate(arms)}
        for case in self.cases:
            for sign, place in zip(SIGNS, case, strict=False):
                weights[places[id(self.arms[place])]] += sign / len(self.cases)
        return values, weights

    def contrast(self) -> Contrast:
        """What the one side has more than the other, with its error; of one side alone its mean."""
        is_difference = all(len(case) > 1 for case in self.cases)
        return contrast(*self.matrix(), may_pair=is_difference and self.has_seeds)

    def said(self, found: Contrast, level: float | None, over: str = "seeds") -> list[str]:
        """How they were compared, for people; `level`: of the interval that is told, where there is one; `over`: what pairs them."""
        one = over.removesuffix("s")
        lines = []
        if found.correlation is not None:
            how = f"compared {one} by {one}" if found.paired else "compared as independent runs, since pairing them would not pay"
            lines.append(f"{how}: runs of one {one} correlate by {numbers.plain(float(found.correlation), 2)} over these arms")
        if level and float(found.error) == 0:
            what = f"differences {one} by {one}" if found.paired else "runs of each arm"
            lines.append(f"the {what} are alike to the last digit: chance shows nowhere in them")
        if level and self.diverged:
            lines.append(f"{self.diverged} that diverged count as chance; without them: {self._without_them(level)}")
        return lines

    def _without_them(self, level: float) -> str:
        rest = self.without_diverged()
        if rest is None:
            return "nothing is left"
        other = rest.contrast()
        low, high = map(float, other.interval(level)) if math.isfinite(float(other.error)) else (None, None)
        return f"{float(other.mean):+.3g} ({numbers.between(low, high, True)})"


def of_several(said: str, cases: Iterable[Sequence[Mapping[str, Hashable]]], names: Iterable[str]) -> str:
    """Why a side of a comparison decides nothing that several arms of one case meet: `cases` has the arms of each, by their levels in the
    columns of these `names`. Empty where one arm meets it in every case."""
    several = [arms for arms in cases if len(arms) > 1]
    if not several:
        return ""
    differing = [name for name in names if any(len({arm[name] for arm in arms}) > 1 for arms in several)]
    most = max(map(len, several))
    if not differing:
        return f"{said} is said of {most} arms that no setting here tells apart: look at them alone"
    levels = "their levels" if len(differing) > 1 else "its level"
    return f"{said} is said of {most} arms that differ in {' and '.join(differing)}: say {levels}, too"


def _but_diverged(arm: ArmResults) -> ArmResults:
    return replace(arm, results=tuple(each for each in arm.results if not each.diverged))
