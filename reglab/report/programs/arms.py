"""Runs of another program as arms: what each came to, and how they compare."""

import json
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import product
from typing import TYPE_CHECKING, Any

from reglab.errors import UserError, excerpt
from reglab.report.comparisons.best import WithTheBest, of_groups, with_the_best
from reglab.report.comparisons.differences import of_sides
from reglab.report.comparisons.parts import LEVEL
from reglab.report.comparisons.sides import ArmResults, One, Sides
from reglab.report.programs.copies import copies, said_of_copies
from reglab.report.programs.roles import Roles, setting
from reglab.report.stats import Estimate, estimates, time_estimates
from reglab.report.studies.columns import Column, Condition, Level, brief, in_order, scale_of, short_names, written
from reglab.report.studies.measures import NUMBER
from reglab.tracking.program_run import CLOCK, ProgramRun
from reglab.tracking.state import State

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ProgramArm:
    """Runs that are alike in every setting that differs among all. Values are those of the metric."""

    label: str
    levels: Mapping[str, Level]
    runs: tuple[ProgramRun, ...]
    by_seed: Mapping[str, float]  # of several runs of one seed their mean; empty where runs have no seeds
    values: tuple[float, ...]  # by seed, or run by run
    times: tuple[float, ...]  # likewise, of the runs that say theirs

    @cached_property
    def identity(self) -> str:
        """By which the page of a report knows it: the hash of its settings."""
        return sha256(json.dumps({key: written(level) for key, level in self.levels.items()}).encode()).hexdigest()[:12]

    @cached_property
    def results(self) -> ArmResults:
        """Its values, with their seeds where it has some."""
        by_seed = [One(f"{self.identity}-{seed}", seed, value) for seed, value in self.by_seed.items()]
        return ArmResults(tuple(by_seed or (One(run.id, None, value) for run, value in zip(self.runs, self.values, strict=True))))


@dataclass(frozen=True)
class ArmDifference:
    """One arm, or level, against another. `over` says what `n` counts: of the arm that has least."""

    estimate: Estimate
    p: float | None
    over: str


