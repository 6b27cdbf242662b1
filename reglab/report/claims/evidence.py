"""The runs that may speak to a claim, as its comparisons look at them: by what they have in common, level by level and seed by seed."""

import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from reglab.report import stats
from reglab.report.comparisons.chance import counts_as_chance, of_guessing
from reglab.report.comparisons.parts import ANYTHING, Claimed
from reglab.report.comparisons.seen import Compared, OfMeans
from reglab.report.comparisons.sides import ArmResults, One, Sides, by_seed, combined, of_several
from reglab.report.studies import blocks
from reglab.report.studies.blocks import Blocks, BySeed
from reglab.report.studies.columns import Condition, Treatment, meets, typed
from reglab.report.studies.design import Design
from reglab.report.studies.measures import GAP, POINTS, TO_TARGET, TRAIN_SECONDS, is_time, value_of
from reglab.report.studies.study import Study
from reglab.statistics.contrast import of_differences
from reglab.tracking.record import RunRecord, State


def expanded(condition: Condition) -> list[Condition]:
    """One condition for each combination of the levels that a condition lists."""
    return [dict(zip(condition, ((level,) for level in levels), strict=True)) for levels in product(*condition.values())]


def say(design: Design, condition: Condition) -> str:
    """Levels in words."""
    said = [" or ".join(filter(None, (design.by_name[name].say(typed(level)) for level in levels))) for name, levels in condition.items()]
    return " · ".join(filter(None, said)) or " · ".join(level for levels in condition.values() for level in levels)


def say_all(design: Design, condition: Condition) -> str:
    """Each combination of the levels that a condition lists, in words."""
    return " and ".join(say(design, each) for each in expanded(condition))


@dataclass(frozen=True)
class Cases:
    """Runs by what they have in common: for each of some levels, by its place, those of each seed.

    `several`: why they decide nothing, where several arms of one case meet a level; then each of these is in a case of its own, one as
    often as another, so that none stands for all.
    """

    each: Mapping[Hashable, Sequence[BySeed]]
    several: str = ""


