"""What the comparisons of a claim ask of the runs, kind by kind: from the words of a study file to parts with their intervals."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise, product

import numpy as np

from reglab.errors import UserError
from reglab.report import comparisons, numbers, stats
from reglab.report.cells import until_target
from reglab.report.chance import counts_as_chance, of_guessing
from reglab.report.columns import ITS, Condition, Treatment, meets, of_base, typed, written
from reglab.report.comparisons import Blocks
from reglab.report.design import (
    BestClaim,
    Champion,
    Claim,
    Comparison,
    Design,
    DifferenceClaim,
    Kinds,
    Pairwise,
    RatioClaim,
    SoonerClaim,
    ThresholdClaim,
    TrendClaim,
)
from reglab.report.measures import NUMBER, POINTS, RATIO, Kind, is_time, value_of
from reglab.report.parts import ANYTHING, MOST, Claimed, Compared, OfMeans, OfShare, almost_every, in_most
from reglab.report.sides import Arm, One, Sides
from reglab.report.study import Study
from reglab.statistics.contrast import of_differences
from reglab.statistics.restricted import restricted_difference
from reglab.statistics.shares import SharedCases
from reglab.tracking.record import RunRecord, State

TO_TARGET = "time_to_target/seconds"

BySeed = dict[int, RunRecord]
"""Runs that differ in their seeds only, by these."""


@dataclass(frozen=True)
class Asked:
    """One comparison as the file has it: what must be seen, in words, and how it is looked for."""

    rule: str
    look: Callable[[], Sequence[Compared]]


def asked_of(kinds: Kinds, question: str | None, study: Study) -> Iterator[Asked]:
    """What a claim asks, comparison by comparison."""
    runs = Evidence(study, question)
    for _, comparison in kinds.comparisons():
        match comparison:
            case DifferenceClaim() | RatioClaim():
                yield Asked(_rule_of_pairs(comparison, study), partial(_pairwise, comparison, runs))
            case TrendClaim():
                yield Asked(_rule_of_trend(comparison, study), partial(_trend, comparison, runs))
            case BestClaim():
                yield Asked(_rule_of_best(comparison, study), partial(_best, comparison, runs))
            case SoonerClaim():
                between, other = (_say_all(study.design, each) for each in (comparison.between, comparison.other))
                rule = f"{between} reaches the target sooner than {other}, in over half of the cases"
                yield Asked(rule, partial(_sooner, comparison, runs))
            case ThresholdClaim():
                yield Asked(_rule_of_threshold(comparison, study), partial(_threshold, comparison, runs))


# Levels.


def expanded(condition: Condition) -> list[Condition]:
    """One condition for each combination of the levels that a condition lists."""
    return [dict(zip(condition, ((level,) for level in levels), strict=True)) for levels in product(*condition.values())]


def say(design: Design, condition: Condition) -> str:
    """Levels in words."""
    said = [" or ".join(filter(None, (design.by_name[name].say(typed(level)) for level in levels))) for name, levels in condition.items()]
    return " · ".join(filter(None, said)) or " · ".join(level for levels in condition.values() for level in levels)


def _say_all(design: Design, condition: Condition) -> str:
    return " and ".join(say(design, each) for each in expanded(condition))


@dataclass(frozen=True)
class Evidence:
    """The runs that may speak to a claim."""

    study: Study
    question: str | None

    def at(self, at: Condition, diverged: bool = False) -> list[comparisons.Treated]:
        """Return the runs that have these levels and have ended, with those that diverged where asked for."""
        asked = next((each for each in self.study.design.questions if each.name == self.question), None)
        return list(self.study.ended(asked, at, diverged))

    def blocks(self, at: Condition, levels: Sequence[Condition], rest: Sequence[str] | None = None, diverged: bool = False) -> Blocks:
        """Runs in blocks of what they have in common (`rest`: in these columns), one for each of some levels (by its place)."""
        columns = rest_of(self.study.design, {column for level in levels for column in level}) if rest is None else rest
        places: dict[Treatment, int | None] = {}

        def place(treated: Treatment) -> int | None:
            if treated not in places:
                found = [number for number, level in enumerate(levels) if meets(treated, level, self.study.base)]
                places[treated] = found[0] if found else None
            return places[treated]

        return comparisons.in_blocks(self.at(at, diverged), place, lambda treated: tuple(treated[name] for name in columns))

    def cases(self, at: Condition, levels: Sequence[Condition], rest: Sequence[str] | None = None) -> dict[Hashable, list[BySeed]]:
        """Runs by what they have in common: for each of some levels, by its place, those of each seed. Cases that lack a level are none."""
        blocks = self.blocks(at, levels, rest, diverged=True)
        found: dict[Hashable, list[BySeed]] = {}
        for (case, seed), there in sorted(blocks.items(), key=lambda block: block[0][1]):
            by_level = found.setdefault(case, [{} for _ in levels])
            for number, record in there.items():
                assert isinstance(number, int)
                by_level[number][seed] = record
        return {case: by_level for case, by_level in found.items() if all(by_level)}

    def of_means(self, of: str, at: Condition, levels: Sequence[Condition], claimed: Claimed, what: str, unit: str) -> Compared:
        """The mean of one level, or what it is more than another: over cases of equal weight, by the runs of their seeds."""
        rest = self.study.design.names if len(levels) == 1 else None
        cases = list(filter(None, (_usable(of, case, self.study.measure(of).scale) for case in self.cases(at, levels, rest).values())))
        if not cases:
            return Compared(what, unit, claimed)
        runs = frozenset(run.run for case in cases for level in case.levels for run in level)
        return Compared(what, unit, claimed, runs, [case.seeds for case in cases], cache(_Means(self, of, cases, claimed, unit).look))

    def beside(self, of: str, used: Set[str]) -> list[Arm]:
        """All other arms of the study that have the measure: they tell of the variance."""
        found = []
        for records in self.study.arms.values():
            if used.isdisjoint(record.run_id for record in records):
                places: dict[str | None, list[One]] = {}
                for record in filter(stats.counts, records):
                    value = value_of(of, record)
                    if value is not None and value < math.inf:
                        places.setdefault(stats.place(record) if is_time(of) else None, []).append(
                            _one(of, record, value, self.study.measure(of).scale)
                        )
                found += [Arm(tuple(runs)) for runs in places.values()]
        return found


@dataclass(frozen=True)
class _Case:
    """For each level the runs that have a value. `never`: how many never came to the target; `unknown`: how many diverged, and nobody knows
    what chance is for them; `elsewhere`: how many ran on another machine than those that are compared."""

    levels: tuple[tuple[One, ...], ...]
    never: int = 0
    unknown: int = 0
    elsewhere: int = 0

    @property
    def seeds(self) -> int:
        return min(map(len, self.levels))


def _usable(of: str, by_level: Sequence[BySeed], scale: float) -> _Case | None:
    """A case as a measure has it, told so many times as large; of times on the machine on which most of its seeds are. None where a level
    has no value."""
    kept, elsewhere = by_level, 0
    if is_time(of):
        places = sorted({place for runs in by_level for record in runs.values() if (place := stats.place(record))})
        on = {place: [{seed: run for seed, run in runs.items() if stats.place(run) == place} for runs in by_level] for place in places}
        there = {place: [[_value(of, run) for run in runs.values()] for runs in levels] for place, levels in on.items()}
        known = {
            place: min(sum(value is not None and value < math.inf for value in each) for each in values) for place, values in there.items()
        }
        best = max(places, key=known.__getitem__, default=None)
        if best is None or not known[best]:
            return None
        kept, elsewhere = on[best], sum(map(len, by_level)) - sum(map(len, on[best]))
    levels, never, unknown = [], 0, 0
    for runs in kept:
        values = [(record, _value(of, record)) for record in runs.values()]
        never += sum(value == math.inf for _, value in values)
        unknown += sum(value is None and counts_as_chance(record, of) for record, value in values)
        levels.append(tuple(_one(of, record, value, scale) for record, value in values if value is not None and value < math.inf))
    return _Case(tuple(levels), never, unknown, elsewhere) if all(levels) else None


def _value(of: str, record: RunRecord) -> float | None:
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

    def look(self, seeds: int | None) -> OfMeans:
        """With the first so many seeds of each arm, of the cases that have them; or with all."""
        told = [case for case in self.cases if seeds is None or case.seeds >= seeds]
        each = tuple(value for case in told for value in self._each(case, seeds))
        is_partial = any(case.never or case.unknown for case in told)
        lowest = -100.0 if self.of == "gap" else 0.0
        lies = (lowest, 100.0) if self.unit == "percent" else (-math.inf, math.inf)
        if not self.runs.study.is_replicated:
            sides, over = None, "cases"
            found = of_differences([_difference([level[0].value for level in case.levels]) for case in told])
        else:
            sides, over = self._sides(told, seeds), "seeds"
            found = sides.contrast()

        def said(level: float) -> list[str]:
            lines = sides.said(found, level if math.isfinite(float(found.error)) else None) if sides else []
            return [*self._said(told, sides is None), *lines]

        return OfMeans(found, self.claimed, self.unit, over, each, is_partial, lies, said)

    def _sides(self, told: Sequence[_Case], seeds: int | None) -> Sides:
        arms: list[Arm] = []
        pairs: list[tuple[int, int | None]] = []
        for case in told:
            arms += map(Arm, case.levels)
            pairs.append((len(arms) - 2, len(arms) - 1) if len(case.levels) > 1 else (len(arms) - 1, None))
        used = {run.run for case in self.cases for level in case.levels for run in level}
        sides = Sides([*arms, *self.runs.beside(self.of, used)], pairs, 1.0)
        return sides if seeds is None else sides.first(seeds)

    def _each(self, case: _Case, seeds: int | None) -> Iterator[float]:
        """Pair by pair of one seed; of a mean run by run."""
        levels = [{run.seed: run.value for run in level[:seeds]} for level in case.levels]
        for seed in levels[0]:
            if all(seed in level for level in levels):
                value = _difference([level[seed] for level in levels])
                yield math.exp(min(value, 700)) if is_time(self.of) else value

    def _said(self, told: Sequence[_Case], is_of_cases: bool) -> list[str]:
        lines = []
        if is_of_cases:
            lines.append("no arm has two seeds: the interval is over configurations, and says nothing of chance from seed to seed")
        elif len(told) > 1:
            lines.append(f"averaged over {len(told)} configurations, of equal weight")
        if len(told) < len(self.cases):
            lines.append(f"{len(self.cases) - len(told)} of {len(self.cases)} configurations have fewer seeds, and are left out")
        if never := sum(case.never for case in told):
            lines.append(f"{never} never came to the target: a ratio of the others decides nothing")
        if unknown := sum(case.unknown for case in told):
            lines.append(f"{unknown} that diverged would count as chance, but of how many classes is not known: the others decide nothing")
        if elsewhere := sum(case.elsewhere for case in told):
            lines.append(f"{elsewhere} on other machines are left out")
        return lines


def _difference(levels: Sequence[float]) -> float:
    return levels[0] - levels[1] if len(levels) > 1 else levels[0]


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


# Kinds.


def _pairwise(asked: Pairwise, runs: Evidence) -> list[Compared]:
    claimed = _range_of(asked, runs.study.measure(asked.of))
    return [pair(asked.of, runs, asked.at, one, other, claimed) for one in expanded(asked.between) for other in expanded(asked.other)]


def _range_of(asked: Pairwise, kind: Kind) -> Claimed:
    if asked.within is not None:
        nothing = 1 if kind.is_time else 0
        return Claimed(nothing - asked.within, nothing + asked.within)
    low, high = asked.at_least, asked.at_most
    return Claimed(-math.inf if low is None else low, math.inf if high is None else high)


def pair(of: str, runs: Evidence, at: Condition, one: Condition, other: Condition, claimed: Claimed) -> Compared:
    """What level `one` has more than `other`, in points, or how many times as long it takes, on one machine (the geometric mean)."""
    design, kind = runs.study.design, runs.study.measure(of)
    what = f"{kind.words}, {say(design, one)} against {say(design, other)}" + (f", {say(design, at)}" if at else "")
    return runs.of_means(of, at, (one, other), claimed, what, kind.unit)


def _trend(asked: TrendClaim, runs: Evidence) -> list[Compared]:
    """Each level against the one before it; of times to the target, all of them as cases of one share."""
    levels, kind = expanded(asked.over), runs.study.measure(asked.of)
    nothing = 1 if kind.is_time else 0
    claimed = Claimed(low=nothing) if asked.direction == "rises" else Claimed(high=nothing)
    if asked.of != TO_TARGET:
        return [pair(asked.of, runs, asked.at, later, before, claimed) for before, later in pairwise(levels)]
    ((column, values),) = asked.over.items()
    when = "sooner" if asked.direction == "falls" else "later"
    what = f"{runs.study.design.by_name[column].title} {', '.join(values)}: each reaches the target {when} than the one before"
    return [_share_sooner(what, runs, asked.at, _steps(asked), each_seed=True)]


def _steps(asked: TrendClaim) -> list[tuple[Condition, Condition]]:
    """Of each step, which is to be the sooner."""
    falls = asked.direction == "falls"
    return [(later, before) if falls else (before, later) for before, later in pairwise(expanded(asked.over))]


def _sooner(asked: SoonerClaim, runs: Evidence) -> list[Compared]:
    design = runs.study.design
    return [
        _share_sooner(
            f"{say(design, one)} reaches the target sooner than {say(design, other)}",
            runs,
            asked.at,
            [(one, other)],
            asked.cases == "seeds",
        )
        for one in expanded(asked.between)
        for other in expanded(asked.other)
    ]


@dataclass(frozen=True)
class _Race:
    """Two runs of one seed on one machine, of which at least one came to the target: whether the first did so sooner."""

    runs: tuple[str, str]
    is_sooner: bool


def _share_sooner(what: str, runs: Evidence, at: Condition, steps: Sequence[tuple[Condition, Condition]], each_seed: bool) -> Compared:
    """In how many cases the first level reaches the target sooner: in most of the seeds in which either does, on one machine.

    Or, with `each_seed`, of each seed apart: where configurations alone are too few to decide anything.
    """
    found = [_races(by_level) for step in steps for by_level in runs.cases(at, step).values()]
    cases = [races for races in found if any(races.values())]

    def look(seeds: int | None) -> OfShare:
        there = [list(filter(None, list(races.values())[:seeds])) for races in cases if seeds is None or len(races) >= seeds]
        groups = [[race] for races in there for race in races] if each_seed else [races for races in there if races]
        won = [2 * sum(race.is_sooner for race in races) > len(races) for races in groups]
        return OfShare(SharedCases(won, [{run for race in races for run in race.runs} for races in groups]), in_most)

    if not cases:
        return Compared(what, "share", MOST)
    ids = frozenset(run for races in cases for race in races.values() if race for run in race.runs)
    return Compared(what, "share", MOST, ids, [len(races) for races in cases], cache(look))


def _races(by_level: Sequence[BySeed]) -> dict[int, _Race | None]:
    """Those of each seed that both levels have; None where neither came to the target."""
    one, other = by_level
    found: dict[int, _Race | None] = {}
    for seed in sorted(one.keys() & other.keys()):
        first, second = one[seed], other[seed]
        mine, its = (_value(TO_TARGET, record) for record in (first, second))
        if comparisons.on_one_machine(first, second) and mine is not None and its is not None:
            found[seed] = _Race((first.run_id, second.run_id), mine < its) if min(mine, its) < math.inf else None
    return found


def _best(asked: BestClaim, runs: Evidence) -> list[Compared]:
    """In how many cases a level has the best of all, for each level that is claimed to.

    A case is what the runs of several seeds have in common; a level's value is the mean over the seeds that have all levels.
    """
    design, kind, levels = runs.study.design, runs.study.measure(asked.of), expanded(asked.among)
    better = _better(asked.of, kind)
    cases: list[list[tuple[list[float], list[str]]]] = []
    for by_level in runs.cases(asked.at, levels).values():
        seeds = sorted(set.intersection(*(set(each) for each in by_level)))
        values = [([_value(asked.of, each[seed]) for each in by_level], [each[seed].run_id for each in by_level]) for seed in seeds]
        if known := [([better * value for value in each if value is not None], ids) for each, ids in values if None not in each]:
            cases.append(known)
    runs_behind = frozenset(run for seeds in cases for _, ids in seeds for run in ids)

    def look(place: int, seeds: int | None) -> OfShare:
        there = [case[:seeds] for case in cases if seeds is None or len(case) >= seeds]
        means = [[statistics.fmean(values) for values in zip(*(each for each, _ in case), strict=True)] for case in there]
        won = [all(mean[place] > value for other, value in enumerate(mean) if other != place) for mean in means]
        of_runs = [{run for _, ids in case for run in ids} for case in there]
        return OfShare(SharedCases(won, of_runs), partial(almost_every, least=asked.in_at_least))

    found = []
    for level in expanded(asked.level):
        what, claimed = f"{say(design, level)} has the best {kind.words} of {len(levels)}", Claimed(low=asked.in_at_least)
        looked = cache(partial(look, levels.index(level))) if cases else None
        found.append(Compared(what, "share", claimed, runs_behind, [len(case) for case in cases], looked))
    return found


def _better(name: str, kind: Kind) -> int:
    """1 where more is better, -1 where less is. Raises UserError of a metric of the user's of which nobody says."""
    if not kind.better:
        raise UserError(f"the best of {name}: its runs say neither that more is better nor that less is, as @metric(better=…) would")
    return kind.better