class Programs:
    """Runs with their roles, as arms. `counted` are the runs that finished with a number in the metric, but for `copies` of others."""

    def __init__(self, runs: Sequence[ProgramRun], roles: Roles):
        self.runs, self.roles = tuple(runs), roles
        self._ended = [run for run in runs if run.state == State.finished and roles.value(run) is not None]
        if not self._ended:
            raise UserError(f"no finished run has a number in {roles.metric}: name another with --metric")
        self.copies = copies(self._ended, roles)
        self.counted = [run for run in self._ended if run.id not in self.copies]
        for key, of in ((roles.metric, roles.value), (roles.time, roles.seconds)):
            _refuse_too_large(self.counted, key, of)
        self.sign = 1 if roles.goal == "maximize" else -1

    @cached_property
    def said(self) -> tuple[str, ...]:
        """What was guessed of these runs, and which of them are alike: lines for people."""
        again = sum(len(arm.runs) - len(arm.by_seed) for arm in self.arms if arm.by_seed)
        repeated = f"{again:,} {'runs repeat' if again > 1 else 'run repeats'} an arm and seed that is there already"
        said = [f"{repeated}: the mean of those counts once"] if again else []
        return (*self.roles.guessed, *said_of_copies(self._ended, self.roles), *said)

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """A column for each setting, by its key."""
        names = short_names(self.roles.factors)
        found = {}
        for key, name in names.items():
            there = sorted({setting(run, key) for run in self.counted}, key=in_order)
            found[key] = Column(name=name, kind="key", sources=(key,), title=name.replace("_", " "), scale=scale_of(there))
        return found

    @cached_property
    def arms(self) -> list[ProgramArm]:
        """The best first."""
        groups: dict[tuple[str, ...], list[ProgramRun]] = {}
        for run in self.counted:
            groups.setdefault(tuple(written(setting(run, key)) for key in self.roles.factors), []).append(run)
        made = [self._arm(group) for group in groups.values()]
        labels = Counter(arm.label for arm in made)
        made = [arm if labels[arm.label] == 1 else replace(arm, label=self._label(arm.levels, written)) for arm in made]
        labels = Counter(arm.label for arm in made)  # a text may read as several settings do
        made = [arm if labels[arm.label] == 1 else replace(arm, label=f"{arm.label} ({arm.identity})") for arm in made]
        return sorted(made, key=lambda arm: (-self.sign * statistics.fmean(arm.values), arm.label))

    @cached_property
    def without(self) -> list[ProgramRun]:
        """The runs that finished without a number in the metric."""
        return [run for run in self.runs if run.state == State.finished and self.roles.value(run) is None]

    @cached_property
    def lost(self) -> list[ProgramRun]:
        """The runs that came to an end and to no number in the metric: they diverged, or finished without one."""
        return [*(run for run in self.runs if run.state == State.diverged), *self.without]

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """The levels of each arm, of those without a number, too: as they are written, by the names of columns and by the arm's label."""
        lost = ({key: setting(run, key) for key in self.roles.factors} for run in self.lost)
        arms = {self._label(levels, brief): levels for levels in lost} | {arm.label: arm.levels for arm in self.arms}
        return {label: {column.name: (written(levels[key]),) for key, column in self.columns.items()} for label, levels in arms.items()}

    def lost_of(self, conditions: Collection[Condition]) -> int:
        """How many of the lost runs meet any of some conditions."""
        names = {column.name: key for key, column in self.columns.items()}
        return sum(
            any(all(written(setting(run, names[name])) in levels for name, levels in asked.items()) for asked in conditions)
            for run in self.lost
        )

    @cached_property
    def means(self) -> Mapping[str, Estimate]:
        """The mean of the metric over an arm's seeds or runs, with the variance of all arms: by its identity."""
        return self._by_arm(estimates([arm.values for arm in self.arms]))

    @cached_property
    def seconds(self) -> Mapping[str, Estimate]:
        """That of the times, of the arms whose runs say theirs."""
        return self._by_arm(time_estimates([arm.times for arm in self.arms]))

    def _by_arm(self, found: Sequence[Estimate | None]) -> Mapping[str, Estimate]:
        return {arm.identity: each for arm, each in zip(self.arms, found, strict=True) if each}

    def _arm(self, group: Sequence[ProgramRun]) -> ProgramArm:
        levels = {key: setting(group[0], key) for key in self.roles.factors}
        label = self._label(levels, brief)
        by_seed, times = (self._by_seed(group, of) for of in (self.roles.value, self.roles.seconds))
        values = self._each(by_seed, group, self.roles.value)
        return ProgramArm(label, levels, tuple(group), by_seed, values, self._each(times, group, self.roles.seconds))

    def _label(self, levels: Mapping[str, Level], said: Callable[[Level], str]) -> str:
        """What an arm is called: in full where two read alike in short."""
        named = (
            column.say(levels[key]) if said is brief else f"{column.title} {said(levels[key])}" for key, column in self.columns.items()
        )
        return " · ".join(named) or "all runs"

    @staticmethod
    def _each(by_seed: Mapping[str, float], group: Sequence[ProgramRun], of: Callable[[ProgramRun], float | None]) -> tuple[float, ...]:
        """By seed where runs have seeds, else run by run."""
        return tuple(by_seed.values()) or tuple(value for run in group if (value := of(run)) is not None)

    def _by_seed(self, group: Iterable[ProgramRun], of: Callable[[ProgramRun], float | None]) -> dict[str, float]:
        """What the runs came to by seed, of several of one their mean; empty where there are no seeds, or a run lacks its own."""
        if self.roles.seed is None:
            return {}
        found: dict[str, list[float]] = {}
        for run in group:
            seed, value = setting(run, self.roles.seed), of(run)
            if seed is None:
                return {}
            found.setdefault(written(seed), []).extend([] if value is None else [value])
        return {seed: statistics.fmean(values) for seed, values in found.items() if values}

    @property
    def labels(self) -> Mapping[str, str]:
        """What the arm of each run is called, by its id."""
        return {run.id: arm.label for arm in self.arms for run in arm.runs}

    def in_common(
        self, one: Sequence[ProgramArm], other: Sequence[ProgramArm], but: Sequence[str]
    ) -> list[tuple[Sequence[ProgramArm], Sequence[ProgramArm]]]:
        """The arms of two sides that have the same in all but some settings, together: one of each, where the sides say all of those."""

        def by_rest(arms: Sequence[ProgramArm]) -> dict[tuple[str, ...], list[ProgramArm]]:
            found: dict[tuple[str, ...], list[ProgramArm]] = {}
            for arm in arms:
                found.setdefault(tuple(written(level) for key, level in arm.levels.items() if key not in but), []).append(arm)
            return found

        mine, theirs = by_rest(one), by_rest(other)
        return [(arms, theirs[rest]) for rest, arms in mine.items() if rest in theirs]

    def contrast(self, one: Sequence[ProgramArm], other: Sequence[ProgramArm], but: Sequence[str]) -> ArmDifference | None:
        """What some arms have more than others, with the variance of all, over those that have the same in all but some settings."""
        places = {arm.label: place for place, arm in enumerate(self.arms)}
        in_common = self.in_common(one, other, but)
        pairs = [(places[arm.label], places[its.label]) for mine, theirs in in_common for arm, its in product(mine, theirs)]
        if not pairs:
            return None
        found = of_sides(Sides([arm.results for arm in self.arms], pairs, 1.0), NUMBER)
        assert found
        low, high = found.interval(LEVEL) or (None, None)
        over = "pairs of settings" if found.over == "cases" else "seeds" if self.roles.seed else "runs"
        return ArmDifference(Estimate(found.estimate, low, high, found.n), found.p, over)

    @cached_property
    def with_the_best(self) -> dict[str, WithTheBest]:
        """Each arm against the best of the others, by its label, in the sense of the metric: less is negative."""
        if all(arm.by_seed for arm in self.arms):
            found = with_the_best({arm.label: {seed: self.sign * value for seed, value in arm.by_seed.items()} for arm in self.arms})
        else:
            found = of_groups({arm.label: [self.sign * value for value in arm.values] for arm in self.arms})
        return {label: each if self.sign > 0 else _turned(each) for label, each in found.items()}

    def levels(self, key: str) -> list[Level]:
        """Return the levels of a setting among the arms, in their order."""
        return sorted({arm.levels[key] for arm in self.arms}, key=in_order)

    def frame(self) -> "pd.DataFrame":
        """One row a run: all of its keys, as they are, and what else its table tells of it."""
        import pandas as pd  # most of a second, that a question does not wait for

        labels = self.labels
        rows = []
        for run in self.runs:
            row: dict[str, Any] = {"run": run.id, "name": run.name or None, "arm": labels.get(run.id), "state": run.state.value}
            row |= {CLOCK: run.seconds, "url": run.url}
            row |= {f"{key} (key)" if key in row else key: value for key, value in run.config.items()}
            row |= {f"{key} (result)" if key in row else key: value for key, value in run.summary.items()}
            rows.append(row | {key: value for key, value in run.about.items() if key not in row})
        return pd.DataFrame(rows).dropna(axis="columns", how="all")

    def arm_of(self, words: str) -> ProgramArm:
        """The one arm with all of some `key=value` words. Raises UserError where none or several have them."""
        factors = ", ".join(self.roles.factors)
        if "=" not in words:
            raise UserError(f"--baseline {words}: give key=value words, of {factors}")
        wanted = dict(word.partition("=")[::2] for word in words.split())
        names = {name: key for key, name in short_names(self.roles.factors).items()} | {key: key for key in self.roles.factors}
        if unknown := [key for key in wanted if key not in names]:
            raise UserError(f"--baseline {words}: {unknown[0]} does not differ among these runs; what does is {factors}")
        for key, value in wanted.items():
            levels = [written(level) for level in self.levels(names[key])]
            if written(value) not in levels:
                known = ", ".join(map(excerpt, levels[:12]))
                raise UserError(f"--baseline {words}: {key} is {excerpt(value)} in no run; there are {known}")
        there = [arm for arm in self.arms if all(written(arm.levels[names[key]]) == written(value) for key, value in wanted.items())]
        if len(there) != 1:
            which = "no arm has all of" if not there else f"{len(there)} arms have"
            raise UserError(f"--baseline {words}: {which} that; give a value of each of {factors}")
        return there[0]


_LARGEST = 1e150
"""Of a result: the square of a larger one is no number."""


def _refuse_too_large(runs: Iterable[ProgramRun], key: str | None, of: Callable[[ProgramRun], float | None]) -> None:
    if run := next((run for run in runs if abs(of(run) or 0) > _LARGEST), None):
        raise UserError(
            f"{key} of {run.id} is {of(run):g}, which is too large to be averaged: write inf for what diverged, or another unit"
        )


def _turned(each: WithTheBest) -> WithTheBest:
    low, high = (None if bound is None else -bound for bound in (each.high, each.low))
    return WithTheBest(-each.difference, low, high, each.p, each.n)