@dataclass(frozen=True)
class Evidence:
    """The runs that may speak to a claim."""

    study: Study
    question: str | None

    def at(self, at: Condition, diverged: bool = False, turns: bool = False) -> list[blocks.Treated]:
        """Return the runs that have these levels and have ended, with those that diverged where asked for; or the turns."""
        asked = next((each for each in self.study.design.questions if each.name == self.question), None)
        return list(self.study.ended(asked, at, diverged, turns))

    def blocks(
        self, at: Condition, levels: Sequence[Condition], rest: Sequence[str] | None = None, diverged: bool = False, turns: bool = False
    ) -> Blocks:
        """Runs in blocks of what they have in common (`rest`: in these columns), for each of some levels, by its place, those it has."""
        columns = rest_of(self.study.design, {column for level in levels for column in level}) if rest is None else rest

        @cache
        def places(treated: Treatment) -> list[int]:
            return [number for number, level in enumerate(levels) if meets(treated, level, self.study.base)]

        return blocks.in_blocks(
            self.at(at, diverged, turns),
            places,
            lambda treated: tuple(treated[name] for name in columns),
            lambda record: self.study.arm_of[record.run_id],
        )

    def cases(self, at: Condition, levels: Sequence[Condition], rest: Sequence[str] | None = None, turns: bool = False) -> Cases:
        """The runs that diverged, too, or the turns, of which each round is as a seed. Cases that lack a level are none, and no arm is
        compared with itself. Times of runs that shared what they ran on are those of turns that the arms of a case took together."""
        blocks = self.blocks(at, levels, rest, diverged=True, turns=turns)
        whole = {case: [there[place] for place in range(len(levels))] for case, there in blocks.items() if len(there) == len(levels)}
        named = {
            (case, number): [(arms, sorted(arms)[number % len(arms)]) for arms in by_level]
            for case, by_level in whole.items()
            for number in range(math.lcm(*map(len, by_level)))
        }
        apart = {case: by_level for case, by_level in named.items() if len({name for _, name in by_level}) == len(levels)}
        found: dict[Hashable, Sequence[BySeed]] = {case: [arms[name] for arms, name in by_level] for case, by_level in apart.items()}
        if not turns:
            found = {case: self._together(by_level) for case, by_level in found.items()}
        return Cases(found, self._several(levels, list(whole.values())) if len(levels) > 1 else "")

    def _together(self, by_level: Sequence[BySeed]) -> Sequence[BySeed]:
        told = iter(self.study.together([record for by_seed in by_level for record in by_seed.values()]))
        return [{seed: next(told) for seed in by_seed} for by_seed in by_level]

    def _several(self, levels: Sequence[Condition], cases: Sequence[Sequence[Mapping[str, BySeed]]]) -> str:
        """Why nothing is decided where several arms meet a level."""
        design, treated = self.study.design, self.study.treated
        said = []
        for place, level in enumerate(levels):
            runs = [[next(iter(by_seed.values())) for by_seed in by_level[place].values()] for by_level in cases]
            arms = [[there for record in some if (there := treated[record.run_id])] for some in runs]
            said.append(of_several(say(design, level), arms, design.names))
        return "; ".join(filter(None, said))

    def telling(self, of: str, at: Condition, levels: Sequence[Condition], rest: Sequence[str] | None = None) -> tuple[Cases, bool]:
        """The cases by which a measure is compared: of training time those of turns (and that it is them), where each case that runs are of
        has some."""
        of_runs = self.cases(at, levels, rest)
        in_turns = self.in_turns(at, levels, rest) if of == TRAIN_SECONDS else Cases({})
        is_told = bool(in_turns.each) and of_runs.each.keys() <= in_turns.each.keys()
        return in_turns if is_told else of_runs, is_told

    def in_turns(self, at: Condition, levels: Sequence[Condition], rest: Sequence[str] | None = None) -> Cases:
        """The turns of each case, round by round: of rounds in which all of its levels took a quiet one on one machine, those of the first
        session that has two of them. A later session would be another look at the same question."""
        found, there = {}, self.cases(at, levels, rest, turns=True)
        for case, by_level in there.each.items():
            together = sorted(set.intersection(*(set(each) for each in by_level)))
            rounds = [number for number in together if _is_quiet_together([each[number] for each in by_level])]
            sessions = [by_level[0][number].created for number in rounds]
            if first := next((session for session in sessions if sessions.count(session) > 1), None):
                kept = [number for number, session in zip(rounds, sessions, strict=True) if session == first]
                found[case] = [{number: each[number] for number in kept} for each in by_level]
        return replace(there, each=found)

    def held(self, levels: Sequence[Condition]) -> Sequence[str] | None:
        """The columns that runs must have in common: of one level all factors, of several what they do not look at (None)."""
        return self.study.design.names if len(levels) == 1 else None

    def of_means(self, of: str, at: Condition, levels: Sequence[Condition], claimed: Claimed, what: str, unit: str) -> Compared:
        """The mean of one level, what it is more than another, or, of four levels, how much more that is of the first two than of the last:
        over cases of equal weight, by the runs of their seeds."""
        found, in_turns = self.telling(of, at, levels, self.held(levels))
        cases = list(filter(None, (_usable(of, case, self.study) for case in found.each.values())))
        if not cases:
            return Compared(what, unit, claimed, are_apart=bool(found.each))
        runs = frozenset(run.run for case in cases for level in case.levels for run in level)
        look = cache(_Means(self, of, cases, claimed, unit, in_turns, found.several, len(found.each) - len(cases)).look)
        return Compared(what, unit, claimed, runs, [case.seeds for case in cases], look, in_turns, found.several)

    def difference(self, of: str, one: Condition, other: Condition) -> OfMeans | None:
        """What a level has more than another, by all runs that have all else in common; None where there are none."""
        found = self.of_means(of, {}, (one, other), ANYTHING, "", self.study.measure(of).unit)
        seen = found.look(None) if found.look else None
        assert seen is None or isinstance(seen, OfMeans)
        return seen

    def beside(self, of: str, used: Set[str], in_turns: bool = False) -> list[ArmResults]:
        """All other arms of the study that have the measure, or took turns: they tell of the variance."""
        found = []
        for records in (self.study.timed_arms if in_turns else self.study.arms).values():
            if used.isdisjoint(record.run_id for record in records):
                places: dict[Hashable, list[One]] = {}
                for record in filter(stats.counts, records):
                    value = value_of(of, record)
                    if value is not None and value < math.inf and (stats.is_quiet(record) or not is_time(of)):
                        where = (stats.place(record), record.created if in_turns else None) if is_time(of) else None
                        places.setdefault(where, []).append(_one(of, record, value, self.study.measure(of).scale))
                found += [ArmResults(tuple(runs)) for runs in places.values()]
        return found


def _is_quiet_together(turns: Sequence[RunRecord]) -> bool:
    return all(map(stats.is_quiet, turns)) and blocks.on_one_machine(*turns)