_OF_A_MEAN = {POINTS: "percent", RATIO: "seconds", NUMBER: "mean"}
"""The unit of a mean, by what its measure is compared in."""


def _threshold(asked: ThresholdClaim, runs: Evidence) -> list[Compared]:
    """The mean of each level, over its arms, by their seeds; of times the geometric one, on one machine."""
    kind, design = runs.study.measure(asked.of), runs.study.design
    claimed = Claimed(-math.inf if asked.at_least is None else asked.at_least, math.inf if asked.at_most is None else asked.at_most)
    return [
        runs.of_means(asked.of, asked.at, (level,), claimed, f"{kind.words} with {say(design, level)}", _OF_A_MEAN[kind.unit])
        for level in expanded(asked.between)
    ]


# Rules in words.


def _rule_of_pairs(asked: Pairwise, study: Study) -> str:
    kind, design = study.measure(asked.of), study.design
    between, other = (_say_all(design, each) for each in (asked.between, asked.other))
    unit = {POINTS: " points", RATIO: " times", NUMBER: ""}[kind.unit]
    if asked.within is not None:
        said = f"within {100 * asked.within:g} % of" if kind.is_time else f"within {asked.within:g}{unit} of"
        claimed = f"{said} that with"
    else:
        limits = [(word, bound) for word, bound in (("at least", asked.at_least), ("at most", asked.at_most)) if bound is not None]
        bounds = [f"{word} {bound:{'' if kind.is_time or not bound else '+'}g}" for word, bound in limits]
        claimed = f"{' and '.join(bounds)}{unit} {'that with' if kind.is_time else 'against'}"
    why = f" ({asked.because})" if asked.because else ""
    return f"{kind.words} with {between} {claimed} {other}{why}" + (f", {say(design, asked.at)}" if asked.at else "")


