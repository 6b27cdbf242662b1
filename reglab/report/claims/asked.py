"""What the comparisons of a claim ask of the runs, kind by kind: from the words of a study file to parts with their intervals."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise, product

import numpy as np

from reglab.errors import UserError
from reglab.report.claims.evidence import Evidence, by_turns, expanded, left_out_of_look, result_of, say, say_all, sharing
from reglab.report.comparisons.parts import MOST, Claimed
from reglab.report.comparisons.seen import Compared, OfShare, almost_every, in_most
from reglab.report.stats import has_moved, is_quiet
from reglab.report.studies import blocks
from reglab.report.studies.blocks import BySeed
from reglab.report.studies.claim_kinds import (
    BestClaim,
    Bounded,
    ClaimedComparison,
    DifferenceClaim,
    InteractionClaim,
    Kinds,
    Pairwise,
    RatioClaim,
    SoonerClaim,
    ThresholdClaim,
    TrendClaim,
)
from reglab.report.studies.columns import Condition
from reglab.report.studies.design import Design
from reglab.report.studies.measures import NUMBER, POINTS, RATIO, TO_TARGET, Kind
from reglab.report.studies.study import Study
from reglab.statistics.shares import SharedCases
from reglab.tracking.record import RunRecord


@dataclass(frozen=True)
class AskedComparison:
    """One comparison as the file has it: what must be seen, in words, and how it is looked for."""

    rule: str
    look: Callable[[], Sequence[Compared]]


def asked_of(kinds: Kinds, question: str | None, study: Study) -> Iterator[AskedComparison]:
    """What a claim asks, comparison by comparison."""
    runs = Evidence(study, question)
    for _, comparison in kinds.comparisons():
        match comparison:
            case DifferenceClaim() | RatioClaim():
                yield AskedComparison(_rule_of_pairs(comparison, study), partial(_pairwise, comparison, runs))
            case InteractionClaim():
                yield AskedComparison(_rule_of_interaction(comparison, study), partial(_interaction, comparison, runs))
            case TrendClaim():
                yield AskedComparison(_rule_of_trend(comparison, study), partial(_trend, comparison, runs))
            case BestClaim():
                yield AskedComparison(_rule_of_best(comparison, study), partial(_best, comparison, runs))
            case SoonerClaim():
                yield AskedComparison(_rule_of_sooner(comparison, study), partial(_sooner, comparison, runs))
            case ThresholdClaim():
                yield AskedComparison(_rule_of_threshold(comparison, study), partial(_threshold, comparison, runs))


def looked_at(comparison: ClaimedComparison) -> list[list[Sequence[Condition]]]:
    """Of each `Compared` that a comparison of a file comes to, in their order: the levels that it looks at together, one or several."""
    levels = together(comparison)
    match comparison:
        case TrendClaim(of=name) if name == TO_TARGET:
            return [levels]
        case BestClaim():
            return [levels] * len(expanded(comparison.level))
    return [[each] for each in levels]


def together(comparison: ClaimedComparison) -> list[Sequence[Condition]]:
    """The levels that each comparison of a claim looks at together: cases that lack one of them speak to none."""
    match comparison:
        case InteractionClaim():
            sides = _sides_of(comparison)
            return [tuple({**each, **at} for at in (here, there) for each in (one, other)) for one, other, here, there in sides]
        case Pairwise() | SoonerClaim():
            return list(product(expanded(comparison.between), expanded(comparison.other)))
        case TrendClaim():
            return [(later, before) for before, later in pairwise(expanded(comparison.over))]
        case BestClaim():
            return [expanded(comparison.among)]
        case ThresholdClaim():
            return [(level,) for level in expanded(comparison.between)]
    raise TypeError(f"{type(comparison).__name__} is compared in no claim")


# Kinds.


def _pairwise(asked: Pairwise, runs: Evidence) -> list[Compared]:
    claimed = _range_of(asked, runs.study.measure(asked.of))
    return [pair(asked.of, runs, asked.at, one, other, claimed) for one, other in together(asked)]


def _range_of(asked: Pairwise, kind: Kind) -> Claimed:
    if asked.within is not None:
        nothing = 1 if kind.is_time else 0
        return Claimed(nothing - asked.within, nothing + asked.within)
    low, high = asked.at_least, asked.at_most
    return Claimed(-math.inf if low is None else low, math.inf if high is None else high)


def pair(of: str, runs: Evidence, at: Condition, one: Condition, other: Condition, claimed: Claimed) -> Compared:
    """What level `one` has more than `other`, in points, or how many times as long it takes, on one machine (the geometric mean)."""
    design, kind = runs.study.design, runs.study.measure(of)
    what = f"{kind.words}, {say(design, one)} against {say(design, other)}{_where(design, at)}"
    return runs.of_means(of, at, (one, other), claimed, what, kind.unit)


def _interaction(asked: InteractionClaim, runs: Evidence) -> list[Compared]:
    """How much more the one level has than the other here than there, at four levels that are looked at together."""
    design, kind = runs.study.design, runs.study.measure(asked.of)
    found = []
    for levels, sides in zip(together(asked), _sides_of(asked), strict=True):
        one, other, here, there = (say(design, each) for each in sides)
        what = f"{kind.words}, {one} against {other}, with {here} against {there}{_where(design, asked.at)}"
        found.append(runs.of_means(asked.of, asked.at, levels, _range_of(asked, kind), what, kind.unit))
    return found


def _sides_of(asked: InteractionClaim) -> Iterator[tuple[Condition, ...]]:
    """`between`, `and`, `with` and `against`, for each combination of the levels that they list."""
    return product(*map(expanded, (asked.between, asked.other, asked.here, asked.against)))


def _trend(asked: TrendClaim, runs: Evidence) -> list[Compared]:
    """Each level against the one before it; of times to the target, all of them as cases of one share."""
    kind = runs.study.measure(asked.of)
    nothing = 1 if kind.is_time else 0
    claimed = Claimed(low=nothing) if asked.direction == "rises" else Claimed(high=nothing)
    if asked.of != TO_TARGET:
        return [pair(asked.of, runs, asked.at, later, before, claimed) for later, before in together(asked)]
    ((column, values),) = asked.over.items()
    when = "sooner" if asked.direction == "falls" else "later"
    design = runs.study.design
    what = f"{design.by_name[column].title} {', '.join(values)}: each reaches the target {when} than the one before"
    return [_share_sooner(what + _where(design, asked.at), runs, asked.at, steps(asked), each_seed=True)]


def steps(asked: TrendClaim) -> list[tuple[Condition, Condition]]:
    """Of each step, which is to be the sooner."""
    falls = asked.direction == "falls"
    return [(later, before) if falls else (before, later) for later, before in together(asked)]


def _sooner(asked: SoonerClaim, runs: Evidence) -> list[Compared]:
    design = runs.study.design
    return [
        _share_sooner(
            f"{say(design, one)} reaches the target sooner than {say(design, other)}{_where(design, asked.at)}",
            runs,
            asked.at,
            [(one, other)],
            asked.cases == "seeds",
        )
        for one, other in together(asked)
    ]


@dataclass(frozen=True)
class _Race:
    """Two runs of one seed on one machine, of which at least one came to the target, and whether the first did so sooner."""

    both: tuple[RunRecord, RunRecord]
    is_sooner: bool

    @property
    def is_quiet(self) -> bool:
        """Whether both had the machine to themselves from start to end."""
        return all(map(is_quiet, self.both))


def _share_sooner(what: str, runs: Evidence, at: Condition, steps: Sequence[tuple[Condition, Condition]], each_seed: bool) -> Compared:
    """In how many cases the first level reaches the target sooner: in most of the seeds in which either does, on one machine.

    Or, with `each_seed`, of each seed apart: where configurations alone are too few to decide anything. Runs that had no machine to
    themselves are looked at where there are no others, and decide nothing.
    """
    of_steps = [runs.cases(at, step) for step in steps]
    several = "; ".join(dict.fromkeys(each.several for each in of_steps if each.several))
    found = [_races(by_level) for cases in of_steps for by_level in cases.each.values()]
    none_is_quiet = not any(race.is_quiet for races in found for race in races.values() if race)
    left_out = ""
    loud = _runs_of(race for races in found for race in races.values() if race and not race.is_quiet)
    if loud and not none_is_quiet:
        which = "several or on shared" if any(map(has_moved, loud)) else "shared"
        left_out = f"{len(loud)} on {which} machines are left out"
        found = [{seed: race for seed, race in races.items() if race is None or race.is_quiet} for races in found]
    cases = [races for races in found if any(races.values())]

    def look(seeds: int | None) -> OfShare | None:
        there = [list(filter(None, list(races.values())[:seeds])) for races in cases if seeds is None or len(races) >= seeds]
        groups = [[race] for races in there for race in races] if each_seed else [races for races in there if races]
        if not any(groups):  # of the first seeds none came to the target
            return None
        won = [2 * sum(race.is_sooner for race in races) > len(races) for races in groups]
        of_runs = [{record.run_id for record in _runs_of(races)} for races in groups]
        behind = _runs_of(race for races in groups for race in races)
        ids = frozenset(record.run_id for record in behind)
        why = "; ".join(filter(None, (several, sharing(behind) if none_is_quiet else "")))
        fewer = left_out_of_look(len(there), len(cases), "pairs of arms")
        told = "; ".join((*filter(None, (left_out,)), *fewer, *by_turns(sum(map(runs.study.is_by_turns, behind)))))
        return OfShare(SharedCases(won, of_runs), in_most, grows=each_seed, undecided=why, told=told, runs=ids)

    if not cases:
        return Compared(what, "share", MOST, are_apart=any(each.each for each in of_steps))
    ids = frozenset(record.run_id for record in _runs_of(race for races in cases for race in races.values() if race))
    return Compared(what, "share", MOST, ids, [len(races) for races in cases], cache(look), several=several)


def _runs_of(races: Iterable[_Race]) -> list[RunRecord]:
    """Each once."""
    return list({record.run_id: record for race in races for record in race.both}.values())


def _races(by_level: Sequence[BySeed]) -> dict[int, _Race | None]:
    """Those of each seed that both levels have; None where neither came to the target."""
    one, other = by_level
    found: dict[int, _Race | None] = {}
    for seed in sorted(one.keys() & other.keys()):
        first, second = one[seed], other[seed]
        mine, its = (result_of(TO_TARGET, record) for record in (first, second))
        if blocks.on_one_machine(first, second) and mine is not None and its is not None:
            found[seed] = _Race((first, second), mine < its) if min(mine, its) < math.inf else None
    return found


def _best(asked: BestClaim, runs: Evidence) -> list[Compared]:
    """In how many cases a level has the best of all, for each level that is claimed to.

    A case is what the runs of several seeds have in common; a level's value is the mean over the seeds that have all levels. Of times,
    over those whose runs had one machine to themselves.
    """
    design, kind, (levels,) = runs.study.design, runs.study.measure(asked.of), together(asked)
    better = better_of(asked.of, kind)
    cases: list[list[tuple[list[float], list[str]]]] = []
    telling, in_turns = runs.telling(asked.of, asked.at, levels)
    for by_level in telling.each.values():
        seeds = sorted(set.intersection(*(set(each) for each in by_level)))
        if kind.is_time:
            seeds = [seed for seed in seeds if blocks.on_one_machine(*(each[seed] for each in by_level)) and is_quiet(by_level[0][seed])]
        values = [([result_of(asked.of, each[seed]) for each in by_level], [each[seed].run_id for each in by_level]) for seed in seeds]
        if known := [([better * value for value in each if value is not None], ids) for each, ids in values if None not in each]:
            cases.append(known)
    runs_behind = frozenset(run for seeds in cases for _, ids in seeds for run in ids)

    almost = partial(almost_every, least=asked.in_at_least)

    def look(place: int, seeds: int | None) -> OfShare:
        there = [case[:seeds] for case in cases if seeds is None or len(case) >= seeds]
        means = [[statistics.fmean(values) for values in zip(*(each for each, _ in case), strict=True)] for case in there]
        won = [all(mean[place] > value for other, value in enumerate(mean) if other != place) for mean in means]
        of_runs = [{run for _, ids in case for run in ids} for case in there]
        by_level = [np.array([values for values, _ in case]).T for case in there]
        ids = frozenset(run for runs in of_runs for run in runs)
        return OfShare(SharedCases(won, of_runs), almost, means=(by_level, place), undecided=telling.several, runs=ids)

    found = []
    for level in expanded(asked.level):
        what = f"{say(design, level)} has the best {kind.words} of {len(levels)}{_where(design, asked.at)}"
        claimed = Claimed(low=asked.in_at_least)
        looked = cache(partial(look, levels.index(level))) if cases else None
        counts, are_apart = [len(case) for case in cases], bool(telling.each) and not cases
        found.append(Compared(what, "share", claimed, runs_behind, counts, looked, in_turns, telling.several, are_apart))
    return found


def better_of(name: str, kind: Kind) -> int:
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
    where = _where(design, asked.at)
    return [
        runs.of_means(asked.of, asked.at, (level,), claimed, f"{kind.words} with {say(design, level)}{where}", _OF_A_MEAN[kind.unit])
        for (level,) in together(asked)
    ]


# Rules in words.


def _where(design: Design, at: Condition) -> str:
    """The part of the arms that a comparison is about, behind what it says of them; empty where it is about all."""
    return f", {say(design, at)}" if at else ""


def _rule_of_pairs(asked: Pairwise, study: Study) -> str:
    kind, design = study.measure(asked.of), study.design
    between, other = (say_all(design, each) for each in (asked.between, asked.other))
    return f"{kind.words} with {between} {_claimed(asked, kind)} {other}{_why(asked)}{_where(design, asked.at)}"


def _rule_of_interaction(asked: InteractionClaim, study: Study) -> str:
    kind, design = study.measure(asked.of), study.design
    between, other, here, there = (say_all(design, each) for each in (asked.between, asked.other, asked.here, asked.against))
    what = f"{kind.words}, {between} against {other}"
    return f"{what}: with {here} {_claimed(asked, kind)} {there}{_why(asked)}{_where(design, asked.at)}"


def _claimed(asked: Pairwise, kind: Kind) -> str:
    """The range, between the two sides that it is about."""
    unit = {POINTS: " points", RATIO: " times", NUMBER: ""}[kind.unit]
    if asked.within is not None:
        said = f"within {100 * asked.within:g} % of" if kind.is_time else f"within {asked.within:g}{unit} of"
        return f"{said} that with"
    limits = [(word, bound) for word, bound in (("at least", asked.at_least), ("at most", asked.at_most)) if bound is not None]
    bounds = [f"{word} {bound:{'' if kind.is_time or not bound else '+'}g}" for word, bound in limits]
    return f"{' and '.join(bounds)}{unit} {'that with' if kind.is_time else 'against'}"


def _why(asked: Bounded) -> str:
    return f" ({asked.because})" if asked.because else ""


def _rule_of_trend(asked: TrendClaim, study: Study) -> str:
    levels = ", ".join(say(study.design, each) for each in expanded(asked.over))
    return f"{study.measure(asked.of).words} {asked.direction} from each to the next of {levels}{_where(study.design, asked.at)}"


def _rule_of_best(asked: BestClaim, study: Study) -> str:
    among = ", ".join(say(study.design, each) for each in expanded(asked.among))
    share = f"in at least {100 * asked.in_at_least:g} % of the cases, and the interval of that share above one half"
    where = _where(study.design, asked.at)
    return f"{say(study.design, asked.level)} has the best {study.measure(asked.of).words} of {among}{where}, {share}"


def _rule_of_sooner(asked: SoonerClaim, study: Study) -> str:
    between, other = (say_all(study.design, each) for each in (asked.between, asked.other))
    return f"{between} reaches the target sooner than {other}{_where(study.design, asked.at)}, in over half of the cases"


def _rule_of_threshold(asked: ThresholdClaim, study: Study) -> str:
    kind, design = study.measure(asked.of), study.design
    unit = {POINTS: " %", RATIO: " s", NUMBER: ""}[kind.unit]
    bounds = [f"{word} {bound:g}{unit}" for word, bound in (("at least", asked.at_least), ("at most", asked.at_most)) if bound is not None]
    return f"{kind.words} with {say_all(design, asked.between)} {' and '.join(bounds)}{_why(asked)}{_where(design, asked.at)}"