@dataclass(frozen=True)
class _Case:
    """For each level the runs that have a value. `never`: how many never came to the target; `unknown`: how many diverged, and nobody knows
    what chance is for them; `elsewhere`: how many ran on another machine than those that are compared; `unquiet`: those of these, where
    times are compared, that had no machine to themselves from start to end, and `by_turns`: how many have their times by turns."""

    levels: tuple[tuple[One, ...], ...]
    never: int = 0
    unknown: int = 0
    elsewhere: int = 0
    unquiet: tuple[RunRecord, ...] = ()
    by_turns: int = 0

    @property
    def seeds(self) -> int:
        return min(map(len, self.levels))


def _usable(of: str, by_level: Sequence[BySeed], study: Study) -> _Case | None:
    """A case as a measure has it, told so many times as large; of times on one machine: the one on which most of its seeds are, where one
    has them quietly. None where a level has no value."""
    kept, elsewhere, scale = by_level, 0, study.measure(of).scale
    unquiet: list[RunRecord] = []
    if is_time(of):
        places = sorted({place for runs in by_level for record in runs.values() if (place := stats.place(record))})
        on = {place: [{seed: run for seed, run in runs.items() if stats.place(run) == place} for runs in by_level] for place in places}
        there = {place: [[result_of(of, run) for run in runs.values()] for runs in levels] for place, levels in on.items()}
        known = {
            place: min(sum(value is not None and value < math.inf for value in each) for each in values) for place, values in there.items()
        }
        quiet = {place: all(stats.is_quiet(run) for runs in levels for run in runs.values()) for place, levels in on.items()}
        best = max((place for place in places if known[place]), key=lambda place: (quiet[place], known[place]), default=None)
        if best is None:
            return None
        kept, elsewhere = on[best], sum(map(len, by_level)) - sum(map(len, on[best]))
        unquiet = [] if quiet[best] else [run for runs in kept for run in runs.values()]
    levels, never, unknown = [], 0, 0
    for runs in kept:
        values = [(record, result_of(of, record)) for record in runs.values()]
        never += sum(value == math.inf for _, value in values)
        unknown += sum(value is None and counts_as_chance(record, of) for record, value in values)
        levels.append(tuple(_one(of, record, value, scale) for record, value in values if value is not None and value < math.inf))
    by_turns = sum(study.is_by_turns(run) for runs in kept for run in runs.values()) if is_time(of) else 0
    return _Case(tuple(levels), never, unknown, elsewhere, tuple(unquiet), by_turns) if all(levels) else None


def result_of(of: str, record: RunRecord) -> float | None:
    """What a run came to: diverged, chance where accuracy is measured, and never where the time to the target is."""
    if counts_as_chance(record, of):
        return of_guessing(record)
    if record.state == State.diverged:
        return math.inf if of == TO_TARGET else None
    return value_of(of, record)


def _one(of: str, record: RunRecord, value: float, scale: float) -> One:
    """In the unit in which it is told, as per cent of a share; of a time the logarithm."""
    in_unit = math.log(value) if is_time(of) else scale * value
    return One(record.run_id, str(record.seed), in_unit, diverged=counts_as_chance(record, of))