def _rule_of_trend(asked: TrendClaim, study: Study) -> str:
    levels = ", ".join(say(study.design, each) for each in expanded(asked.over))
    return f"{study.measure(asked.of).words} {asked.direction} from each to the next of {levels}"


def _rule_of_best(asked: BestClaim, study: Study) -> str:
    among = ", ".join(say(study.design, each) for each in expanded(asked.among))
    share = f"in at least {100 * asked.in_at_least:g} % of the cases, and the interval of that share above one half"
    return f"{say(study.design, asked.level)} has the best {study.measure(asked.of).words} of {among}, {share}"


def _rule_of_threshold(asked: ThresholdClaim, study: Study) -> str:
    kind = study.measure(asked.of)
    unit = {POINTS: " %", RATIO: " s", NUMBER: ""}[kind.unit]
    bounds = [f"{word} {bound:g}{unit}" for word, bound in (("at least", asked.at_least), ("at most", asked.at_most)) if bound is not None]
    why = f" ({asked.because})" if asked.because else ""
    return f"{kind.words} with {_say_all(study.design, asked.between)} {' and '.join(bounds)}{why}"


# Beside a claim.


def beside(claim: Claim, study: Study) -> str:
    """What is told of a claim and has no say in it."""
    said = []
    parts = [each.part() for asked in asked_of(claim.beside, claim.question, study) for each in asked.look() if each.runs]
    if parts:
        said.append("Beside it: " + "; ".join(f"{part.what}: {part.in_words()}" for part in parts) + ".")
    said += _restricted(claim, Evidence(study, claim.question))
    said += [text for champion in claim.beside.champion if (text := _champion(champion, study))]
    if published := [f"{study.measure(each.of).words} with {say(study.design, each.at)} {each.value}" for each in claim.published]:
        ours = [_ours(each.of, each.at, Evidence(study, claim.question)) for each in claim.published]
        both = [f"{theirs} (here {mine})" if mine else theirs for theirs, mine in zip(published, ours, strict=True)]
        said.append(f"Published: {'; '.join(both)}.")
    return " ".join(said)


def _restricted(claim: Claim, runs: Evidence) -> list[str]:
    """How much later one of two levels comes to the target on the average, up to a time of which all runs tell."""
    compared: dict[str, str | None] = {}
    for kinds in (claim, claim.beside):
        for _, asked in kinds.comparisons():
            if asked.of == TO_TARGET:
                for one, other in _levels_of(asked):
                    what = f"{say(runs.study.design, one)} against {say(runs.study.design, other)}"
                    compared.setdefault(" and ".join(sorted(what.split(" against "))), _later(what, runs, asked.at, one, other))
    told = [text for text in compared.values() if text]
    return [f"Restricted mean time to the target, with 95 % intervals: {'; '.join(told)}."] if told else []


def _levels_of(asked: Comparison) -> list[tuple[Condition, Condition]]:
    match asked:
        case TrendClaim():
            return _steps(asked)
        case SoonerClaim() | RatioClaim():
            return [(one, other) for one in expanded(asked.between) for other in expanded(asked.other)]
    return []


def _later(what: str, runs: Evidence, at: Condition, one: Condition, other: Condition) -> str | None:
    """On the machine on which most of their runs are; None where those have no times."""
    cases = list(runs.cases(at, (one, other)).values())
    on: Counter[str] = Counter(place for levels in cases for each in levels for record in each.values() if (place := stats.place(record)))
    if not on:
        return None
    place = max(on, key=lambda place: (on[place], place))
    times: tuple[list[tuple[float, bool]], list[tuple[float, bool]]] = ([], [])
    for by_level in cases:
        there = [[record for record in each.values() if stats.place(record) == place and record.summary] for each in by_level]
        if all(there):
            for group, records in zip(times, there, strict=True):
                group.extend(until_target(record) for record in records)
    if not all(any(at < math.inf for at, _ in group) for group in times):
        return None
    found = restricted_difference(*times)
    interval = numbers.between(*found.interval(), signed=True) if 0 < found.error < math.inf else "no interval"
    places = numbers.digits(float(np.diff(found.interval())[0]) / 2 if 0 < found.error < math.inf else None)
    return f"{what} {numbers.plain(found.mean, places, signed=True)} s ({interval}) up to {found.until:.3g} s"