@dataclass(frozen=True)
class _Means:
    """The cases of one comparison, to be looked at."""

    runs: Evidence
    of: str
    cases: Sequence[_Case]
    claimed: Claimed
    unit: str
    in_turns: bool
    several: str
    untold: int  # cases beside these, in which a level has no value, or none on a machine that the other has one on

    def look(self, seeds: int | None) -> OfMeans:
        """With the first so many seeds of each arm, of the cases that have them; or with all."""
        told = [case for case in self.cases if seeds is None or case.seeds >= seeds]
        each = tuple(value for case in told for value in self._each(case, seeds))
        if not (self.in_turns or self.runs.study.is_replicated):
            sides, over = None, "cases"
            found = of_differences([combined([level[0].value for level in case.levels]) for case in told])
        else:
            sides, over = self._sides(told, seeds), "rounds" if self.in_turns else "seeds"
            found = sides.contrast()

        def said(level: float) -> list[str]:
            lines = sides.said(found, level if math.isfinite(float(found.error)) else None, over) if sides else []
            return [*self._said(told, sides is None), *lines]

        runs = frozenset(run.run for case in told for level in case.levels for run in level[:seeds])
        return OfMeans(found, self.claimed, self.unit, over, each, "; ".join(self._undecided(told)), self._lies(), runs, said)

    def _lies(self) -> tuple[float, float]:
        """Where such a mean can lie, or such a difference of two, or of two differences."""
        low, high = (-100.0 if self.of == GAP else 0.0), 100.0
        most = (high - low) * len(self.cases[0].levels) / 2
        return {"percent": (low, high), POINTS: (-most, most)}.get(self.unit, (-math.inf, math.inf))

    def _sides(self, told: Sequence[_Case], seeds: int | None) -> Sides:
        arms: list[ArmResults] = []
        cases = []
        for case in told:
            cases.append(range(len(arms), len(arms) + len(case.levels)))
            arms += map(ArmResults, case.levels)
        used = {run.run for case in self.cases for level in case.levels for run in level}
        sides = Sides([*arms, *self.runs.beside(self.of, used, self.in_turns)], cases, 1.0)
        return sides if seeds is None else sides.first(seeds)

    def _each(self, case: _Case, seeds: int | None) -> Iterator[float]:
        """Pair by pair of one seed; of a mean run by run."""
        for value in by_seed(level[:seeds] for level in case.levels):
            yield math.exp(min(value, 700)) if is_time(self.of) else value

    def _said(self, told: Sequence[_Case], is_of_cases: bool) -> list[str]:
        lines = [_IN_TURNS] if self.in_turns else []
        if is_of_cases:
            lines.append("no arm has two seeds: the interval is over configurations, and says nothing of chance from seed to seed")
        elif len(told) > 1:
            lines.append(f"averaged over {len(told)} configurations, of equal weight")
        if self.untold:
            lacking = "times of both sides from one machine" if is_time(self.of) else "values of both sides"
            lines.append(f"{self.untold} of {self.untold + len(self.cases)} configurations have no {lacking}, and are left out")
        lines += left_out_of_look(len(told), len(self.cases), "configurations")
        lines += by_turns(sum(case.by_turns for case in told))
        lines += self._undecided(told)
        if elsewhere := sum(case.elsewhere for case in told):
            lines.append(f"{elsewhere} on other or on shared machines are left out")
        return lines

    def _undecided(self, told: Sequence[_Case]) -> Iterator[str]:
        """Why nothing is decided by what the runs came to, where that is so."""
        if self.several:
            yield self.several
        if never := sum(case.never for case in told):
            yield f"{never} never came to the target: a ratio of the others decides nothing"
        if unknown := sum(case.unknown for case in told):
            yield f"{unknown} that diverged would count as chance, but of how many classes is not known: the others decide nothing"
        if unquiet := [run for case in told for run in case.unquiet]:
            yield sharing(unquiet) + ", and `reglab study time` would tell" * (self.of == TRAIN_SECONDS)


_IN_TURNS = "by arms that took turns, an epoch each in a round (`reglab study time`), and not by whole runs"


def left_out_of_look(there: int, of: int, what: str) -> list[str]:
    """That a look at so many seeds is at some of its configurations only, for people; nothing where it is at all."""
    return [f"{of - there} of {of} {what} have fewer seeds, and are left out"] * (there < of)


def by_turns(runs: int) -> list[str]:
    """That so many runs have their times by turns, for people; nothing where none has."""
    return [f"{runs} shared their cores or GPU, and have their times by what an epoch of their arms took in turns"] * (runs > 0)


def sharing(runs: Collection[RunRecord]) -> str:
    """Why times of these runs decide nothing: none of them had a machine to itself from its start to its end."""
    shared, moved = sum(map(stats.is_shared, runs)), sum(map(stats.has_moved, runs))
    said = [f"{shared} shared their cores or GPU with others"] * (shared > 0) + [f"{moved} went on elsewhere than they began"] * (moved > 0)
    return f"{' and '.join(said)}: such times decide nothing"


def rest_of(design: Design, columns: Iterable[str]) -> list[str]:
    """The columns that runs must have in common where they are compared in some: the factors that those do not look at.

    Where they look at one side of a factor (its number of layers), the other sides, too.
    """
    columns, rest = set(columns), []
    covered = {factor for name in columns for factor in _factors_in(design, name)}
    sides = {design.by_name[name].sources[0] for name in columns if design.by_name[name].kind in ("count", "same")}
    for name, column in design.by_name.items():
        is_side = column.kind in ("count", "same") and column.sources[0] in sides
        if (column.is_factor and name not in covered) or (is_side and name not in columns):
            rest.append(name)
    return rest


def _factors_in(design: Design, name: str) -> set[str]:
    column = design.by_name[name]
    return {name} if column.is_factor else {factor for source in column.sources for factor in _factors_in(design, source)}