def _ours(of: str, at: Condition, runs: Evidence) -> str | None:
    kind = runs.study.measure(of)
    values = [value for _, record in runs.at(at) if (value := kind.of(record)) is not None and value < math.inf]
    if not values:
        return None
    mean = kind.scale * statistics.fmean(values)
    return {POINTS: f"{mean:.1f} %", RATIO: f"{mean:.1f} s", NUMBER: f"{mean:.3g}"}[kind.unit]


def _champion(asked: Champion, study: Study) -> str | None:
    """The best of some arms, and what it has more than the first of others that there is."""
    design, kind, runs = study.design, study.measure(asked.of), Evidence(study, asked.question)
    values: dict[Treatment, list[float]] = {}
    labels: dict[Treatment, str] = {}
    for treated, record in runs.at(asked.at):
        if any(meets(treated, each, study.base) for each in asked.among) and (value := kind.of(record)) is not None:
            values.setdefault(treated, []).append(value)
            labels[treated] = study.labels[record.run_id]
    if not values:
        return None
    best = max(values, key=lambda treated: (_better(asked.of, kind) * statistics.fmean(values[treated]), labels[treated]))
    mean = statistics.fmean(values[best])
    came_to = f"{mean:.1%}" if kind.unit == POINTS else f"{mean:.3g}"
    said = f"The best of {len(values)} other arms, {labels[best]}, comes to {came_to}"
    its = {name: (written(best[name]),) for name in design.names}
    for condition in asked.against:
        rival = {
            name: its[name] if list(levels) == [ITS] else [of_base(level, study.base[name]) for level in levels]
            for name, levels in condition.items()
        }
        part = pair(asked.of, runs, asked.at, its, rival, ANYTHING).part()
        if part.n:
            return f"{said}: {part.in_words()} against {say(design, rival)}."
    return said + "."
